// The store as JSON lines: for other programs, for a copy that grows well in version control, and from one store into another.
#include <fstream>
#include <functional>
#include <optional>
#include <system_error>

#include <sqlite3.h>
#include <unistd.h>

#include "answers/state.h"
#include "base/files.h"
#include "base/growing_file.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

// Removes what a failed export left.
struct PartFile {
  fs::path file;
  ~PartFile() {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
};

// Ends a reader's view of one moment.
struct ReadTransaction {
  Database& db;
  ~ReadTransaction() { sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr); }
};

using Visit = std::function<void(const StoredAnswer&)>;

// Every line as an answer. Collects what cannot be read, and throws it at once.
void read_lines(const fs::path& file, const Visit& visit) {
  std::ifstream in(file, std::ios::binary);
  if (!in || fs::is_directory(file)) throw Error(ErrorKind::kData, "cannot be read", "check the path and its permissions", display_path(file));
  Problems problems;
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    try {
      const auto json = nlohmann::ordered_json::parse(mend_utf8(line), nullptr, false);
      if (json.is_discarded()) throw Error(ErrorKind::kData, "not JSON");
      visit(answer_from_json(json));
    } catch (const Error& e) {
      if (e.where().empty()) problems.add(e.message(), {}, display_path(file) + ":" + std::to_string(number));
      else throw;
    }
  }
  if (in.bad()) throw Error(ErrorKind::kData, "cannot be read to its end", "check the disk", display_path(file));
  if (!problems.empty())
    problems.add("nothing was imported", "expected lines as `oncekit answers export` writes them (docs/formats.md); logs of the ONCE release need --format once");
  problems.raise(ErrorKind::kData);
}

}  // namespace

void AnswerStore::export_lines(const fs::path& file) const {
  const PartFile part{file.string() + ".part" + std::to_string(::getpid())};
  state_->db.run("BEGIN");  // one moment of the store, whatever others write meanwhile
  const ReadTransaction transaction{state_->db};
  const auto writing = [&](const auto& work) {
    try {
      work();
    } catch (const Error& e) {  // of the file under its temporary name
      throw Error(e.kind(), e.message(), "check the path and its permissions, or make room; nothing was left in its place", display_path(file));
    }
  };
  std::optional<GrowingFile> out;
  writing([&] { out.emplace(part.file, 0); });
  each({}, [&](const StoredAnswer& answer) {
    const std::string line = compact(answer_json(answer)) + "\n";
    writing([&] { out->append(line); });
  });
  writing([&] { out->sync(); });
  out.reset();
  std::error_code code;
  fs::rename(part.file, file, code);
  if (code) throw Error(ErrorKind::kRun, "cannot be written: " + code.message(), "check the path and its permissions", display_path(file));
}

std::int64_t AnswerStore::import_lines(const fs::path& file) {
  State& s = *state_;
  std::int64_t added = 0;
  WriteTransaction transaction(s.db);
  read_lines(file, [&](const StoredAnswer& answer) {
    if (!s.answered(answer.request, answer.draw, answer.attempt)) added += s.insert(answer);
  });
  transaction.commit();
  return added;
}

}  // namespace oncekit
