// What a user can cause: one exception type, one paragraph, one exit code.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace oncekit {

/// The kind of a failure; its value is the process's exit code.
enum class ErrorKind {
  kRun = 1,          ///< the run failed (numbers diverged, disk full, endpoint down)
  kUsage = 2,        ///< wrong command line or recipe
  kPlugin = 3,       ///< a plugin is missing, refused, or threw
  kData = 4,         ///< data or weights are missing or damaged
  kInterrupted = 130 ///< stopped by the user, a checkpoint was saved
};

/// Thrown for everything a user can cause. Bugs of our own are assertions instead.
class Error : public std::exception {
 public:
  /// message: what happened and what was expected. hint: what to do, may be empty.
  /// where: "file:line:column", "file:line", a file, or empty.
  Error(ErrorKind kind, std::string message, std::string hint = {}, std::string where = {});
  ~Error() override;

  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }
  const std::string& message() const noexcept { return message_; }
  const std::string& hint() const noexcept { return hint_; }
  const std::string& where() const noexcept { return where_; }

  /// "where: message; hint" on one line (several lines only when the message itself lists several problems).
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_, hint_, where_, text_;
};

/// Collects problems so that all of them are shown at once: the first 20, then a count.
class Problems {
 public:
  void add(std::string message, std::string hint = {}, std::string where = {});
  bool empty() const noexcept { return items_.empty(); }
  std::size_t size() const noexcept { return items_.size(); }
  const std::vector<Error>& items() const noexcept { return items_; }
  /// Throws one Error of this kind that lists them; does nothing when there are none.
  void raise(ErrorKind kind) const;

 private:
  std::vector<Error> items_;
};

/// The candidate closest to `word` in edit distance, or "" when none is near enough to be meant.
std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace oncekit
