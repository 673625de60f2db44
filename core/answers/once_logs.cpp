#include "answers/once_logs.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

std::ifstream open_text(const fs::path& file) {
  std::error_code ignored;
  std::ifstream in(file, std::ios::binary);
  if (!in || fs::is_directory(file, ignored)) throw Error(ErrorKind::kData, "cannot be read", "check the path and its permissions", display_path(file));
  return in;
}

// One line without its end and, at the start of a file, without a byte-order mark.
bool next_line(std::ifstream& in, std::string& line, bool first) {
  if (!std::getline(in, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  if (first && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  return true;
}

bool blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

// What an id looks like, going by the first one of a file: "89376" is digits, "N12345" an N and digits, anything else a word. A line of an
// answer that happens to hold a tab is told apart from a record by it.
class IdShape {
 public:
  explicit IdShape(std::string_view id) : prefix_(id.substr(0, id.find_first_of("0123456789"))), numbered_(digits(id.substr(prefix_.size()))) {}
  bool fits(std::string_view id) const {
    if (numbered_) return id.starts_with(prefix_) && digits(id.substr(prefix_.size()));
    return word(id);
  }
  static bool word(std::string_view id) {
    return !id.empty() && id.size() <= 128 && std::none_of(id.begin(), id.end(), [](unsigned char c) { return c <= ' '; });
  }

 private:
  std::string prefix_;
  bool numbered_;
};

struct Record {
  std::string id, raw;
  bool row_number = false;  ///< the id is a number in JSON: a row of the users
};

// Reads a log into records, in its order, and keeps count.
class LogReader {
 public:
  LogReader(const fs::path& file, OnceLogCounts& counts) : file_(file), counts_(counts) {}

  std::vector<Record> read() {
    std::ifstream in = open_text(file_);
    std::string line;
    while (next_line(in, line, counts_.lines == 0)) {
      ++counts_.lines;
      if (!kind_ && !blank(line)) kind_ = line.starts_with('{') ? Kind::kJson : Kind::kTabs;
      if (!kind_) continue;
      if (*kind_ == Kind::kJson) json_line(line);
      else tab_line(std::move(line));
    }
    if (in.bad()) throw Error(ErrorKind::kData, "cannot be read to its end", "check the disk", display_path(file_));
    end_record();
    if (records_.empty())
      throw Error(ErrorKind::kData, counts_.lines == 0 ? "is empty" : "holds no answer that can be read" + (counts_.first_reason.empty() ? "" : ": " + counts_.first_reason),
                  "expected ID, a tab and the answer on each line, or {\"uid\": ..., \"interest\"|\"news\"|\"book\": ...}",
                  display_path(file_) + (counts_.first_malformed > 0 ? ":" + std::to_string(counts_.first_malformed) : ""));
    return std::move(records_);
  }

 private:
  enum class Kind { kJson, kTabs };

  void malformed(std::int64_t line, std::string reason) {
    if (counts_.malformed++ > 0) return;
    counts_.first_malformed = line;
    counts_.first_reason = std::move(reason);
  }

  void json_line(const std::string& line) {
    if (blank(line)) return;
    const Json json = Json::parse(is_utf8(line) ? line : mend_utf8(line), nullptr, false);
    if (json.is_discarded() || !json.is_object()) return malformed(counts_.lines, "not a JSON object");
    const auto uid = json.find("uid");
    if (uid == json.end() || !(uid->is_string() || uid->is_number_integer())) return malformed(counts_.lines, "no 'uid'");
    if (json.size() != 2) return malformed(counts_.lines, "expected 'uid' and one answer");
    const Json& answer = json.begin().key() == "uid" ? std::next(json.begin()).value() : json.begin().value();
    Record record{uid->is_string() ? uid->get<std::string>() : uid->dump(), {}, !uid->is_string()};
    if (answer.is_string()) record.raw = answer.get<std::string>();
    else if (answer.is_array()) record.raw = Json{{"interests", answer}}.dump();  // what the model had answered, before the release read it
    else if (answer.is_object()) record.raw = answer.dump();
    if (record.id.empty() || blank(record.raw)) return malformed(counts_.lines, "no answer");
    records_.push_back(std::move(record));
    ++counts_.answers;
  }

  void tab_line(std::string line) {
    const std::size_t tab = line.find('\t');
    const std::string_view id = std::string_view(line).substr(0, tab == std::string::npos ? 0 : tab);
    if (tab != std::string::npos && (shape_ ? shape_->fits(id) : IdShape::word(id))) {
      if (!shape_) shape_.emplace(id);
      end_record();
      open_ = Record{mend_utf8(id), line.substr(tab + 1), false};
      begun_ = counts_.lines;
    } else if (open_) {
      open_->raw += "\n" + line;  // an answer of several lines
      if (!blank(line)) ++counts_.joined;
    } else if (!blank(line)) {
      malformed(counts_.lines, tab == std::string::npos ? "no tab" : "no id before the tab");
    }
  }

  void end_record() {
    if (!open_) return;
    while (!open_->raw.empty() && std::isspace(static_cast<unsigned char>(open_->raw.back())) != 0) open_->raw.pop_back();
    if (blank(open_->raw)) {
      malformed(begun_, "no answer");
    } else {
      records_.push_back(std::move(*open_));
      ++counts_.answers;
    }
    open_.reset();
  }

  fs::path file_;
  OnceLogCounts& counts_;
  std::optional<Kind> kind_;
  std::optional<IdShape> shape_;
  std::optional<Record> open_;
  std::int64_t begun_ = 0;
  std::vector<Record> records_;
};

// Row number to user id. Two columns, or one token a line: then the line's number, counted from 0.
std::unordered_map<std::string, std::string> read_users(const fs::path& file) {
  std::ifstream in = open_text(file);
  std::unordered_map<std::string, std::string> users;
  Problems problems;
  std::string line;
  std::optional<bool> two;
  for (std::int64_t number = 0; next_line(in, line, number == 0); ++number) {
    const std::string where = display_path(file) + ":" + std::to_string(number + 1);
    if (line.empty()) {
      if (two && !*two) problems.add("an empty line: rows behind it would be counted wrong", {}, where);
      continue;
    }
    const std::size_t tab = line.find('\t');
    if (!two) two = tab != std::string::npos;
    const std::string row = *two ? line.substr(0, tab) : std::to_string(number);
    const std::string user = *two && tab != std::string::npos ? line.substr(tab + 1) : *two ? "" : line;
    if (!digits(row) || !IdShape::word(user)) problems.add(*two ? "expected a row number, a tab and a user id" : "expected one user id", {}, where);
    else if (!users.emplace(std::to_string(std::stoull(row.substr(0, 18))), user).second) problems.add("row " + row + " again", {}, where);
  }
  problems.raise(ErrorKind::kData);
  if (users.empty()) throw Error(ErrorKind::kData, "the users file is empty", "expected a row number, a tab and a user id on each line, or one user id a line", display_path(file));
  return users;
}

// The hash that stands in the place of a request's: no body is known.
std::string request_of(const OnceLog& log, const std::string& key, const std::string& source) {
  return digest128(log.task + '\n' + key + '\n' + source);
}

// Whether an import of the same name has said just this before.
enum class Before { kNothing, kOther, kSame };
Before before(const AnswerStore& store, const StoredAnswer& answer) {
  for (const StoredAnswer& old : store.attempts(answer.request, answer.draw))
    if (old.attempt == answer.attempt) return old.raw == answer.raw && old.model == answer.model ? Before::kSame : Before::kOther;
  return Before::kNothing;
}

}  // namespace

OnceLogCounts import_once_log(AnswerStore& store, const OnceLog& log) {
  OnceLogCounts counts;
  const std::vector<Record> records = LogReader(log.file, counts).read();
  std::unordered_map<std::string, std::string> users;
  const bool numbered = std::any_of(records.begin(), records.end(), [](const Record& r) { return r.row_number; });
  if (!log.users.empty() && !numbered)
    throw Error(ErrorKind::kUsage, "this log is about items: its ids are the items' own", "leave --users out", display_path(log.file));
  if (!log.users.empty()) users = read_users(log.users);
  else if (numbered)
    throw Error(ErrorKind::kUsage, "the log numbers its users by rows of the release's user table; which users they are is not in it",
                "name a file that tells, with --users FILE: row number, tab, user id on each line; or one user id a line", display_path(log.file));

  // The last entry of an id wins; ids keep the order in which they came first.
  std::unordered_map<std::string, std::size_t> last;
  std::vector<std::string> order;
  for (std::size_t i = 0; i < records.size(); ++i)
    if (const auto [at, fresh] = last.insert_or_assign(records[i].id, i); fresh) order.push_back(at->first);
  counts.ids = static_cast<std::int64_t>(order.size());
  counts.asked_again = counts.answers - counts.ids;

  StoredAnswer answer;
  answer.task = log.task;
  answer.model = log.model;
  answer.draw = log.draw;
  answer.source = "import: " + mend_utf8(log.file.filename().string());
  answer.at = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const std::string& id : order) {
    answer.key = id;
    if (!log.users.empty()) {
      const auto user = users.find(id);
      if (user == users.end()) {
        ++counts.unknown_users;
        continue;
      }
      answer.key = user->second;
    }
    answer.request = request_of(log, answer.key, answer.source);
    answer.raw = records[last.at(id)].raw;
    const Before was = before(store, answer);
    ++(was == Before::kNothing ? counts.added : was == Before::kOther ? counts.changed : counts.there);
    if (was != Before::kSame) store.put(answer);
  }
  if (counts.unknown_users == counts.ids)
    throw Error(ErrorKind::kData, "knows none of the " + std::to_string(counts.ids) + " users of " + display_path(log.file), "is it the users file of these logs?",
                display_path(log.users));
  return counts;
}

bool is_store_export(const fs::path& file) {
  std::ifstream in = open_text(file);
  std::string line;
  for (bool first = true; next_line(in, line, first); first = false) {
    if (blank(line)) continue;
    const Json json = Json::parse(mend_utf8(line), nullptr, false);
    return json.is_object() && json.contains("request") && json.contains("draw") && json.contains("raw");
  }
  return false;
}

}  // namespace oncekit
