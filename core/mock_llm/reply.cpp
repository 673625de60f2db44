#include "mock_llm/reply.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "oncekit/rng.h"

namespace oncekit {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kContext = 16385;         // words of prompt and answer, as if each were a token
constexpr std::int64_t kCreated = 1700000000;    // seconds since 1970: an answer has no time of its own
constexpr std::string_view kModel = "mock";

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

MockReply error(int status, const std::string& message, const char* type, const char* code) {
  MockReply reply;
  reply.status = status;
  reply.body = dump({{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code ? Json(code) : Json(nullptr)}}}});
  return reply;
}

MockReply invalid(const std::string& message) { return error(400, message, "invalid_request_error", nullptr); }

bool blank(char c) { return static_cast<unsigned char>(c) <= 0x20; }

std::int64_t count_words(std::string_view text) {
  std::int64_t words = 0;
  for (std::size_t i = 0; i < text.size(); ++i) words += !blank(text[i]) && (i == 0 || blank(text[i - 1]));
  return words;
}

// The first words of a text, with what stands between them.
std::string first_words(std::string_view text, std::int64_t n) {
  std::int64_t words = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!blank(text[i]) && (i == 0 || blank(text[i - 1])) && ++words > n) return std::string(text.substr(0, i));
  return std::string(text);
}

std::string fenced(std::string text) {
  if (!text.ends_with('}')) return "```\n" + text + "\n```";
  text.insert(text.size() - 1, ",\n");
  return "Sure, here it is:\n```json\n" + text + "\n```";
}

struct Messages {
  std::string system, user;
};

// Throws std::runtime_error with what is wrong.
Messages read_messages(const Json& json) {
  const auto messages = json.find("messages");
  if (messages == json.end() || !messages->is_array() || messages->empty()) throw std::runtime_error("'messages' is missing, empty or no array");
  Messages read;
  for (const Json& message : *messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string() || !message.contains("content") || !message["content"].is_string())
      throw std::runtime_error("a message needs a 'role' and a 'content', both strings");
    const std::string role = message["role"];
    std::string& text = role == "system" ? read.system : read.user;
    if (!text.empty()) text += '\n';
    text += message["content"].get<std::string>();
  }
  return read;
}

std::int64_t integer(const Json& json, const char* name, std::int64_t otherwise) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return otherwise;
  if (!found->is_number_integer()) throw std::runtime_error(fmt::format("'{}' is no integer", name));
  return found->get<std::int64_t>();
}

MockReply chat(const Json& json, std::uint64_t body_hash, MockFault fault, const MockOptions& options) {
  const Messages messages = read_messages(json);
  if (!json.contains("model") || !json["model"].is_string()) throw std::runtime_error("'model' is missing or no string");
  if (json.contains("stream") && json["stream"] == true) throw std::runtime_error("this mock does not stream");
  const std::int64_t most = integer(json, "max_tokens", 4096);
  if (most < 1) throw std::runtime_error("'max_tokens' is below 1");
  const std::int64_t prompt = count_words(messages.system) + count_words(messages.user);
  if (prompt + most > kContext)
    return error(400, fmt::format("This model's maximum context length is {} tokens. However, you requested {} tokens ({} in the messages, {} in the completion).",
                                  kContext, prompt + most, prompt, most), "invalid_request_error", "context_length_exceeded");
  std::string text = mock_answer(messages.system, messages.user, static_cast<std::uint64_t>(integer(json, "seed", 0)), options);
  switch (fault) {
    case MockFault::kEmptyAnswer: text.clear(); break;
    case MockFault::kDeclined: text = "I'm sorry, but as an AI language model I cannot help with that request."; break;
    case MockFault::kFenced: text = fenced(std::move(text)); break;
    default: break;
  }
  const std::int64_t words = count_words(text);
  const std::int64_t room = fault == MockFault::kCutByLength ? std::min(most, words / 2) : most;
  const bool cut = words > room || fault == MockFault::kCutByLength;
  if (cut) text = first_words(text, room);
  const std::int64_t completion = count_words(text);
  MockReply reply;
  reply.body = dump({{"id", fmt::format("chatcmpl-{:016x}", body_hash)},
                     {"object", "chat.completion"},
                     {"created", kCreated},
                     {"model", json["model"]},
                     {"choices", Json::array({{{"index", 0}, {"message", {{"role", "assistant"}, {"content", text}}}, {"finish_reason", cut ? "length" : "stop"}}})},
                     {"usage", {{"prompt_tokens", prompt}, {"completion_tokens", completion}, {"total_tokens", prompt + completion}}}});
  return reply;
}

}  // namespace

MockReply mock_reply(const MockRequest& request, std::uint64_t body_hash, std::int64_t attempt, const MockOptions& options) {
  if (!options.key.empty() && request.authorization != "Bearer " + options.key) {
    const std::string_view sent = request.authorization.starts_with("Bearer ") ? request.authorization.substr(7) : request.authorization;
    return error(401, sent.empty() ? "You did not provide an API key." : fmt::format("Incorrect API key provided: {}. Is it the one of this server?", sent),
                 "invalid_request_error", "invalid_api_key");
  }
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  if (path == "/v1/models") {
    if (request.method != "GET") return error(405, fmt::format("{} takes GET, not {}", path, request.method), "invalid_request_error", nullptr);
    MockReply reply;
    reply.body = dump({{"object", "list"}, {"data", Json::array({{{"id", kModel}, {"object", "model"}, {"created", kCreated}, {"owned_by", "oncekit"}}})}});
    return reply;
  }
  if (path != "/v1/chat/completions") return error(404, fmt::format("There is nothing at {}", path), "invalid_request_error", "unknown_url");
  if (request.method != "POST") return error(405, fmt::format("{} takes POST, not {}", path, request.method), "invalid_request_error", nullptr);

  const MockFault fault = draw_fault(body_hash, attempt, options.seed, options.faults);
  MockReply reply;
  switch (fault) {
    case MockFault::kRateLimited:
      reply = error(429, "Rate limit reached for requests. Please try again.", "requests", "rate_limit_exceeded");
      reply.headers = fmt::format("Retry-After: {}\r\n", Rng(body_hash).at("retry after").at(static_cast<std::uint64_t>(attempt))() & 1);
      break;
    case MockFault::kError500: reply = error(500, "The server had an error while processing your request.", "server_error", nullptr); break;
    case MockFault::kError503: reply = error(503, "The engine is currently overloaded.", "server_error", nullptr); break;
    default: {
      const Json json = Json::parse(request.body, nullptr, false);
      if (!json.is_object()) return invalid("The body is no JSON object.");
      try {
        reply = chat(json, body_hash, fault, options);
      } catch (const std::runtime_error& e) {
        return invalid(e.what());
      }
      if (fault == MockFault::kGarbage && reply.status == 200) {
        reply.type = "text/html";
        reply.no_http = Rng(body_hash).at("garbage").at(static_cast<std::uint64_t>(attempt))() & 1;
        reply.body = reply.no_http ? "\x16\x03\x01 this is no HTTP \r\n\r\n" : "<html><body>It works! \x01\x02\xff</body></html>";
      }
      if (fault == MockFault::kTruncatedJson) reply.body.resize(reply.body.size() / 2);
      break;
    }
  }
  reply.fault = fault;
  return reply;
}

std::string http_bytes(const MockReply& reply, bool keep_alive) {
  if (reply.no_http) return reply.body;
  const char* reason = reply.status == 200 ? "OK" : reply.status == 429 ? "Too Many Requests" : reply.status >= 500 ? "Server Error" : "Error";
  return fmt::format("HTTP/1.1 {} {}\r\nServer: oncekit-mock\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n{}\r\n", reply.status, reason, reply.type,
                     reply.body.size(), keep_alive ? "keep-alive" : "close", reply.headers) + reply.body;
}

}  // namespace oncekit
