#include "endpoint/transfer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "oncekit/error.h"
#include "oncekit/version.h"

namespace oncekit {
namespace {

constexpr std::size_t kMostBody = 8u << 20, kMostHeaders = 256u << 10;  // bytes of an answer
constexpr std::size_t kKeptBody = 64u << 10;                            // capacity that a resting handle may hold on to
constexpr long kBuffer = 16384;                                         // bytes a direction and handle; the least that libcurl takes for sending

void check(CURLcode code, const char* what) {
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code != CURLE_OK)
    throw Error(ErrorKind::kUsage, std::string("libcurl refuses ") + what + ": " + ::curl_easy_strerror(code), "check [endpoint]");
}

template <class T>
void set(CURL* easy, CURLoption option, T value, const char* what) {
  check(::curl_easy_setopt(easy, option, value), what);
}

long milliseconds(double seconds) { return std::max(1L, static_cast<long>(seconds * 1000 + 0.5)); }

struct Url {
  CURLU* url = ::curl_url();
  ~Url() { ::curl_url_cleanup(url); }
  std::string part(CURLUPart what, unsigned flags = 0) const {
    char* text = nullptr;
    if (::curl_url_get(url, what, &text, flags) != CURLUE_OK || !text) return {};
    std::string copy(text);
    ::curl_free(text);
    return copy;
  }
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || host == "::1" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace

Route read_route(const std::string& url) {
  static constexpr const char* kExpected = "use a base address such as https://api.openai.com/v1 or http://127.0.0.1:8080/v1";
  const Url parsed;
  if (!parsed.url) throw std::bad_alloc();
  // An address with a password in it is shown to nobody, not even in the error that refuses it.
  const std::string shown = url.find('@') == std::string::npos ? "'" + url + "'" : "an address with a user name or password";
  if (url.find("://") == std::string::npos || ::curl_url_set(parsed.url, CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    throw Error(ErrorKind::kUsage, "endpoint.url is " + shown + "; expected the base address of a server", kExpected);
  const std::string scheme = parsed.part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https")
    throw Error(ErrorKind::kUsage, "endpoint.url is " + shown + "; expected http or https", kExpected);
  if (!parsed.part(CURLUPART_USER).empty() || !parsed.part(CURLUPART_PASSWORD).empty())
    throw Error(ErrorKind::kUsage, "endpoint.url holds a user name or password, which would end up in records", "keep the key in the environment variable that endpoint.key names");
  Route route;
  route.encrypted = scheme == "https";
  route.host = parsed.part(CURLUPART_HOST);
  route.loopback = is_loopback(route.host);
  std::string path = parsed.part(CURLUPART_PATH);
  while (path.ends_with('/')) path.pop_back();
  static constexpr std::string_view kOperation = "/chat/completions";
  if (!path.ends_with(kOperation)) path += kOperation;
  if (::curl_url_set(parsed.url, CURLUPART_PATH, path.c_str(), 0) != CURLUE_OK || ::curl_url_set(parsed.url, CURLUPART_FRAGMENT, nullptr, 0) != CURLUE_OK)
    throw std::bad_alloc();
  route.url = parsed.part(CURLUPART_URL);
  return route;
}

Host host_of(const std::string& url) {
  const Route route = read_route(url);
  return {route.host, route.loopback};
}

Transfer::Transfer(const EndpointOptions& options, const Route& route, std::function<void(const Job&)> sending)
    : easy_(::curl_easy_init()), sending_(std::move(sending)) {
  if (!easy_) throw std::bad_alloc();
  try {
    set(easy_, CURLOPT_ERRORBUFFER, words_.data(), "an error buffer");
    set(easy_, CURLOPT_PRIVATE, this, "a pointer");
    set(easy_, CURLOPT_NOSIGNAL, 1L, "NOSIGNAL");
    set(easy_, CURLOPT_URL, route.url.c_str(), "endpoint.url");
#if LIBCURL_VERSION_NUM >= 0x075500
    set(easy_, CURLOPT_PROTOCOLS_STR, "http,https", "the protocols");
#else
    set(easy_, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS), "the protocols");
#endif
    set(easy_, CURLOPT_FOLLOWLOCATION, 0L, "not to follow redirects");
    // One request a connection at a time: a broken connection takes one request with it, not a hundred.
    set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1), "HTTP/1.1");
    set(easy_, CURLOPT_POST, 1L, "POST");
    set(easy_, CURLOPT_HTTPHEADER, route.headers, "the headers");
    set(easy_, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE), "no headers for proxies");
    set(easy_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L, "no headers of proxies");
    set(easy_, CURLOPT_USERAGENT, "oncekit/" ONCEKIT_VERSION, "the user agent");
    set(easy_, CURLOPT_TIMEOUT_MS, milliseconds(options.timeout_s), "endpoint.timeout_s");
    set(easy_, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout_s), "endpoint.connect_timeout_s");
    set(easy_, CURLOPT_TCP_KEEPALIVE, 1L, "TCP keep-alive");
    set(easy_, CURLOPT_BUFFERSIZE, kBuffer, "a buffer size");
    set(easy_, CURLOPT_UPLOAD_BUFFERSIZE, kBuffer, "a buffer size");
    set(easy_, CURLOPT_SSL_VERIFYPEER, 1L, "to verify certificates");
    set(easy_, CURLOPT_SSL_VERIFYHOST, 2L, "to verify host names");
    if (!options.ca_file.empty()) {
      set(easy_, CURLOPT_CAINFO, options.ca_file.c_str(), "endpoint.ca_file");
      set(easy_, CURLOPT_CAPATH, static_cast<char*>(nullptr), "endpoint.ca_file");  // instead of the system's, not beside them
    }
    // A proxy of the environment cannot reach this very machine.
    if (!options.proxy.empty()) set(easy_, CURLOPT_PROXY, options.proxy.c_str(), "endpoint.proxy");
    else if (route.loopback) set(easy_, CURLOPT_PROXY, "", "no proxy");
    // The body comes through a callback that cannot rewind. When a connection that had been kept alive breaks, libcurl would else send the
    // request once more by itself: a try that nobody counts, and that may be billed.
    set(easy_, CURLOPT_READFUNCTION, &Transfer::on_read, "a callback");
    set(easy_, CURLOPT_READDATA, this, "a callback");
    set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body, "a callback");
    set(easy_, CURLOPT_WRITEDATA, this, "a callback");
    set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header, "a callback");
    set(easy_, CURLOPT_HEADERDATA, this, "a callback");
  } catch (...) {
    ::curl_easy_cleanup(easy_);
    throw;
  }
}

Transfer::~Transfer() { ::curl_easy_cleanup(easy_); }

void Transfer::begin(std::unique_ptr<Job> job) {
  job_ = std::move(job);
  sent_ = header_bytes_ = 0;
  headed_ = from_mock_ = false;
  answer_.clear();
  retry_after_.clear();
  retry_after_ms_.clear();
  date_.clear();
  words_[0] = '\0';
  failure = nullptr;
  set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(job_->body.size()), "the size of a request");
}

std::unique_ptr<Job> Transfer::end() {
  if (answer_.capacity() > kKeptBody) std::string().swap(answer_);
  return std::move(job_);
}

std::size_t Transfer::on_read(char* to, std::size_t size, std::size_t count, void* self) {
  Transfer& t = *static_cast<Transfer*>(self);
  if (t.sent_ == 0) {
    try {
      t.sending_(*t.job_);
    } catch (...) {  // not through libcurl's frames
      t.failure = std::current_exception();
      return CURL_READFUNC_ABORT;
    }
  }
  const std::size_t n = std::min(size * count, t.job_->body.size() - t.sent_);
  std::memcpy(to, t.job_->body.data() + t.sent_, n);
  t.sent_ += n;
  return n;
}

std::size_t Transfer::on_body(char* from, std::size_t size, std::size_t count, void* self) {
  Transfer& t = *static_cast<Transfer*>(self);
  if (t.answer_.size() + size * count > kMostBody) return 0;  // a short count ends the transfer
  try {
    t.answer_.append(from, size * count);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return size * count;
}

std::size_t Transfer::on_header(char* from, std::size_t size, std::size_t count, void* self) {
  Transfer& t = *static_cast<Transfer*>(self);
  const std::string_view line(from, size * count);
  t.header_bytes_ += line.size();
  if (t.header_bytes_ > kMostHeaders) return 0;
  if (line == "\r\n" || line == "\n") t.headed_ = true;
  const auto value_of = [&](std::string_view name) -> std::string_view {
    if (line.size() <= name.size() || line[name.size()] != ':') return {};
    for (std::size_t i = 0; i < name.size(); ++i) {
      const char c = line[i];
      if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != name[i]) return {};
    }
    return line.substr(name.size() + 1);
  };
  if (value_of("server").find("oncekit-mock") != std::string_view::npos) t.from_mock_ = true;  // as mock_llm/reply.cpp writes it
  try {
    if (line.starts_with("HTTP/")) t.headed_ = false, t.retry_after_.clear(), t.retry_after_ms_.clear(), t.date_.clear();  // a provisional answer came before
    for (const auto& [name, where] : {std::pair<std::string_view, std::string*>{"retry-after", &t.retry_after_}, {"retry-after-ms", &t.retry_after_ms_}, {"date", &t.date_}})
      if (const std::string_view value = value_of(name); !value.empty()) *where = std::string(value);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return line.size();
}

}  // namespace oncekit
