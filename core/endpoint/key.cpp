#include "endpoint/key.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "oncekit/error.h"

namespace oncekit {
namespace {

constexpr std::size_t kShortestTail = 4;  // shorter beginnings of a key say nothing, and are part of many words

// Keys by variable. A process may make one client after another, and the environment no longer has what the first one took.
std::map<std::string, Secret>& kept() {
  static std::map<std::string, Secret> keys;
  return keys;
}

std::mutex& kept_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Another process of the same user could read the memory through /proc or a debugger, or find it in a core file.
void close_the_process() {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

// The kernel shows the bytes that the environment had at the start: removing the name alone would leave them there.
void wipe_environment(const std::string& variable) {
  const std::string lead = variable + "=";
  for (char** entry = environ; entry && *entry; ++entry)
    if (std::strncmp(*entry, lead.c_str(), lead.size()) == 0) ::explicit_bzero(*entry + lead.size(), std::strlen(*entry) - lead.size());
  ::unsetenv(variable.c_str());
}

}  // namespace

Secret::Secret(std::string_view bytes) : bytes_(std::make_unique<char[]>(bytes.size())), size_(bytes.size()) {
  std::copy(bytes.begin(), bytes.end(), bytes_.get());
}

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  bytes_ = std::move(other.bytes_);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

Secret::~Secret() { wipe(); }

void Secret::wipe() noexcept {
  if (bytes_) ::explicit_bzero(bytes_.get(), size_);
}

Secret take_key(const std::string& variable) {
  const std::scoped_lock lock(kept_mutex());
  if (const char* value = variable.empty() || variable.find('=') != std::string::npos ? nullptr : std::getenv(variable.c_str())) {
    close_the_process();
    std::string_view trimmed(value);
    while (!trimmed.empty() && std::isspace(static_cast<unsigned char>(trimmed.front()))) trimmed.remove_prefix(1);
    while (!trimmed.empty() && std::isspace(static_cast<unsigned char>(trimmed.back()))) trimmed.remove_suffix(1);
    const bool sound = std::all_of(trimmed.begin(), trimmed.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
    Secret key(trimmed);
    wipe_environment(variable);
    if (!sound)
      throw Error(ErrorKind::kUsage, "the environment variable " + variable + " holds spaces, control characters or letters beyond ASCII; expected a key as the provider shows it",
                  "set it again, without quotes or line breaks");
    if (!key.empty()) kept()[variable] = std::move(key);
  }
  const auto found = kept().find(variable);
  return found == kept().end() ? Secret() : Secret(found->second.view());
}

std::string without_key(std::string text, std::string_view key) {
  if (key.empty()) return text;
  static constexpr std::string_view kBlank = "[key]";
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += kBlank.size()) text.replace(at, key.size(), kBlank);
  for (std::size_t n = std::min(key.size() - 1, text.size()); n >= kShortestTail; --n)
    if (text.ends_with(key.substr(0, n))) {
      text.replace(text.size() - n, n, kBlank);
      break;
    }
  return text;
}

}  // namespace oncekit
