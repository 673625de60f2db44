#include "answers/store.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <system_error>

#include <sqlite3.h>

#include "answers/state.h"
#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

std::int64_t now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// What read_answer() throws has no place yet.
StoredAnswer read_from(const Database& db, const Statement& row) {
  try {
    return read_answer(row);
  } catch (const Error& e) {
    throw Error(e.kind(), e.message(), "the store is damaged: `oncekit answers verify` names all such rows", display_path(db.file()));
  }
}

}  // namespace

AnswerStore::State::~State() {
  if (!owner) return;
  try {
    // What is still under way when a run ends in good order was sent, too.
    if (own_claims) {
      WriteTransaction transaction(db);
      bury(owner->id(), "stopped");
      transaction.commit();
    }
  } catch (const std::exception&) {
    // The next open() finds the claims without their owner, and does the same.
  }
}

bool AnswerStore::State::answered(const std::string& request, std::int64_t draw, std::int64_t attempt) {
  const bool found = find_answer.start().bind(request).bind(draw).bind(attempt).step() && find_answer.text(1) != state_name(StoredAnswer::State::kGaveUp);
  find_answer.reset();
  return found;
}

std::vector<std::string> AnswerStore::State::claiming_owners() {
  Statement owners(db, "SELECT DISTINCT owner FROM claims");
  std::vector<std::string> ids;
  for (owners.start(); owners.step();) ids.push_back(owners.text(0));
  return ids;
}

Claim AnswerStore::State::room(std::int64_t price, double budget) {
  const std::int64_t most = std::llround(std::min(budget, 9e6) * 1e12) - price;
  committed.start().step();
  const std::int64_t gone = committed.integer(0), set_aside = committed.integer(1);
  committed.reset();
  return budget <= 0 || gone + set_aside <= most ? Claim::kTaken : gone <= most ? Claim::kNoRoomYet : Claim::kNoBudget;
}

void AnswerStore::State::add_billed(const PossiblyBilled& b) {
  bill.start().bind(b.request).bind(b.draw).bind(b.attempt).bind(b.task).bind(b.key).bind(b.why).bind(picodollars(b.price)).bind(b.at);
  bill.bind(billed_digest(b)).run();
}

void AnswerStore::State::bury(const std::string& id, const std::string& why) {
  std::vector<PossiblyBilled> sent;
  for (sent_by.start().bind(id); sent_by.step();)
    sent.push_back({sent_by.text(0), sent_by.integer(1), sent_by.integer(2), sent_by.text(3), sent_by.text(4), why, dollars(sent_by.integer(5)), now()});
  for (const PossiblyBilled& b : sent) add_billed(b);
  end_all.start().bind(id).run();
}

bool AnswerStore::State::bury_the_dead() {
  bool any = false;
  for (const std::string& id : claiming_owners()) {
    if (id == owner->id() || Owner::lives(db.file(), id)) continue;
    bury(id, "killed");
    any = true;
  }
  return any;
}

void AnswerStore::State::end(const std::string& request, std::int64_t draw, std::int64_t attempt, WriteTransaction& transaction) {
  end_claim.start().bind(request).bind(draw).bind(attempt).bind(owner->id()).run();
  transaction.commit();
  own_claims -= db.changed_rows();
}

bool AnswerStore::State::insert(const StoredAnswer& answer) {
  find_answer.start().bind(answer.request).bind(answer.draw).bind(answer.attempt);
  if (find_answer.step()) {
    const std::int64_t id = find_answer.integer(0);
    const bool newer = answer.state != StoredAnswer::State::kGaveUp || answer.at > find_answer.integer(3);
    const bool gave_up = find_answer.text(1) == state_name(StoredAnswer::State::kGaveUp) && newer;
    const bool imported = find_answer.text(2).starts_with(kImport);
    find_answer.reset();
    if (!gave_up && !(imported && is_import(answer))) return false;
    remove_answer.start().bind(id).run();
  }
  add_answer.start();
  bind_answer(add_answer, answer);
  add_answer.bind(answer_digest(answer)).run();
  return true;
}

void AnswerStore::State::lost(const std::string& request) const {
  throw Error(ErrorKind::kRun, "the claim on request " + request + " is no longer this process's: it was ended, or others took this process for dead",
              "was " + display_path(db.file().string() + ".owners") + " removed? Run the command again; answers so far are safe", display_path(db.file()));
}

AnswerStore::AnswerStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
AnswerStore::AnswerStore(AnswerStore&&) noexcept = default;
AnswerStore& AnswerStore::operator=(AnswerStore&&) noexcept = default;
AnswerStore::~AnswerStore() = default;

AnswerStore AnswerStore::open(const fs::path& file) {
  std::error_code code;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), code);
  if (code)
    throw Error(ErrorKind::kRun, "cannot make the folder of the answer store: " + code.message(), "name another file with --store FILE", display_path(file.parent_path()));
  // Absolute: the working folder may change while the store is open.
  auto state = std::make_unique<State>(fs::absolute(file), Database::Mode::kReadWrite);
  is_store(state->db);  // before anything is written into a file that is not ours
  if (sqlite3_db_readonly(state->db.handle(), "main") == 1) state->db.fail(SQLITE_READONLY);
  prepare_store(state->db);
  state->owner.emplace(state->db.file());
  Owner::sweep(state->db.file());
  WriteTransaction transaction(state->db);
  state->bury_the_dead();
  state->db.run("UPDATE ledger SET spent = spent");  // a store that cannot be written says so now, not after the first paid answer
  transaction.commit();
  return AnswerStore(std::move(state));
}

AnswerStore AnswerStore::open_read_only(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored))
    throw Error(ErrorKind::kData, "there is no answer store", "`oncekit augment RECIPE` and `oncekit answers import FILE` make one; or name it with --store FILE", display_path(file));
  auto state = std::make_unique<State>(fs::absolute(file), Database::Mode::kReadOnly);
  if (!is_store(state->db)) throw Error(ErrorKind::kData, "is an empty file, not an answer store", "name another file with --store FILE", display_path(file));
  return AnswerStore(std::move(state));
}

std::vector<StoredAnswer> AnswerStore::attempts(const std::string& request, std::int64_t draw) const {
  std::vector<StoredAnswer> found;
  Statement& row = state_->attempts_of;
  for (row.start().bind(request).bind(draw); row.step();) found.push_back(read_from(state_->db, row));
  return found;
}

std::vector<StoredAnswer> AnswerStore::imported(const std::string& task, const std::string& key) const {
  std::vector<StoredAnswer> found;
  Statement& row = state_->about_key;
  for (row.start().bind(task).bind(key); row.step();)
    if (row.text(6).starts_with(kImport)) found.push_back(read_from(state_->db, row));
  return found;
}

Claim AnswerStore::claim(const std::string& request, std::int64_t draw, std::int64_t attempt, const std::string& task, const std::string& key,
                         double price, double budget) {
  State& s = *state_;
  WriteTransaction transaction(s.db);
  if (s.answered(request, draw, attempt)) return Claim::kAnswered;
  s.find_claim.start().bind(request).bind(draw).bind(attempt);
  bool buried = false;
  if (s.find_claim.step()) {
    const std::string owner = s.find_claim.text(0);
    s.find_claim.reset();
    if (owner == s.owner->id() || Owner::lives(s.db.file(), owner)) return Claim::kElsewhere;
    s.bury(owner, "killed");
    buried = true;
  }
  Claim claim = s.room(picodollars(price), budget);
  if (claim == Claim::kNoRoomYet && s.bury_the_dead()) buried = true, claim = s.room(picodollars(price), budget);
  if (claim == Claim::kTaken) {
    s.add_claim.start().bind(request).bind(draw).bind(attempt).bind(task).bind(key).bind(picodollars(price)).bind(s.owner->id()).bind(now()).run();
    ++s.own_claims;
  }
  if (claim == Claim::kTaken || buried) transaction.commit();
  return claim;
}

void AnswerStore::sending(const std::string& request, std::int64_t draw, std::int64_t attempt) {
  State& s = *state_;
  WriteTransaction transaction(s.db);
  if (s.set_sent.start().bind(std::int64_t{1}).bind(request).bind(draw).bind(attempt).bind(s.owner->id()).run(); s.db.changed_rows() == 0) s.lost(request);
  transaction.commit();
}

void AnswerStore::possibly_billed(const std::string& request, std::int64_t draw, std::int64_t attempt, const std::string& why) {
  State& s = *state_;
  WriteTransaction transaction(s.db);
  if (!s.own_claim.start().bind(request).bind(draw).bind(attempt).bind(s.owner->id()).step()) s.lost(request);
  const PossiblyBilled billed{request, draw, attempt, s.own_claim.text(0), s.own_claim.text(1), why, dollars(s.own_claim.integer(2)), now()};
  s.own_claim.reset();
  s.add_billed(billed);
  // The money that was set aside is gone, for all we know.
  s.mark_billed.start().bind(request).bind(draw).bind(attempt).bind(s.owner->id()).run();
  transaction.commit();
}

bool AnswerStore::again(const std::string& request, std::int64_t draw, std::int64_t attempt, double budget) {
  State& s = *state_;
  WriteTransaction transaction(s.db);
  if (!s.own_claim.start().bind(request).bind(draw).bind(attempt).bind(s.owner->id()).step()) s.lost(request);
  const std::int64_t price = s.own_claim.integer(2), set_aside = s.own_claim.integer(3);
  s.own_claim.reset();
  if (set_aside < price && s.room(price, budget) != Claim::kTaken) return false;
  s.set_sent.start().bind(std::int64_t{0}).bind(request).bind(draw).bind(attempt).bind(s.owner->id()).run();
  transaction.commit();
  return true;
}

void AnswerStore::put(const StoredAnswer& answer) {
  State& s = *state_;
  WriteTransaction transaction(s.db);
  if (!s.insert(answer) && answer.cost > 0)
    s.add_billed({answer.request, answer.draw, answer.attempt, answer.task, answer.key, "answered twice", answer.cost, answer.at});
  s.end(answer.request, answer.draw, answer.attempt, transaction);
}

void AnswerStore::release(const std::string& request, std::int64_t draw, std::int64_t attempt) {
  WriteTransaction transaction(state_->db);
  state_->end(request, draw, attempt, transaction);
}

void AnswerStore::each(const AnswerFilter& filter, const std::function<void(const StoredAnswer&)>& visit) const {
  if (!filter.state.empty() && !state_of(filter.state)) {
    const std::string near = nearest_name(filter.state, answer_states());
    throw Error(ErrorKind::kUsage, "there is no state '" + filter.state + "'; expected accepted, repaired, rejected, refused or gave_up",
                near.empty() ? "" : "did you mean '" + near + "'?");
  }
  std::string sql = std::string("SELECT ") + kAnswerColumns + " FROM answers";
  std::vector<const std::string*> values;
  for (const auto& [column, value] : {std::pair{"task", &filter.task}, {"key", &filter.key}, {"model", &filter.model}, {"state", &filter.state},
                                      {"source", &filter.source}}) {
    if (value->empty()) continue;
    sql += std::string(values.empty() ? " WHERE " : " AND ") + column + " = ?";
    values.push_back(value);
  }
  sql += " ORDER BY task, key, draw, attempt, request";
  if (filter.limit > 0) sql += " LIMIT " + std::to_string(filter.limit);
  Statement row(state_->db, sql);
  row.start();
  for (const std::string* value : values) row.bind(*value);
  while (row.step()) visit(read_from(state_->db, row));
}

std::vector<PossiblyBilled> AnswerStore::possibly_billed() const {
  Statement row(state_->db, "SELECT request, draw, attempt, task, key, why, picodollars, at FROM possibly_billed ORDER BY id");
  std::vector<PossiblyBilled> all;
  for (row.start(); row.step();)
    all.push_back({row.text(0), row.integer(1), row.integer(2), row.text(3), row.text(4), row.text(5), dollars(row.integer(6)), row.integer(7)});
  return all;
}

StoreTotals AnswerStore::totals() const {
  StoreTotals t;
  Statement row(state_->db, "SELECT state, source LIKE 'import: %', count(*), total(prompt_tokens), total(completion_tokens) "
                           "FROM answers GROUP BY 1, 2");
  for (row.start(); row.step();) {
    const std::int64_t count = row.integer(2);
    t.answers += count;
    if (row.integer(1) != 0) t.imported += count;
    t.prompt_tokens += std::llround(std::min(row.real(3), 1e18));
    t.completion_tokens += std::llround(std::min(row.real(4), 1e18));
    std::int64_t* const by_state[] = {&t.accepted, &t.repaired, &t.rejected, &t.refused, &t.gave_up};  // in the order of StoredAnswer::State
    *by_state[static_cast<std::size_t>(state_of(row.text(0)).value_or(StoredAnswer::State::kAccepted))] += count;
  }
  Statement ledger(state_->db, "SELECT spent, set_aside, billed FROM ledger");
  if (ledger.start().step()) {
    t.cost = dollars(ledger.integer(0));
    t.set_aside = dollars(ledger.integer(1));
    t.possibly_billed = dollars(ledger.integer(2));
  }
  return t;
}

}  // namespace oncekit
