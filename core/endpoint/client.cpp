#include "endpoint/client.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <ctime>
#include <deque>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/files.h"
#include "endpoint/key.h"
#include "endpoint/limits.h"
#include "endpoint/transfer.h"
#include "endpoint/verdict.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "oncekit/prompt.h"

namespace oncekit {
namespace {

constexpr std::int64_t kMessageTokens = 16;      // roles and separators around the texts of a request
constexpr double kIdle_s = 0.1;
constexpr std::int64_t kWaitingRounds = 3;       // requests that wait for another try hold back new ones when they are this many in_flights
constexpr std::size_t kShortestKeyInAnswers = 8;  // local servers take keys such as "none": such a word in an answer is an answer's word
constexpr double kSpread = 0.1;                  // of Retry-After: all that were refused together do not come back together

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void start_curl() {
  static const CURLcode code = ::curl_global_init(CURL_GLOBAL_DEFAULT);  // once a process; never undone, others may use it
  if (code != CURLE_OK) throw Error(ErrorKind::kRun, std::string("libcurl does not start: ") + ::curl_easy_strerror(code));
}

// One connection a request under way.
void want_descriptors(std::int64_t in_flight) {
  const auto wanted = static_cast<rlim_t>(in_flight + 256);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  if (limit.rlim_max >= wanted) {
    limit.rlim_cur = wanted;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  }
  throw Error(ErrorKind::kUsage, "endpoint.in_flight = " + std::to_string(in_flight) + " needs " + std::to_string(wanted) + " open files, and this process may have " +
              std::to_string(limit.rlim_max), "lower it, or raise the limit with `ulimit -n`");
}

}  // namespace

std::string chat_body(const EndpointOptions& endpoint, const ChatRequest& request) {
  using Json = nlohmann::ordered_json;
  Json messages = Json::array();
  if (!request.system.empty()) messages.push_back({{"role", "system"}, {"content", request.system}});
  messages.push_back({{"role", "user"}, {"content", request.user}});
  const Json body{{"model", endpoint.model}, {"messages", std::move(messages)}, {"max_tokens", request.max_tokens},
                  {"temperature", endpoint.temperature}, {"top_p", endpoint.top_p}, {"seed", request.draw}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);  // what is no UTF-8 would else throw
}

class ChatClient::State {
 public:
  State(const EndpointOptions& options, std::uint64_t seed, Hooks hooks)
      : options_(options), hooks_(std::move(hooks)), route_(read_route(options.url)), rng_(Rng(seed).at("endpoint")),
        requests_(RateLimit::of_requests(options.requests_per_minute)), tokens_(RateLimit::of_tokens(options.tokens_per_minute)) {
    Problems problems;
    options_.validate(problems);
    problems.raise(ErrorKind::kUsage);
    start_curl();
    if (!options_.ca_file.empty() && ::access(options_.ca_file.c_str(), R_OK) != 0)
      throw Error(ErrorKind::kUsage, std::string("endpoint.ca_file cannot be read: ") + ::strerror(errno), "name a file of certificates in PEM format", display_path(options_.ca_file));
    want_descriptors(options_.in_flight);
    key_ = take_key(options_.key);
    if (key_.empty() && !options_.key.empty() && !route_.loopback)
      throw Error(ErrorKind::kUsage, "the environment variable " + options_.key + " is not set; expected the key for " + route_.host,
                  "export it, or set endpoint.key = \"\" for a server that needs none");
    if (!key_.empty() && !route_.encrypted && !route_.loopback) log::warn("the key goes to " + route_.host + " unencrypted: endpoint.url is http");
    try {
      header("Content-Type: application/json");
      header("Accept: application/json");
      header("Expect:");  // no round trip before large bodies
      if (!key_.empty()) {
        std::string line = "Authorization: Bearer ";
        line.reserve(line.size() + key_.view().size());  // no copy is left behind by growing
        line += key_.view();
        header(line.c_str());
        ::explicit_bzero(line.data(), line.size());
      }
      multi_ = ::curl_multi_init();
      if (!multi_) throw std::bad_alloc();
      ::curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.in_flight));
      ::curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
      resting_.push_back(transfer());  // its settings are checked now, not at the first request
    } catch (...) {
      clear();
      throw;
    }
  }

  ~State() { clear(); }

  void submit(std::int64_t id, const ChatRequest& request) {
    if (over()) {
      refuse(job(id, request));
      return;
    }
    fresh_.push_back(job(id, request));
    const std::uint64_t ticket = pushed_++;
    for (;;) {
      start();
      drive();
      if (popped_ > ticket) return;
      if (!start()) wait();
    }
  }

  void submit_later(std::int64_t id, const ChatRequest& request) {
    fresh_.push_back(job(id, request));
    ++pushed_;
  }

  void drain() {
    for (;;) {
      start();
      drive();
      if (under_way() == 0) return;
      if (!start()) wait();
    }
  }

  void stop() { stopped_ = true; }

  std::int64_t under_way() const { return static_cast<std::int64_t>(fresh_.size() + waiting_.size() + active_.size()); }
  bool unusable() const { return unusable_.has_value(); }
  const ClientFigures& figures() const { return figures_; }

 private:
  using Jobs = std::unique_ptr<Job>;

  bool over() const { return stopped_ || unusable_; }

  void header(const char* line) {
    curl_slist* longer = ::curl_slist_append(route_.headers, line);
    if (!longer) throw std::bad_alloc();
    route_.headers = longer;
  }

  std::unique_ptr<Transfer> transfer() {
    return std::make_unique<Transfer>(options_, route_, [this](const Job& job) {
      ++figures_.sent;
      if (hooks_.sending) hooks_.sending(job.id, job.tries);
    });
  }

  Jobs job(std::int64_t id, const ChatRequest& request) const {
    auto made = std::make_unique<Job>();
    made->id = id;
    made->body = chat_body(options_, request);
    made->prompt_bound = token_bound(request.system) + token_bound(request.user) + kMessageTokens;
    made->max_tokens = request.max_tokens;
    return made;
  }

  // The first of those that are to be tried again, or of the new ones.
  Jobs take(bool again) {
    Jobs job = std::move(again ? waiting_.begin()->second : fresh_.front());
    if (again) {
      waiting_.erase(waiting_.begin());
    } else {
      fresh_.pop_front();
      ++popped_;
    }
    return job;
  }

  // Fills the room there is: first what is due for another try, then new ones. Whether anything began.
  bool start() {
    bool began = false;
    blocked_s_ = 0;
    while (static_cast<std::int64_t>(active_.size()) < options_.in_flight) {
      if (over()) break;
      const double now = now_s();
      const bool again = !waiting_.empty() && waiting_.begin()->first <= now;
      if (!again && (fresh_.empty() || static_cast<std::int64_t>(waiting_.size()) >= kWaitingRounds * options_.in_flight)) break;
      const Job& next = again ? *waiting_.begin()->second : *fresh_.front();
      const auto tokens = static_cast<double>(next.prompt_bound + next.max_tokens);
      if (const double hold = std::max(requests_.wait_s(1, now), tokens_.wait_s(tokens, now)); hold > 0) {
        blocked_s_ = hold;
        break;
      }
      requests_.take(1, now);
      tokens_.take(tokens, now);
      Jobs job = take(again);
      ++job->tries;
      if (resting_.empty()) resting_.push_back(transfer());
      std::unique_ptr<Transfer> transfer = std::move(resting_.back());
      resting_.pop_back();
      transfer->begin(std::move(job));
      if (const CURLMcode code = ::curl_multi_add_handle(multi_, transfer->handle()); code != CURLM_OK) throw broken(code);
      Transfer* const place = transfer.get();
      active_.emplace(place, std::move(transfer));
      began = true;
    }
    return began;
  }

  // Moves all that can move without waiting, and hands out what has ended.
  void drive() {
    int running = 0;
    if (const CURLMcode code = ::curl_multi_perform(multi_, &running); code != CURLM_OK) throw broken(code);
    int left = 0;
    while (CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Transfer* place = nullptr;
      ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &place);
      finish(*place, message->data.result);  // `message` is gone afterwards
    }
    while (over() && (!fresh_.empty() || !waiting_.empty())) refuse(take(!waiting_.empty()));
    if (const double now = now_s(); now - idle_at_ >= kIdle_s) {
      idle_at_ = now;
      if (hooks_.idle) hooks_.idle();
    }
  }

  void wait() {
    double seconds = kIdle_s;
    if (blocked_s_ > 0) seconds = std::min(seconds, blocked_s_);
    else if (!waiting_.empty() && static_cast<std::int64_t>(active_.size()) < options_.in_flight)
      seconds = std::clamp(waiting_.begin()->first - now_s(), 0.0, seconds);
    // Rounded up: a limit that is off by half a millisecond is no reason to spin.
    const int milliseconds = static_cast<int>(std::ceil(std::max(0.001, seconds) * 1000));
    if (const CURLMcode code = ::curl_multi_poll(multi_, nullptr, 0, milliseconds, nullptr); code != CURLM_OK) throw broken(code);
  }

  void finish(Transfer& transfer, CURLcode result) {
    long status = 0, connect_status = 0;
    curl_off_t microseconds = 0;
    ::curl_easy_getinfo(transfer.handle(), CURLINFO_RESPONSE_CODE, &status);
    ::curl_easy_getinfo(transfer.handle(), CURLINFO_HTTP_CONNECTCODE, &connect_status);
    ::curl_easy_getinfo(transfer.handle(), CURLINFO_TOTAL_TIME_T, &microseconds);
    const std::exception_ptr thrown = transfer.failure;
    if (result == CURLE_OK && !transfer.headed()) result = CURLE_PARTIAL_FILE;
    Verdict verdict = result == CURLE_OK ? judge(status, transfer.answer()) : judge_failure(result, transfer.begun(), connect_status, transfer.words());
    if (transfer.from_mock() && !options_.model.starts_with("mock")) {
      verdict = {};
      verdict.kind = Verdict::Kind::kUnusable;
      verdict.reason = kMockAnswers;
    }
    const std::optional<double> asked = pause_asked_for(transfer);
    const bool whole = transfer.whole();
    ::curl_multi_remove_handle(multi_, transfer.handle());
    auto node = active_.extract(&transfer);
    Jobs job = transfer.end();
    resting_.push_back(std::move(node.mapped()));
    if (thrown) {
      waiting_.emplace(now_s(), std::move(job));  // not sent; it is still under way
      std::rethrow_exception(thrown);
    }

    ChatReply reply;
    reply.status = result == CURLE_OK ? status : 0;
    reply.seconds = static_cast<double>(microseconds) / 1e6;
    reply.reason = std::move(verdict.reason);
    reply.detail = shown_detail(verdict.detail, key_.view());
    if (verdict.may_be_billed && whole) {
      ++job->possibly_billed;
      if (hooks_.unanswered) hooks_.unanswered(job->id, reply.reason);
    }
    if (verdict.kind != Verdict::Kind::kAnswer) ++figures_.faults[reply.reason];
    if (verdict.kind == Verdict::Kind::kTryAgain) {
      const bool tries_left = job->tries < options_.tries;
      if (tries_left && (over() || !hooks_.again || hooks_.again(job->id))) {
        if (!over()) ++figures_.retried;
        waiting_.emplace(now_s() + pause_s(*job, asked), std::move(job));
        return;
      }
      reply.kind = tries_left ? ChatReply::Kind::kHeldBack : ChatReply::Kind::kGaveUp;
      if (!tries_left) ++figures_.gave_up;
    } else if (verdict.kind == Verdict::Kind::kUnusable) {
      reply.kind = ChatReply::Kind::kUnusable;
      if (!unusable_) unusable_ = reply;
    } else {
      reply.kind = verdict.kind == Verdict::Kind::kAnswer ? ChatReply::Kind::kAnswer : ChatReply::Kind::kRefused;
      ++(verdict.kind == Verdict::Kind::kAnswer ? figures_.answered : figures_.refused);
      const std::string_view key = key_.view().size() >= kShortestKeyInAnswers ? key_.view() : std::string_view();
      reply.text = without_key_inside(std::move(verdict.text), key);
      reply.finish_reason = shown_detail(verdict.finish_reason, key_.view());
      reply.usage = verdict.usage;
      // An answer, or one that the filter withheld, is paid for; what a 400 says is not.
      if (!reply.usage.reported && status >= 200 && status < 300) reply.usage = {job->prompt_bound, job->max_tokens, false};
    }
    reply.tries = job->tries;
    reply.possibly_billed = job->possibly_billed;
    if (hooks_.done) hooks_.done(job->id, std::move(reply));
  }

  // In an answer only whole keys are blanked out: a word at its end that happens to begin like the key is the answer's own.
  static std::string without_key_inside(std::string text, std::string_view key) {
    return key.empty() || text.find(key) == std::string::npos ? std::move(text) : without_key(std::move(text), key);
  }

  void refuse(Jobs job) {
    ChatReply reply = unusable_.value_or(ChatReply{});
    if (!unusable_) reply.kind = ChatReply::Kind::kStopped;
    reply.tries = job->tries;
    reply.possibly_billed = job->possibly_billed;
    if (hooks_.done) hooks_.done(job->id, std::move(reply));
  }

  static std::optional<double> pause_asked_for(const Transfer& transfer) {
    if (const auto ms = retry_after_s(transfer.retry_after_ms(), {}, 0); ms && transfer.retry_after_ms().find_first_not_of("0123456789. \r\n") == std::string::npos)
      return *ms / 1000;
    return retry_after_s(transfer.retry_after(), transfer.date(), std::time(nullptr));
  }

  double pause_s(const Job& job, const std::optional<double>& asked) const {
    const Rng rng = rng_.at(static_cast<std::uint64_t>(job.id)).at(static_cast<std::uint64_t>(job.tries));
    if (!asked) return back_off_s(options_.first_wait_s, options_.longest_wait_s, job.tries, rng);
    Rng spread = rng;
    return std::min(options_.longest_wait_s, *asked * (1 + kSpread * spread.uniform()));
  }

  static Error broken(CURLMcode code) { return Error(ErrorKind::kRun, std::string("libcurl fails: ") + ::curl_multi_strerror(code)); }

  void clear() noexcept {
    if (multi_)
      for (const auto& [place, transfer] : active_) ::curl_multi_remove_handle(multi_, place->handle());
    active_.clear();
    resting_.clear();
    if (multi_) ::curl_multi_cleanup(multi_);
    multi_ = nullptr;
    for (curl_slist* line = route_.headers; line; line = line->next) ::explicit_bzero(line->data, ::strlen(line->data));
    ::curl_slist_free_all(route_.headers);
    route_.headers = nullptr;
  }

  const EndpointOptions options_;
  const Hooks hooks_;
  Route route_;
  const Rng rng_;
  Secret key_;
  RateLimit requests_, tokens_;
  CURLM* multi_ = nullptr;
  std::deque<Jobs> fresh_;                                   // not tried yet
  std::multimap<double, Jobs> waiting_;                      // to be tried again, by the time when
  std::map<Transfer*, std::unique_ptr<Transfer>> active_;
  std::vector<std::unique_ptr<Transfer>> resting_;
  std::uint64_t pushed_ = 0, popped_ = 0;                    // of fresh_
  double blocked_s_ = 0, idle_at_ = 0;                       // until the limits let the next one through; last call of idle()
  std::optional<ChatReply> unusable_;
  bool stopped_ = false;
  ClientFigures figures_;
};

ChatClient::ChatClient(const EndpointOptions& options, std::uint64_t seed, Hooks hooks) : state_(std::make_unique<State>(options, seed, std::move(hooks))) {}
ChatClient::~ChatClient() = default;
void ChatClient::submit(std::int64_t id, const ChatRequest& request) { state_->submit(id, request); }
void ChatClient::submit_later(std::int64_t id, ChatRequest request) { state_->submit_later(id, request); }
void ChatClient::drain() { state_->drain(); }
void ChatClient::stop() { state_->stop(); }
std::int64_t ChatClient::under_way() const { return state_->under_way(); }
bool ChatClient::unusable() const { return state_->unusable(); }
const ClientFigures& ChatClient::figures() const { return state_->figures(); }

}  // namespace oncekit
