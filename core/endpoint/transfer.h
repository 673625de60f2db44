// One request on its way through libcurl: a handle that is used again and again, its settings, and what libcurl calls back with.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include <curl/curl.h>

#include "endpoint/client.h"

namespace oncekit {

/// A request on its way from submit() to done(), all tries.
struct Job {
  std::int64_t id = 0;
  std::string body;
  std::int64_t prompt_bound = 0, max_tokens = 0;  ///< tokens
  int tries = 0, possibly_billed = 0;
};

/// Where requests go and how: checked once, the same for all.
struct Route {
  std::string url;                 ///< with /chat/completions
  std::string host;
  bool encrypted = false, loopback = false;
  curl_slist* headers = nullptr;   ///< holds the key; owned by the client
};

/// Throws Error(kUsage) for an address that is none, is neither http nor https, or holds a user name or password.
Route read_route(const std::string& url);

class Transfer {
 public:
  /// sending: called once a try, when the connection stands and the body is about to leave. It may throw: the try is then stopped, and
  /// `failure` holds what was thrown.
  Transfer(const EndpointOptions& options, const Route& route, std::function<void(const Job&)> sending);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void begin(std::unique_ptr<Job> job);
  std::unique_ptr<Job> end();      ///< forgets the try

  CURL* handle() const noexcept { return easy_; }
  Job& job() noexcept { return *job_; }
  bool begun() const noexcept { return sent_ > 0; }
  bool whole() const noexcept { return job_ && sent_ == job_->body.size(); }
  /// The blank line behind an answer's headers was seen: libcurl takes a connection that ends before it for the end of an answer.
  bool headed() const noexcept { return headed_; }
  bool from_mock() const noexcept { return from_mock_; }  ///< the answer's Server header says so
  const std::string& answer() const noexcept { return answer_; }
  const std::string& retry_after() const noexcept { return retry_after_; }
  const std::string& retry_after_ms() const noexcept { return retry_after_ms_; }
  const std::string& date() const noexcept { return date_; }
  const char* words() const noexcept { return words_.data(); }
  std::exception_ptr failure;

 private:
  static std::size_t on_read(char* to, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* from, std::size_t size, std::size_t count, void* self);
  static std::size_t on_header(char* from, std::size_t size, std::size_t count, void* self);

  CURL* easy_ = nullptr;
  std::function<void(const Job&)> sending_;
  std::unique_ptr<Job> job_;
  std::size_t sent_ = 0, header_bytes_ = 0;
  bool headed_ = false, from_mock_ = false;
  std::string answer_, retry_after_, retry_after_ms_, date_;
  std::array<char, CURL_ERROR_SIZE> words_{};
};

}  // namespace oncekit
