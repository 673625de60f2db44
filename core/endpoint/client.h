// Asks an OpenAI-compatible server: many requests under way in one thread (libcurl multi), limits, retries, time-outs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "endpoint/options.h"

namespace oncekit {

struct ChatRequest {
  std::string system, user;      ///< system may be empty
  std::int64_t max_tokens = 256;
  std::int64_t draw = 0;         ///< sent as `seed`, so that a server with its own determinism can tell draws apart; part of the body
};

/// The body as sent, and as hashed for the answer store: one fixed order of fields, no key, no address.
std::string chat_body(const EndpointOptions& endpoint, const ChatRequest& request);

struct Host {
  std::string name;
  bool loopback = false;         ///< this very machine
};
/// Where an [endpoint] url leads. Throws Error(kUsage) for an address that is none, is neither http nor https, or holds a password.
Host host_of(const std::string& url);

struct Usage {
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  bool reported = false;         ///< by the server; else an upper bound of our own
};

/// Reasons of a ChatReply that its reader tells from all others.
constexpr const char* kContentFilter = "content filter";
constexpr const char* kMockAnswers = "the bundled mock answers there";

/// What became of one request.
struct ChatReply {
  enum class Kind {
    kAnswer,      ///< text holds it; finish_reason "length" is an answer cut short
    kRefused,     ///< this request can never work: context too long, content filter, invalid request (400, 413, 422)
    kGaveUp,      ///< 429, 5xx, cut connections, time-outs, garbage: all tries were used up
    kUnusable,    ///< no request can work: key refused (401, 403), unknown model (404), a certificate, a redirect elsewhere, the bundled mock
                  ///< in another model's name. Nothing more is sent
    kStopped,     ///< stop() came before an answer
    kHeldBack,    ///< a try came to nothing, and the hook `again` allowed no other
  };
  Kind kind = Kind::kAnswer;
  std::string text, finish_reason;
  std::string reason;            ///< of anything but an answer; a short fixed text, e.g. "context too long", "timed out"
  std::string detail;            ///< the server's own words, cut to 300 bytes, the key blanked out
  std::int64_t status = 0;       ///< HTTP; 0 when there was none
  Usage usage;
  int tries = 0;
  int possibly_billed = 0;       ///< tries that were sent whole and never answered; each was told by the hook `unanswered`
  double seconds = 0;            ///< of the last try
};

/// Figures of a client so far.
struct ClientFigures {
  std::int64_t sent = 0, answered = 0, retried = 0, refused = 0, gave_up = 0;
  std::map<std::string, std::int64_t> faults;  ///< tries that failed, by reason
};

/// One thread uses a client. Nothing of it holds the key but libcurl's header list and a string that is overwritten at the end.
class ChatClient {
 public:
  /// id: the caller's own number of a request. All may call stop().
  struct Hooks {
    std::function<void(std::int64_t id, int attempt)> sending;   ///< right before a request's bytes leave, at each try
    /// A try was sent whole, and its answer is lost: it may be billed. Before anything else becomes of the request.
    std::function<void(std::int64_t id, const std::string& reason)> unanswered;
    /// A try came to nothing, and another is about to be put off to its time; false: the request is done as kHeldBack.
    std::function<bool(std::int64_t id)> again;
    std::function<void(std::int64_t id, ChatReply&& reply)> done;  ///< may call submit_later(), never submit()
    std::function<void()> idle;                                  ///< every tenth of a second or so: progress, cancellation (may throw)
  };

  /// Reads the key from the environment variable that the options name, and takes it out of this process's environment. Throws
  /// Error(kUsage) when the variable is named, is not set, and the host is not a loopback address.
  ChatClient(const EndpointOptions& options, std::uint64_t seed, Hooks hooks);
  ~ChatClient();

  /// Sends, or waits (driving the other requests) until there is room for it within in_flight and the limits.
  void submit(std::int64_t id, const ChatRequest& request);
  /// Puts a request behind the others without waiting. For use inside done().
  void submit_later(std::int64_t id, ChatRequest request);
  /// Drives everything to its end.
  void drain();
  /// For good: no try begins from now on. What is under way comes to its end, and all that waits is done as kStopped by the next drain().
  void stop();
  /// Of requests submitted and not done.
  std::int64_t under_way() const;
  /// True once a reply was kUnusable: submit() then does nothing but call done() with the same reply.
  bool unusable() const;
  const ClientFigures& figures() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace oncekit
