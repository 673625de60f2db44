// The key of an endpoint: out of the environment, into memory that is overwritten at the end, and blanked out wherever a server echoes it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace oncekit {

/// Bytes that are overwritten when it goes. Moving hands over the one place where they stand.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();
  bool empty() const noexcept { return size_ == 0; }
  std::string_view view() const noexcept { return {bytes_.get(), size_}; }

 private:
  void wipe() noexcept;
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

/// The value of an environment variable, empty when there is none. From then on neither this process's environment (nor
/// /proc/self/environ) nor its children's holds it, and the process leaves no core dump. A later call for the same variable gives the same
/// value again: it is kept, outside of the environment, until the process ends. Throws Error(kUsage), without the value, when it holds
/// characters that no HTTP header may hold.
Secret take_key(const std::string& variable);

/// `text` with every occurrence of the key replaced by "[key]", a beginning of it at the very end of the text included (what was cut off).
std::string without_key(std::string text, std::string_view key);

}  // namespace oncekit
