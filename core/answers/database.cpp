#include "answers/database.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include <sqlite3.h>
#include <unistd.h>

#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

constexpr int kPatienceMs = 30000;  // of one process while others write

std::string as_uri(const fs::path& file, const char* query) {
  std::string uri = "file:";
  for (const char c : fs::absolute(file).string()) {
    if (c == '?' || c == '#' || c == '%') {
      static const char* kHex = "0123456789abcdef";
      uri += {'%', kHex[static_cast<unsigned char>(c) >> 4], kHex[static_cast<unsigned char>(c) & 15]};
    } else {
      uri += c;
    }
  }
  return uri + query;
}

}  // namespace

Database::Database(const fs::path& file, Mode mode) : file_(file) {
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) throw Error(ErrorKind::kRun, "the answer store cannot be opened: this is a folder", "name a file with --store FILE", display_path(file));
  int code = open(mode, false);
  if (code == SQLITE_OK && mode == Mode::kReadOnly) {
    // A log of writes beside the file cannot be made in a folder that is read-only. When there is none, the file alone is the whole truth.
    code = sqlite3_exec(handle_, "SELECT count(*) FROM sqlite_master", nullptr, nullptr, nullptr);
    const fs::path log = file.string() + "-wal";
    const bool no_log = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
    if (no_log && (!fs::exists(log, ignored) || fs::file_size(log, ignored) == 0)) {
      sqlite3_close(handle_);
      code = open(mode, true);
    } else if (!no_log) {
      code = SQLITE_OK;  // whatever else it is comes up again, in words, with the first real question
    }
  }
  if (code == SQLITE_OK) return;
  try {
    fail(code);
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

int Database::open(Mode mode, bool immutable) {
  // A reader may write where it can, though it never does: SQLite lets only such a connection remove the -wal and -shm files behind it.
  const int flags = (mode == Mode::kReadWrite ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
  int code = sqlite3_open_v2(as_uri(file_, immutable ? "?immutable=1" : "").c_str(), &handle_, flags, nullptr);
  if (handle_ != nullptr) {
    sqlite3_extended_result_codes(handle_, 1);
    sqlite3_busy_timeout(handle_, kPatienceMs);
    if (code == SQLITE_OK && mode == Mode::kReadOnly) code = sqlite3_exec(handle_, "PRAGMA query_only = ON", nullptr, nullptr, nullptr);
  }
  return code;
}

Database::~Database() { sqlite3_close(handle_); }

void Database::fail(int code) const {
  const int last = errno;
  int system = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
  if (system == 0 && (code & 0xff) == SQLITE_IOERR) system = last;  // SQLite does not keep it when a COMMIT fails
  const std::string where = display_path(file_);
  const std::string said = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  const bool full = system == ENOSPC || system == EDQUOT || system == EFBIG;
  const auto error = [&](ErrorKind kind, std::string message, std::string hint) { throw Error(kind, std::move(message), std::move(hint), where); };
  const std::string reason = system != 0 ? std::string(std::strerror(system)) : said;
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      error(ErrorKind::kData, "is not an answer store: not an SQLite file, or its first page is damaged", "name another file, or restore a copy of this one");
      break;
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
      error(ErrorKind::kData, "the answer store is damaged (" + said + ")",
            "restore a copy, or save what can be read: sqlite3 FILE .recover | sqlite3 NEW_FILE, then `oncekit answers verify --store NEW_FILE`");
      break;
    case SQLITE_FULL:
      error(ErrorKind::kRun, "the disk is full: the answer store cannot grow",
            "make room and run the command again; what was stored before is safe, and is not asked again");
      break;
    case SQLITE_IOERR:
      if (full)
        error(ErrorKind::kRun, std::string("the answer store cannot grow: ") + std::strerror(system),
              "make room or raise the limit, and run the command again; what was stored before is safe, and is not asked again");
      error(ErrorKind::kRun, "the answer store cannot be read or written: " + reason, "check the disk; network folders that lack locks cannot hold a store");
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      error(ErrorKind::kRun, "another program kept the answer store locked for " + std::to_string(kPatienceMs / 1000) + " s",
            "end the program that has it open for writing, e.g. an sqlite3 shell within a transaction");
      break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN: {
      std::error_code ignored;
      const bool parent = fs::is_directory(fs::absolute(file_, ignored).parent_path(), ignored);
      if (!parent) error(ErrorKind::kRun, "the answer store cannot be opened: its folder is not there", "make the folder, or name another file with --store FILE");
      error(ErrorKind::kRun, "the answer store cannot be written: it or its folder is read-only, or out of reach",
            "allow writing in the folder (SQLite keeps -wal and -shm files beside the store), or name another file with --store FILE");
      break;
    }
    case SQLITE_NOMEM: error(ErrorKind::kRun, "out of memory while using the answer store", "free some memory, and run the command again"); break;
    default: break;
  }
  throw Error(ErrorKind::kRun, "the answer store failed: " + said, "check the file with `oncekit answers verify`", where);
}

void Database::run(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
}

void Database::run_patiently(const char* sql) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  for (;;) {
    const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return;
    if ((code & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() > end) fail(code);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::int64_t Database::number(const char* sql) {
  Statement statement(*this, sql);
  return statement.start().step() ? statement.integer(0) : 0;
}

std::int64_t Database::changed_rows() const { return sqlite3_changes(handle_); }

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::start() {
  if (statement_ == nullptr) {
    const int code = sqlite3_prepare_v3(database_.handle(), sql_.c_str(), static_cast<int>(sql_.size()) + 1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    if (code != SQLITE_OK) database_.fail(code);
  }
  reset();
  bound_ = 0;
  return *this;
}

Statement& Statement::bind(std::int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, ++bound_, value); code != SQLITE_OK) database_.fail(code);
  return *this;
}

Statement& Statement::bind(double value) {
  if (const int code = sqlite3_bind_double(statement_, ++bound_, value); code != SQLITE_OK) database_.fail(code);
  return *this;
}

Statement& Statement::bind(std::string_view value) {
  const bool text = is_utf8(value) && value.find('\0') == std::string_view::npos;
  const char* bytes = value.data() != nullptr ? value.data() : "";  // a null pointer would be NULL, not ""
  const int code = text ? sqlite3_bind_text64(statement_, ++bound_, bytes, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8)
                        : sqlite3_bind_blob64(statement_, ++bound_, bytes, value.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) database_.fail(code);
  return *this;
}

Statement& Statement::bind_null() {
  if (const int code = sqlite3_bind_null(statement_, ++bound_); code != SQLITE_OK) database_.fail(code);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    try {
      database_.fail(code);
    } catch (...) {
      reset();  // after fail() has read the connection's message
      throw;
    }
  }
  reset();
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() noexcept { sqlite3_reset(statement_); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes != nullptr ? std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size)) : std::string();
}

WriteTransaction::WriteTransaction(Database& database) : database_(database) { database_.run("BEGIN IMMEDIATE"); }

WriteTransaction::~WriteTransaction() {
  // SQLite may have rolled back by itself, e.g. on a full disk.
  if (open_ && sqlite3_get_autocommit(database_.handle()) == 0) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void WriteTransaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace oncekit
