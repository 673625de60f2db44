// SQLite as the store needs it: prepared statements, transactions that roll back, and failures as one paragraph with what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace oncekit {

/// One connection. Thread-safe: no. Every failure is an Error: kData for a file that is damaged or none of SQLite's, kRun for a full disk, for
/// lacking permissions, and for a file that others kept locked for half a minute.
class Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };
  /// kReadWrite makes the file when it is not there. Nothing is read or written yet.
  Database(const std::filesystem::path& file, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Statements without results, apart by semicolons.
  void run(const char* sql);
  /// The same; while others hold the file in a way that SQLite itself does not wait for, it is tried again for half a minute.
  void run_patiently(const char* sql);
  /// The first column of the first row as a number, or 0 without rows.
  std::int64_t number(const char* sql);
  std::int64_t changed_rows() const;  ///< by the last INSERT, UPDATE or DELETE
  [[noreturn]] void fail(int code) const;
  sqlite3* handle() const noexcept { return handle_; }
  const std::filesystem::path& file() const noexcept { return file_; }

 private:
  int open(Mode mode, bool immutable);
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
};

/// A prepared statement, kept and used again; prepared at its first use.
class Statement {
 public:
  Statement(Database& database, std::string sql) : database_(database), sql_(std::move(sql)) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Begins anew: the next bind() is of the first parameter.
  Statement& start();
  Statement& bind(std::int64_t value);
  Statement& bind(double value);
  /// As TEXT; as BLOB when it is not UTF-8 or holds a zero byte, so that other programs can read the file.
  Statement& bind(std::string_view value);
  Statement& bind_null();

  /// True while there is a row to read. After the last row the statement is idle again.
  bool step();
  /// To the end, results are dropped.
  void run();
  /// Gives its locks back before the last row was read.
  void reset() noexcept;

  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  ///< the bytes, be it TEXT or BLOB
  bool is_null(int column) const;

 private:
  Database& database_;
  std::string sql_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

/// BEGIN IMMEDIATE: one writer at a time, over all processes. Rolls back unless committed.
class WriteTransaction {
 public:
  explicit WriteTransaction(Database& database);
  ~WriteTransaction();
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace oncekit
