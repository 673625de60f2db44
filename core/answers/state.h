// What an open answer store is made of. For the files of this room alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "answers/database.h"
#include "answers/owners.h"
#include "answers/rows.h"
#include "answers/store.h"

namespace oncekit {

constexpr std::int64_t kStoreFormat = 1;
constexpr std::int64_t kStoreId = 0x6f6e6365;  // "once", in the header of the SQLite file

/// Whether the file is a store of ours. False for a new, empty file. Throws Error(kData) when it is something else, or of a newer format.
bool is_store(Database& database);
/// Write-ahead log, tables, triggers. Safe when several processes do it at once.
void prepare_store(Database& database);

class AnswerStore::State {
 public:
  State(const std::filesystem::path& file, Database::Mode mode) : db(file, mode) {}
  ~State();

  // REQUIRES for all below: a write transaction is open.
  bool answered(const std::string& request, std::int64_t draw, std::int64_t attempt);
  /// Ends the claims of an owner that is gone: what was sent becomes possibly billed, the rest is free again.
  void bury(const std::string& owner, const std::string& why);
  /// All owners of claims but ourselves; true when claims were ended.
  bool bury_the_dead();
  /// Whether a request at this price fits into the budget: kTaken, kNoRoomYet or kNoBudget.
  Claim room(std::int64_t price, double budget);
  void add_billed(const PossiblyBilled& billed);
  /// False when there is such an answer already. An import may be put again, and an answer or a later giving up takes the place of a giving up.
  bool insert(const StoredAnswer& answer);
  /// Ends a claim of ours, when it is one, and commits.
  void end(const std::string& request, std::int64_t draw, std::int64_t attempt, WriteTransaction& transaction);

  [[noreturn]] void lost(const std::string& request) const;  // a claim that should be ours

  std::vector<std::string> claiming_owners();

  Database db;
  std::optional<Owner> owner;  // nothing: open to read alone
  std::int64_t own_claims = 0;

  // In order of use. Amounts are kept by triggers, see prepare_store().
  Statement find_answer{db, "SELECT id, state, source, at FROM answers WHERE request = ? AND draw = ? AND attempt = ?"};
  Statement find_claim{db, "SELECT owner FROM claims WHERE request = ? AND draw = ? AND attempt = ?"};
  Statement committed{db, "SELECT spent + billed, set_aside FROM ledger"};
  Statement add_claim{db, "INSERT INTO claims(request, draw, attempt, task, key, price, picodollars, owner, sent, at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, 0, ?8)"};
  Statement set_sent{db, "UPDATE claims SET sent = ?, picodollars = price WHERE request = ? AND draw = ? AND attempt = ? AND owner = ?"};
  Statement mark_billed{db, "UPDATE claims SET sent = 0, picodollars = 0 WHERE request = ? AND draw = ? AND attempt = ? AND owner = ?"};
  Statement own_claim{db, "SELECT task, key, price, picodollars FROM claims WHERE request = ? AND draw = ? AND attempt = ? AND owner = ?"};
  Statement end_claim{db, "DELETE FROM claims WHERE request = ? AND draw = ? AND attempt = ? AND owner = ?"};
  Statement sent_by{db, "SELECT request, draw, attempt, task, key, picodollars FROM claims WHERE owner = ? AND sent = 1"};
  Statement end_all{db, "DELETE FROM claims WHERE owner = ?"};
  Statement bill{db, "INSERT INTO possibly_billed(request, draw, attempt, task, key, why, picodollars, at, digest) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"};
  Statement remove_answer{db, "DELETE FROM answers WHERE id = ?"};
  Statement add_answer{db, std::string("INSERT INTO answers(") + kAnswerColumns + ", digest) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"};
  Statement attempts_of{db, std::string("SELECT ") + kAnswerColumns + " FROM answers WHERE request = ? AND draw = ? ORDER BY attempt"};
  Statement about_key{db, std::string("SELECT ") + kAnswerColumns + " FROM answers WHERE task = ? AND key = ? ORDER BY draw, attempt, request"};
};

}  // namespace oncekit
