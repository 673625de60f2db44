// Looks for whatever may have gone wrong in a store: pages, rows, sums, claims.
#include <cmath>

#include <fmt/format.h>
#include <sqlite3.h>

#include "answers/state.h"
#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

constexpr std::size_t kMost = 100;  // a damaged disk would name every row

class Findings {
 public:
  void add(std::string text) {
    if (found_.size() < kMost) found_.push_back(std::move(text));
    else ++more_;
  }
  std::vector<std::string> take() {
    if (more_ > 0) found_.push_back(fmt::format("and {} more", more_));
    return std::move(found_);
  }

 private:
  std::vector<std::string> found_;
  std::int64_t more_ = 0;
};

bool hex32(const std::string& text) { return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

// What no writer of ours would store.
std::string out_of_range(const StoredAnswer& a) {
  if (!hex32(a.request)) return "its request is no hash of 32 hex digits";
  if (a.draw < 0 || a.attempt < 0) return "its draw or attempt is negative";
  if (a.task.empty() || a.key.empty()) return "it has no task or no key";
  if (a.prompt_tokens < 0 || a.completion_tokens < 0) return "its tokens are negative";
  if (a.cost < 0) return "its cost is negative";
  if (!std::isfinite(a.seconds) || a.seconds < 0) return "its seconds are no duration";
  if (a.at < 0) return "its time is before 1970";
  if (a.source != "endpoint" && !is_import(a)) return "its source is neither 'endpoint' nor 'import: ...'";
  if (!a.parsed.empty() && !nlohmann::ordered_json::parse(a.parsed, nullptr, false).is_object()) return "its parsed fields are no JSON object";
  return {};
}

void check_answers(Database& db, Findings& findings) {
  Statement row(db, std::string("SELECT ") + kAnswerColumns + ", digest, id FROM answers ORDER BY id");
  for (row.start(); row.step();) {
    const std::string name = fmt::format("answer {} (task '{}', key '{}', draw {}, attempt {})", row.integer(kAnswerColumnCount + 1), mend_utf8(row.text(3)),
                                         mend_utf8(row.text(4)), row.integer(1), row.integer(2));
    try {
      const StoredAnswer answer = read_answer(row);
      if (answer_digest(answer) != row.integer(kAnswerColumnCount)) findings.add(name + ": its content is not what was stored");
      else if (const std::string wrong = out_of_range(answer); !wrong.empty()) findings.add(name + ": " + wrong);
    } catch (const Error& e) {
      findings.add(name + ": " + e.message());
    }
  }
}

void check_billed(Database& db, const std::vector<PossiblyBilled>& all, Findings& findings) {
  Statement digests(db, "SELECT digest FROM possibly_billed ORDER BY id");
  std::size_t i = 0;
  for (digests.start(); digests.step() && i < all.size(); ++i)
    if (billed_digest(all[i]) != digests.integer(0))
      findings.add(fmt::format("possibly billed request {} (key '{}'): its content is not what was stored", mend_utf8(all[i].request), mend_utf8(all[i].key)));
}

void check_ledger(Database& db, Findings& findings) {
  if (db.number("SELECT count(*) FROM ledger") != 1) findings.add("the ledger of costs has no row, or several");
  for (const auto& [column, table, of] : {std::tuple{"spent", "answers", "all answers"}, {"set_aside", "claims", "what is being asked"},
                                          {"billed", "possibly_billed", "what was possibly billed"}}) {
    const std::int64_t kept = db.number(fmt::format("SELECT {} FROM ledger", column).c_str());
    const std::int64_t sum = db.number(fmt::format("SELECT sum(max(-4000000000000000, min(4000000000000000, picodollars))) FROM {}", table).c_str());
    if (kept != sum) findings.add(fmt::format("the cost of {} is {:.9f} USD, the ledger says {:.9f}", of, dollars(sum), dollars(kept)));
  }
}

void check_claims(Database& db, const std::vector<std::string>& owners, Findings& findings) {
  Statement count(db, "SELECT count(*), sum(sent) FROM claims WHERE owner = ?");
  for (const std::string& id : owners) {
    if (Owner::lives(db.file(), id)) continue;
    if (count.start().bind(id).step())
      findings.add(fmt::format("{} requests of a process that is gone ({}), {} of them sent: the next command that asks or imports settles them",
                               count.integer(0), mend_utf8(id), count.integer(1)));
    count.reset();
  }
  if (const std::int64_t n = db.number("SELECT count(*) FROM claims JOIN answers USING(request, draw, attempt) WHERE state <> 'gave_up'"); n > 0)
    findings.add(fmt::format("{} requests are answered, and being asked as well", n));
}

}  // namespace

std::vector<std::string> AnswerStore::verify() const {
  Database& db = state_->db;
  Findings findings;
  // One moment of the store: sums and rows belong together.
  db.run("BEGIN");
  const auto end = [&] { sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr); };
  try {
    Statement check(db, "PRAGMA integrity_check(50)");
    for (check.start(); check.step();)
      if (check.text(0) != "ok") findings.add("SQLite: " + mend_utf8(check.text(0)));
    check_answers(db, findings);
    check_billed(db, possibly_billed(), findings);
    check_ledger(db, findings);
    check_claims(db, state_->claiming_owners(), findings);
  } catch (const Error& e) {
    // A damaged page may stop the reading before all is seen; that is a finding, a full disk or a lock is not.
    end();
    if (e.kind() != ErrorKind::kData) throw;
    findings.add(e.message() + "; what lies behind that place was not looked at");
    return findings.take();
  } catch (...) {
    end();
    throw;
  }
  end();
  return findings.take();
}

}  // namespace oncekit
