// A server that says exactly what a test wants, byte by byte, and counts.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace oncekit::test {

/// What is done with one request.
struct Say {
  std::string bytes;
  bool close = false;          ///< afterwards
  int pause_ms = 0;            ///< before
  int drip_ms = 0;             ///< between any two bytes
};

class RawServer {
 public:
  /// handler: called for the n-th request (from 0) with all its bytes; from several threads, one at a time.
  explicit RawServer(std::function<Say(const std::string& request, int n)> handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&here), size) == 0);
    REQUIRE(::listen(listener_, 512) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) == 0);
    port_ = ntohs(here.sin_port);
    accepting_ = std::thread([this] { accept(); });
  }
  ~RawServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    {
      const std::scoped_lock lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  int port() const { return port_; }
  int requests() const { return requests_; }
  int connections() const { return connections_; }
  int most_at_once() const { return most_at_once_; }

 private:
  void accept() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const std::scoped_lock lock(mutex_);
      ++connections_;
      open_.insert(fd);
      threads_.emplace_back([this, fd] {
        serve(fd);
        const std::scoped_lock lock(mutex_);
        open_.erase(fd);
        ::close(fd);
      });
    }
  }

  void serve(int fd) {
    std::string bytes;
    for (;;) {
      std::size_t head, length = 0;
      while ((head = bytes.find("\r\n\r\n")) == std::string::npos)
        if (!receive(fd, bytes)) return;
      if (const std::size_t at = bytes.find("Content-Length: "); at < head) length = std::stoul(bytes.substr(at + 16));
      while (bytes.size() < head + 4 + length)
        if (!receive(fd, bytes)) return;
      const std::string request = bytes.substr(0, head + 4 + length);
      bytes.erase(0, request.size());
      Say say;
      {
        const std::scoped_lock lock(mutex_);
        most_at_once_ = std::max<int>(most_at_once_, ++at_once_);
        say = handler_(request, requests_++);
      }
      for (int waited = 0; waited < say.pause_ms && !stopping_; waited += 5) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      {
        const std::scoped_lock lock(mutex_);
        --at_once_;
      }
      if (say.drip_ms == 0) {
        if (!send(fd, say.bytes)) return;
      } else {
        for (const char c : say.bytes) {
          if (stopping_ || !send(fd, std::string(1, c))) return;
          std::this_thread::sleep_for(std::chrono::milliseconds(say.drip_ms));
        }
      }
      if (say.close) return;
    }
  }

  static bool receive(int fd, std::string& bytes) {
    char buffer[65536];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n > 0) bytes.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  static bool send(int fd, const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  std::function<Say(const std::string&, int)> handler_;
  int listener_ = -1, port_ = 0, at_once_ = 0;
  std::atomic<int> requests_{0}, connections_{0}, most_at_once_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

inline std::string http(int status, const std::string& body, const std::string& headers = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " Something\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}

inline std::string answer_json(const std::string& text, const std::string& finish = "stop") {
  return R"({"choices":[{"index":0,"message":{"role":"assistant","content":")" + text + R"("},"finish_reason":")" + finish +
         R"("}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})";
}

inline std::string ok(const std::string& text = "fine") { return http(200, answer_json(text)); }

}  // namespace oncekit::test
