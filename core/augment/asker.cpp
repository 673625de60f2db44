#include "augment/asker.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "mock_llm/server.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "oncekit/prompt.h"
#include "plugin/guard.h"

namespace oncekit {
namespace {

constexpr const char* kCutShort = "cut short at its longest";  // stays a reject when parsed again: the text does not show it
constexpr const char* kUnread = "the augmenter failed";        // read again by the next run
constexpr std::int64_t kSameRefusals = 10, kInVain = 20;       // replies after which a server is asked no further
constexpr std::int64_t kSeedStep = 1000;                       // between attempts, so that a deterministic server answers anew
constexpr std::size_t kExamples = 3, kExampleBytes = 160;
constexpr std::int64_t kMessageTokens = 16;                    // around the texts of a request

bool answered(const StoredAnswer& stored) {
  return stored.state != StoredAnswer::State::kRefused && stored.state != StoredAnswer::State::kGaveUp;
}

std::string fields_json(const Parsed& parsed) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, values] : parsed.fields) json[name] = values;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string cut(std::string text) {
  if (text.size() <= kExampleBytes) return text;
  std::size_t end = kExampleBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "...";
}

}  // namespace

std::string shown_host(const std::string& url) { return url == "mock" ? "the bundled mock" : host_of(url).name; }

bool on_this_machine(const std::string& url) { return url == "mock" || host_of(url).loopback; }

// ---- Endpoint ------------------------------------------------------------------------------------------------------------

Endpoint::Endpoint(const AugmentSetup& setup, Workspace& workspace)
    : setup_(setup), workspace_(workspace), left_(setup.limit > 0 ? setup.limit : INT64_MAX) {}

Endpoint::~Endpoint() = default;

ChatClient& Endpoint::speak_for(Asker& asker) {
  asker_ = &asker;
  if (client_) return *client_;
  EndpointOptions options = setup_.endpoint;
  if (options.url == "mock") {
    MockOptions mock;
    mock.seed = setup_.seed;
    mock.answers = setup_.mock_answers;
    mock_ = std::make_unique<MockServer>(mock);
    options.url = mock_->url();
    options.key.clear();
  }
  ChatClient::Hooks hooks;
  hooks.sending = [this](std::int64_t id, int) { asker_->sending(id); };
  hooks.unanswered = [this](std::int64_t id, const std::string& reason) { asker_->unanswered(id, reason); };
  hooks.again = [this](std::int64_t id) { return asker_->again(id); };
  hooks.done = [this](std::int64_t id, ChatReply&& reply) { asker_->done(id, std::move(reply)); };
  hooks.idle = [this] {
    (void)stopped();  // looks whether the user asked to
    asker_->note_progress();
  };
  client_ = std::make_unique<ChatClient>(options, setup_.seed, std::move(hooks));
  return *client_;
}

bool Endpoint::stopped() {
  if (!stopped_) {
    try {
      workspace_.check_cancelled();
    } catch (const Error&) {
      stop();
    }
  }
  return stopped_ || left_ <= 0;
}

void Endpoint::stop() {
  stopped_ = true;
  if (client_) client_->stop();
}

Error mock_in_the_name_of(const std::string& model) {
  return Error(ErrorKind::kUsage, "endpoint.model is '" + model + "', and oncekit's mock answers in its place: what it makes up would be kept as that model's answers, for good",
               "set endpoint.model = \"mock\", so that its answers are kept as another model's");
}

// ---- Asker ---------------------------------------------------------------------------------------------------------------

Asker::Asker(const AugmentStep& step, const Augmenter& augmenter, const Corpus& corpus, const AugmentSetup& setup, AnswerStore& store,
             Workspace& workspace, AugmentFigures& figures)
    : step_(step), augmenter_(augmenter), corpus_(corpus), setup_(setup), store_(store), workspace_(workspace), figures_(figures),
      imports_(step.name, corpus, setup.answers, store, [this](const Prompt& prompt, const StoredAnswer& stored) {
        Parsed parsed = parse(prompt, stored);
        if (!parsed.accepted) count_reject(parsed.reject_reason, stored.raw);
        return parsed;
      }) {}

Asker::~Asker() = default;

ChatRequest Asker::chat(const Prompt& prompt, std::int64_t draw) const { return {prompt.system, prompt.user, prompt.max_tokens, draw}; }

std::string Asker::request_of(const Prompt& prompt, std::int64_t draw) const { return digest128(chat_body(setup_.endpoint, chat(prompt, draw))); }

std::int64_t Asker::prompt_bound(const Prompt& prompt) { return token_bound(prompt.system) + token_bound(prompt.user) + kMessageTokens; }

double Asker::price(const Prompt& prompt) const {
  return (static_cast<double>(prompt_bound(prompt)) * setup_.endpoint.input_price + static_cast<double>(prompt.max_tokens) * setup_.endpoint.output_price) / 1e6;
}

Parsed Asker::parse(const Prompt& prompt, const StoredAnswer& stored) const {
  if (stored.reason == kCutShort) {
    Parsed parsed;
    parsed.reject_reason = kCutShort;
    return parsed;
  }
  return call_plugin(*step_.spec, "parse", [&] { return augmenter_.parse(prompt, stored.raw); });
}

void Asker::count_reject(const std::string& reason, const std::string& raw) {
  ++figures_.rejects[reason];
  std::vector<std::string>& examples = figures_.examples[reason];
  if (examples.size() < kExamples) examples.push_back(cut(raw));
}

Asker::Found Asker::look(const Prompt& prompt, const std::string& request, std::int64_t draw) const {
  Found found;
  bool refused = false;
  for (const StoredAnswer& stored : store_.attempts(request, draw)) {
    if (stored.state == StoredAnswer::State::kGaveUp) continue;  // no answer: its place is free
    if (stored.attempt == found.next) ++found.next;
    if (stored.state == StoredAnswer::State::kRefused) refused = true;
    else if (parse(prompt, stored).accepted) found.accepted = true;
    else ++found.rejects;
  }
  if (refused || found.rejects >= setup_.answers.attempts) found.next = -1;
  return found;
}

void Asker::plan() {
  std::unordered_set<std::string> counted;  // the same question about two users is asked once
  call_plugin(*step_.spec, "prompts", [&] {
    augmenter_.prompts(corpus_, [&](Prompt&& prompt) {
      ++figures_.prompts;
      if (!prompt.seen.empty()) ++figures_.about_users;
      figures_.wanted += prompt.draws;
      if (setup_.answers.imports == "only" || imports_.cover(prompt) == Imports::Cover::kFull) return;
      for (std::int64_t draw = 0; draw < prompt.draws; ++draw) {
        const std::string request = request_of(prompt, draw);
        figures_.questions = digest(figures_.questions + request);
        if (!figures_.provisional) {
          const Found found = look(prompt, request, draw);
          if (found.accepted || found.next < 0) continue;
        }
        if (!counted.insert(request).second) continue;
        ++figures_.missing;
        missing_price_ += price(prompt);
        if (!setup_.dry_run) continue;
        figures_.cost += price(prompt);
        figures_.prompt_tokens += prompt_bound(prompt);
        figures_.completion_tokens += prompt.max_tokens;
      }
    });
  });
}

void Asker::ask(Endpoint& endpoint) {
  workspace_.check_cancelled();
  if (figures_.missing == 0 || endpoint.stopped()) return;
  const auto start = std::chrono::steady_clock::now();
  endpoint_ = &endpoint;
  client_ = &endpoint.speak_for(*this);
  const auto faults = client_->figures().faults;
  const std::int64_t retried = client_->figures().retried;
  progress_ = workspace_.progress(step_.name, std::min(figures_.missing, endpoint.left()), "answers");
  call_plugin(*step_.spec, "prompts", [&] {
    augmenter_.prompts(corpus_, [&](Prompt&& prompt) {
      if (endpoint.stopped() || no_budget_ || imports_.cover(prompt) == Imports::Cover::kFull) return;
      for (std::int64_t draw = 0; draw < prompt.draws && !endpoint.stopped() && !no_budget_; ++draw) {
        Question question{prompt, request_of(prompt, draw), draw, 0, 0, price(prompt)};
        offer_or_wait(std::move(question));
      }
    });
  });
  client_->drain();
  settle_waiting();
  progress_.reset();
  figures_.retried += client_->figures().retried - retried;
  for (const auto& [reason, count] : client_->figures().faults) {
    const auto before = faults.find(reason);
    if (const std::int64_t own = count - (before == faults.end() ? 0 : before->second); own > 0) figures_.faults[reason] += own;
  }
  figures_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  workspace_.check_cancelled();
  if (failure_) std::rethrow_exception(failure_);
  if (no_budget_)
    throw Error(ErrorKind::kRun, fmt::format("[augmenter.{}]: the budget of {:.2f} USD is spent: the next request might cost {:.4f}", step_.name, setup_.endpoint.budget, last_price_),
                "raise endpoint.budget; all answers so far are kept, and none is asked for again");
}

// Takes the question upon this process and sends it, when the store lacks its answer.
Asker::Offer Asker::offer(Question& question, bool inside_done) {
  if (came_to_nothing_.count(question.request)) return Offer::kSettled;
  for (;;) {
    const Found found = look(question.prompt, question.request, question.draw);
    if (found.accepted || found.next < 0) return Offer::kSettled;
    question.attempt = found.next;
    question.rejects = found.rejects;
    switch (store_.claim(question.request, question.draw, question.attempt, step_.name, question.prompt.key, question.price, setup_.endpoint.budget)) {
      case Claim::kAnswered: continue;
      case Claim::kElsewhere: return Offer::kLater;
      case Claim::kNoRoomYet: return Offer::kNoRoomYet;
      case Claim::kNoBudget:
        no_budget_ = true;
        last_price_ = question.price;
        return Offer::kNoBudget;
      case Claim::kTaken: break;
    }
    endpoint_->took_one();
    ++figures_.asked;
    const std::int64_t id = next_id_++;
    ChatRequest request = chat(question.prompt, question.draw + kSeedStep * question.attempt);
    under_way_.emplace(id, std::move(question));
    if (inside_done) client_->submit_later(id, std::move(request));
    else client_->submit(id, request);
    return Offer::kSettled;
  }
}

void Asker::offer_or_wait(Question&& question) {
  Offer offered = offer(question, false);
  // Prices set aside are upper bounds: when those under way have come in, here and in other processes, there may be room again.
  while (offered == Offer::kNoRoomYet && !endpoint_->stopped()) {
    client_->drain();
    offered = offer(question, false);
    if (offered != Offer::kNoRoomYet) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    note_progress();
  }
  if (offered == Offer::kLater) waiting_.push_back(std::move(question));
}

// What is being asked elsewhere is answered there, or the process is gone and it is ours; second attempts find room in the budget, or none.
void Asker::settle_waiting() {
  while (!waiting_.empty() && !endpoint_->stopped() && !no_budget_) {
    std::vector<Question> questions;
    questions.swap(waiting_);
    const std::size_t before = questions.size();
    for (Question& question : questions) {
      if (endpoint_->stopped() || no_budget_) break;
      offer_or_wait(std::move(question));
    }
    client_->drain();
    if (waiting_.size() >= before) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void Asker::sending(std::int64_t id) {
  const Question& question = under_way_.at(id);
  store_.sending(question.request, question.draw, question.attempt);
}

void Asker::unanswered(std::int64_t id, const std::string& reason) {
  const Question& question = under_way_.at(id);
  store_.possibly_billed(question.request, question.draw, question.attempt, reason);
  ++figures_.possibly_billed;
}

bool Asker::again(std::int64_t id) {
  const Question& question = under_way_.at(id);
  return store_.again(question.request, question.draw, question.attempt, setup_.endpoint.budget);
}

void Asker::done(std::int64_t id, ChatReply&& reply) {
  using Kind = ChatReply::Kind;
  auto node = under_way_.extract(id);
  Question& question = node.mapped();
  if (reply.kind == Kind::kStopped || reply.kind == Kind::kUnusable || reply.kind == Kind::kHeldBack) {
    store_.release(question.request, question.draw, question.attempt);
    if (reply.kind == Kind::kUnusable) watch(reply);
    if (reply.kind == Kind::kHeldBack) waiting_.push_back(std::move(question));  // what is under way may cost less than it might
    return;
  }
  StoredAnswer stored = row(question, reply);
  bool again = false;
  if (reply.kind == Kind::kAnswer) {
    ++figures_.answered;
    if (reply.finish_reason == "length") stored.reason = kCutShort;
    again = read(question, stored);
  } else {
    // A content filter says the same tomorrow. Whatever else it was may have gone by then.
    const bool for_good = reply.kind == Kind::kRefused && reply.reason == kContentFilter;
    stored.state = for_good ? StoredAnswer::State::kRefused : StoredAnswer::State::kGaveUp;
    stored.reason = reply.reason;
    if (stored.raw.empty()) stored.raw = reply.detail;
    if (!for_good) came_to_nothing_.insert(question.request);
  }
  figures_.prompt_tokens += stored.prompt_tokens;
  figures_.completion_tokens += stored.completion_tokens;
  figures_.cost += stored.cost;
  store_.put(stored);
  watch(reply);
  if (again && !endpoint_->stopped() && !no_budget_) {
    const Offer offered = offer(question, true);
    if (offered == Offer::kLater || offered == Offer::kNoRoomYet) waiting_.push_back(std::move(question));
  } else if (progress_) {
    progress_->advance();
  }
}

StoredAnswer Asker::row(const Question& question, const ChatReply& reply) const {
  StoredAnswer stored;
  stored.request = question.request;
  stored.draw = question.draw;
  stored.attempt = question.attempt;
  stored.task = step_.name;
  stored.key = question.prompt.key;
  stored.model = setup_.endpoint.model;
  stored.body = chat_body(setup_.endpoint, chat(question.prompt, question.draw + kSeedStep * question.attempt));
  stored.raw = reply.text;
  stored.seen.emplace();
  for (const ItemId item : question.prompt.seen) stored.seen->emplace_back(corpus_.items.ids[static_cast<std::size_t>(item)]);
  stored.prompt_tokens = reply.usage.prompt_tokens;
  stored.completion_tokens = reply.usage.completion_tokens;
  stored.usage_reported = reply.usage.reported;
  stored.cost = (static_cast<double>(stored.prompt_tokens) * setup_.endpoint.input_price +
                 static_cast<double>(stored.completion_tokens) * setup_.endpoint.output_price) / 1e6;
  stored.seconds = reply.seconds;
  stored.at = static_cast<std::int64_t>(std::time(nullptr));
  stored.source = "endpoint";
  return stored;
}

bool Asker::read(const Question& question, StoredAnswer& stored) {
  Parsed parsed;
  try {
    parsed = parse(question.prompt, stored);
  } catch (...) {  // the answer is paid for, and kept for the day when the augmenter can read it
    parsed.reject_reason = kUnread;
    fail(std::current_exception());
  }
  stored.state = !parsed.accepted ? StoredAnswer::State::kRejected : parsed.repaired ? StoredAnswer::State::kRepaired : StoredAnswer::State::kAccepted;
  stored.reason = parsed.reject_reason;
  if (parsed.accepted) stored.parsed = fields_json(parsed);
  return !parsed.accepted && question.rejects + 1 < setup_.answers.attempts;
}

// A server that cannot answer, answers nothing, or refuses everything alike is asked no further.
void Asker::watch(const ChatReply& reply) {
  using Kind = ChatReply::Kind;
  const std::string key = setup_.endpoint.key.empty() ? "that `key` names" : setup_.endpoint.key;
  if (reply.kind == Kind::kUnusable) {
    if (reply.reason == kMockAnswers) fail(std::make_exception_ptr(mock_in_the_name_of(setup_.endpoint.model)));
    fail(std::make_exception_ptr(ended("answers no request", reply, "check [endpoint] url, model and the variable " + key + "; all earlier answers are kept")));
    return;
  }
  if (replies_++ == 0 && reply.kind == Kind::kRefused && reply.reason != kContentFilter) refusal_ = reply.reason;
  if (reply.kind == Kind::kRefused && reply.reason == refusal_) ++refusals_;
  in_vain_ = reply.kind == Kind::kGaveUp ? in_vain_ + 1 : 0;
  if (replies_ == kSameRefusals && refusals_ == kSameRefusals)
    fail(std::make_exception_ptr(ended("refuses every request", reply,
                                       "check [endpoint] model and context_tokens, and the augmenter's prompt and answer_tokens; the next run asks again")));
  if (in_vain_ == kInVain)
    fail(std::make_exception_ptr(ended(fmt::format("has answered none of {} requests in a row", kInVain), reply,
                                       "see that the server is up and endpoint.timeout_s long enough; all answers so far are kept, and the next run asks for the others")));
}

// The first one counts.
void Asker::fail(std::exception_ptr failure) {
  if (!failure_) failure_ = std::move(failure);
  endpoint_->stop();
}

Error Asker::ended(const std::string& what, const ChatReply& reply, const std::string& hint) const {
  return Error(ErrorKind::kRun, fmt::format("[augmenter.{}]: {} {}: {}{}", step_.name, shown_host(setup_.endpoint.url), what, reply.reason,
                                            reply.detail.empty() ? "" : " (" + reply.detail + ")"), hint);
}

void Asker::note_progress() {
  if (progress_ && client_)
    progress_->note(fmt::format("{} under way, {:.4f} USD{}", client_->under_way(), figures_.cost, figures_.retried + client_->figures().retried > 0 ? fmt::format(", {} retries", client_->figures().retried) : ""));
}

// ---- what the store has --------------------------------------------------------------------------------------------------

void Asker::collect(GuardedAnswers& answers) {
  std::unordered_map<std::string_view, std::int32_t> items, users;
  for (std::size_t i = 0; i < corpus_.items.size(); ++i) items.emplace(corpus_.items.ids[i], static_cast<std::int32_t>(i));
  for (std::size_t i = 0; i < corpus_.users.size(); ++i) users.emplace(corpus_.users.ids[i], static_cast<std::int32_t>(i));
  const auto give = [&](const Prompt& prompt, const Seen& seen, Parsed&& parsed) {
    const auto& ids = prompt.seen.empty() ? items : users;
    const auto found = ids.find(prompt.key);
    if (found == ids.end())
      throw Error(ErrorKind::kPlugin, "a prompt has key '" + prompt.key + "', which is no " + (prompt.seen.empty() ? "item" : "user") + " of the corpus",
                  "the augmenter must use the ids of the corpus", "augmenter/" + step_.spec->name);
    if (prompt.seen.empty()) answers.add_item(found->second, std::move(parsed));
    else answers.add_user(found->second, seen, std::move(parsed));
  };
  std::unordered_set<std::string> imported;  // keys whose imports were handed over: once, though several histories ask for them
  std::unordered_set<std::string> rejected;  // attempts: each counts once, though it fails several users with one question
  call_plugin(*step_.spec, "prompts", [&] {
    augmenter_.prompts(corpus_, [&](Prompt&& prompt) {
      const Imports::Cover cover = imports_.cover(prompt);
      if (cover != Imports::Cover::kNone) {
        const Imports::About& about = imports_.about(prompt);
        if (imported.insert(prompt.key).second)
          for (const Parsed& parsed : about.accepted) give(prompt, about.seen, Parsed(parsed));
        if (cover == Imports::Cover::kFull) {
          figures_.covered += prompt.draws;
          figures_.imported += prompt.draws;
          figures_.repaired += std::count_if(about.accepted.begin(), about.accepted.begin() + prompt.draws, [](const Parsed& parsed) { return parsed.repaired; });
          figures_.models[about.model + " (imported)"] += prompt.draws;
          return;
        }
        figures_.imports_withheld += prompt.draws;
      }
      if (setup_.answers.imports == "only") return;
      for (std::int64_t draw = 0; draw < prompt.draws; ++draw) {
        bool found = false;
        for (const StoredAnswer& stored : store_.attempts(request_of(prompt, draw), draw)) {
          Parsed parsed;
          if (answered(stored)) parsed = parse(prompt, stored);
          if (parsed.accepted && !found) {
            found = true;
            ++figures_.covered;
            if (parsed.repaired) ++figures_.repaired;
            ++figures_.models[stored.model];
            give(prompt, prompt.seen, std::move(parsed));
          } else if (!parsed.accepted && rejected.insert(fmt::format("{}/{}", stored.request, stored.attempt)).second) {
            count_reject(answered(stored) ? parsed.reject_reason : stored.reason, stored.raw);
          }
        }
      }
    });
  });
  answers.seal();
}

}  // namespace oncekit
