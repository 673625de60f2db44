// The tables of the store, how they are made, and how a file that is none of ours is told apart. docs/formats.md describes them.
#include <sqlite3.h>

#include "answers/state.h"
#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

// Small columns first: totals and lists do not touch the pages that long answers spill to. The ledger is kept by triggers, so that a claim
// reads the whole store's cost in one row.
constexpr const char* kTables = R"(
CREATE TABLE answers(
  id INTEGER PRIMARY KEY,
  request TEXT NOT NULL, draw INTEGER NOT NULL, attempt INTEGER NOT NULL,
  task TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, usage_reported INTEGER NOT NULL,
  picodollars INTEGER NOT NULL, seconds REAL NOT NULL, at INTEGER NOT NULL, digest INTEGER NOT NULL,
  seen TEXT, parsed TEXT NOT NULL, raw TEXT NOT NULL, body TEXT NOT NULL,
  UNIQUE(request, draw, attempt));
CREATE INDEX answers_by_key ON answers(task, key, draw, attempt, request);
CREATE TABLE claims(
  request TEXT NOT NULL, draw INTEGER NOT NULL, attempt INTEGER NOT NULL,
  task TEXT NOT NULL, key TEXT NOT NULL, price INTEGER NOT NULL, picodollars INTEGER NOT NULL,
  owner TEXT NOT NULL, sent INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(request, draw, attempt)) WITHOUT ROWID;
CREATE TABLE possibly_billed(
  id INTEGER PRIMARY KEY,
  request TEXT NOT NULL, draw INTEGER NOT NULL, attempt INTEGER NOT NULL,
  task TEXT NOT NULL, key TEXT NOT NULL, why TEXT NOT NULL, picodollars INTEGER NOT NULL, at INTEGER NOT NULL, digest INTEGER NOT NULL);
CREATE TABLE ledger(one INTEGER PRIMARY KEY CHECK(one = 1), spent INTEGER NOT NULL, set_aside INTEGER NOT NULL, billed INTEGER NOT NULL);
INSERT INTO ledger VALUES(1, 0, 0, 0);
CREATE TRIGGER answer_added AFTER INSERT ON answers BEGIN UPDATE ledger SET spent = spent + NEW.picodollars; END;
CREATE TRIGGER answer_removed AFTER DELETE ON answers BEGIN UPDATE ledger SET spent = spent - OLD.picodollars; END;
CREATE TRIGGER claim_added AFTER INSERT ON claims BEGIN UPDATE ledger SET set_aside = set_aside + NEW.picodollars; END;
CREATE TRIGGER claim_ended AFTER DELETE ON claims BEGIN UPDATE ledger SET set_aside = set_aside - OLD.picodollars; END;
CREATE TRIGGER claim_changed AFTER UPDATE OF picodollars ON claims
  BEGIN UPDATE ledger SET set_aside = set_aside + NEW.picodollars - OLD.picodollars; END;
CREATE TRIGGER billed_added AFTER INSERT ON possibly_billed BEGIN UPDATE ledger SET billed = billed + NEW.picodollars; END;
CREATE TRIGGER billed_removed AFTER DELETE ON possibly_billed BEGIN UPDATE ledger SET billed = billed - OLD.picodollars; END;
)";

// One view of the file for several questions: another process may be making the store between two of them.
class Snapshot {
 public:
  explicit Snapshot(Database& db) : db_(db), own_(sqlite3_get_autocommit(db.handle()) != 0) {
    if (own_) db_.run("BEGIN");
  }
  ~Snapshot() {
    if (own_ && sqlite3_get_autocommit(db_.handle()) == 0) sqlite3_exec(db_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Database& db_;
  const bool own_;
};

}  // namespace

bool is_store(Database& db) {
  const Snapshot snapshot(db);
  const std::int64_t id = db.number("PRAGMA application_id");
  if (id == 0 && db.number("SELECT count(*) FROM sqlite_master") == 0) return false;
  if (id != kStoreId)
    throw Error(ErrorKind::kData, "is an SQLite file of some other program, not an answer store", "name another file with --store FILE; this one was left as it is",
                display_path(db.file()));
  const std::int64_t format = db.number("PRAGMA user_version");
  if (format > kStoreFormat)
    throw Error(ErrorKind::kData, "is an answer store of format " + std::to_string(format) + "; this oncekit reads formats up to " + std::to_string(kStoreFormat),
                "use a newer oncekit, or name another file with --store FILE", display_path(db.file()));
  if (format < 1 || db.number("SELECT count(*) FROM sqlite_master WHERE name IN ('answers', 'claims', 'possibly_billed', 'ledger')") != 4)
    throw Error(ErrorKind::kData, "the answer store is damaged: tables are missing", "restore a copy, or name another file with --store FILE", display_path(db.file()));
  return true;
}

void prepare_store(Database& db) {
  db.run_patiently("PRAGMA journal_mode = WAL");
  Statement mode(db, "PRAGMA journal_mode");
  if (mode.start().step() && mode.text(0) != "wal")
    throw Error(ErrorKind::kRun, "the answer store cannot be kept here: this file system has no shared memory for SQLite's write-ahead log",
                "name a file on a local disk with --store FILE", display_path(db.file()));
  mode.reset();
  db.run("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864");
  if (is_store(db)) return;
  WriteTransaction transaction(db);
  if (!is_store(db)) {  // another may have been first
    db.run(kTables);
    db.run(("PRAGMA application_id = " + std::to_string(kStoreId) + "; PRAGMA user_version = " + std::to_string(kStoreFormat)).c_str());
  }
  transaction.commit();
}

}  // namespace oncekit
