#include "mock_llm/server.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <unordered_map>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "base/files.h"
#include "mock_llm/reply.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Code = boost::system::error_code;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::uint64_t kMostBody = 8u << 20;  // bytes
constexpr int kDrips = 40;
constexpr std::chrono::milliseconds kDrip{50};

// As many connections as this process may have.
void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 4096) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

// What all connections share; touched by the server's one thread alone.
struct Shared {
  MockOptions options;
  int log = -1;
  std::atomic<std::int64_t> requests{0};
  std::unordered_map<std::string, std::int64_t> seen;  // by hash of the body: how often it came

  ~Shared() {
    if (log >= 0) ::close(log);
  }

  // One line a request, written before the answer: what was read here may have been paid for elsewhere, even if nobody hears of it.
  void note(const std::string& hash, std::int64_t attempt, const MockReply& reply) {
    if (log < 0) return;
    const bool silent = reply.fault == MockFault::kCutBefore || reply.fault == MockFault::kCutWithin || reply.fault == MockFault::kGarbage ||
                        reply.fault == MockFault::kTruncatedJson;
    const nlohmann::ordered_json line{{"body", hash}, {"try", attempt + 1}, {"status", reply.status},
                                      {"outcome", silent ? "no answer" : reply.status == 200 ? "answer" : "error"}, {"fault", fault_name(reply.fault)}};
    const std::string text = line.dump() + "\n";
    [[maybe_unused]] const auto n = ::write(log, text.data(), text.size());  // appended whole; a full disk costs the log, not the answer
  }
};

// One connection: a request, its latency, its answer, the next request.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Shared& shared) : socket_(std::move(socket)), timer_(socket_.get_executor()), shared_(shared) {}

  void read() {
    parser_.emplace();
    parser_->body_limit(kMostBody);
    http::async_read_header(socket_, buffer_, *parser_, [self = shared_from_this()](Code code, std::size_t) {
      if (code) return self->failed(code);
      if (self->parser_->get()[http::field::expect] != "100-continue") return self->read_body();
      self->bytes_ = "HTTP/1.1 100 Continue\r\n\r\n";
      self->write([self] { self->read_body(); });
    });
  }

 private:
  void read_body() {
    http::async_read(socket_, buffer_, *parser_, [self = shared_from_this()](Code code, std::size_t) {
      if (code) return self->failed(code);
      self->answer();
    });
  }

  void answer() {
    const auto& message = parser_->get();
    const std::string hash = digest128(message.body());
    const bool keep_alive = message.keep_alive();
    std::int64_t& times = shared_.seen[hash];
    MockReply reply;
    try {
      reply = mock_reply({view(message.method_string()), view(message.target()), view(message[http::field::authorization]), message.body()},
                         std::stoull(hash.substr(0, 16), nullptr, 16), times, shared_.options);
    } catch (const std::exception& e) {  // a server goes on serving
      reply.status = 500;
      reply.body = nlohmann::json{{"error", {{"message", e.what()}}}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    shared_.note(hash, times, reply);
    ++times;
    ++shared_.requests;
    after(Milliseconds(shared_.options.latency_ms), [self = shared_from_this(), reply = std::move(reply), keep_alive] { self->send(reply, keep_alive); });
  }

  void send(const MockReply& reply, bool keep_alive) {
    if (reply.fault == MockFault::kCutBefore) return close();
    bytes_ = http_bytes(reply, keep_alive);
    if (reply.fault == MockFault::kCutWithin) {
      bytes_.resize(bytes_.size() - reply.body.size() / 2 - 1);
      keep_alive = false;
    }
    if (reply.no_http) keep_alive = false;
    if (reply.fault == MockFault::kSlowDrip) return drip(0, keep_alive);
    write([self = shared_from_this(), keep_alive] { self->next(keep_alive); });
  }

  void drip(std::size_t from, bool keep_alive) {
    const std::size_t step = std::max<std::size_t>(1, (bytes_.size() + kDrips - 1) / kDrips), n = std::min(step, bytes_.size() - from);
    asio::async_write(socket_, asio::buffer(bytes_.data() + from, n), [self = shared_from_this(), end = from + n, keep_alive](Code code, std::size_t) {
      if (code) return self->close();
      if (end == self->bytes_.size()) return self->next(keep_alive);
      self->after(kDrip, [self, end, keep_alive] { self->drip(end, keep_alive); });
    });
  }

  void next(bool keep_alive) { keep_alive ? read() : close(); }

  template <class Then>
  void after(Milliseconds wait, Then then) {
    if (wait.count() <= 0) return then();
    timer_.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(wait));
    timer_.async_wait([then = std::move(then)](Code code) {
      if (!code) then();
    });
  }

  template <class Then>
  void write(Then then) {
    asio::async_write(socket_, asio::buffer(bytes_), [self = shared_from_this(), then = std::move(then)](Code code, std::size_t) {
      if (code) return self->close();
      then();
    });
  }

  // A client that leaves needs no answer; one that sends no HTTP gets one.
  void failed(Code code) {
    if (code.category() != http::make_error_code(http::error::bad_method).category() || code == http::error::end_of_stream) return close();
    MockReply reply;
    reply.status = code == http::error::body_limit ? 413 : 400;
    reply.body = nlohmann::json{{"error", {{"message", "no HTTP request that this mock reads: " + code.message()}}}}.dump();
    bytes_ = http_bytes(reply, false);
    write([self = shared_from_this()] { self->close(); });
  }

  void close() {
    Code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  Shared& shared_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string bytes_;
};

}  // namespace

class MockServer::State {
 public:
  explicit State(const MockOptions& options) : acceptor_(io_), pause_(io_) {
    shared_.options = options;
    if (options.port < 0 || options.port > 65535) throw Error(ErrorKind::kUsage, "port " + std::to_string(options.port) + " is none; expected 0 to 65535");
    if (options.answers != "helpful" && options.answers != "random" && options.answers != "echo")
      throw Error(ErrorKind::kUsage, "the mock gives no '" + options.answers + "' answers", "use helpful, random or echo");
    raise_descriptors();
    if (!options.log.empty()) {
      shared_.log = ::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (shared_.log < 0) throw Error(ErrorKind::kRun, std::string("cannot be written: ") + std::strerror(errno), "name another file for the log", display_path(options.log));
    }
    try {
      const tcp::endpoint here(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(options.port));
      acceptor_.open(here.protocol());
      acceptor_.set_option(tcp::acceptor::reuse_address(true));
      acceptor_.bind(here);
      acceptor_.listen(4096);
      port_ = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& e) {
      throw Error(ErrorKind::kRun, "port " + std::to_string(options.port) + " of this machine cannot be served: " + e.code().message(),
                  "take another port, or 0 for any free one");
    }
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }

  ~State() {
    io_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  std::int64_t requests() const { return shared_.requests; }

 private:
  void accept() {
    acceptor_.async_accept([this](Code code, tcp::socket socket) {
      if (!code) {
        Code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        std::make_shared<Connection>(std::move(socket), shared_)->read();
        return accept();
      }
      if (code == asio::error::operation_aborted) return;
      // Out of descriptors, most likely: some will be free again.
      pause_.expires_after(std::chrono::milliseconds(50));
      pause_.async_wait([this](Code stopped) {
        if (!stopped) accept();
      });
    });
  }

  Shared shared_;           // outlives the connections, which go with io_
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::thread thread_;
  int port_ = 0;
};

MockServer::MockServer(const MockOptions& options) : state_(std::make_unique<State>(options)) {}
MockServer::~MockServer() = default;
int MockServer::port() const { return state_->port(); }
std::string MockServer::url() const { return "http://127.0.0.1:" + std::to_string(port()) + "/v1"; }
std::int64_t MockServer::requests() const { return state_->requests(); }

void MockServer::run_until(const std::function<bool()>& stop) {
  while (!stop()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

}  // namespace oncekit
