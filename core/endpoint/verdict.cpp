#include "endpoint/verdict.h"

#include <algorithm>
#include <new>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "data/utf8.h"
#include "endpoint/key.h"

namespace oncekit {
namespace {

using Json = nlohmann::json;
using Kind = Verdict::Kind;

constexpr std::size_t kDetailBytes = 300;
constexpr std::int64_t kMostTokens = 1'000'000'000;  // a count above that is no count

Verdict verdict(Kind kind, std::string reason, std::string detail = {}) {
  Verdict made;
  made.kind = kind;
  made.reason = std::move(reason);
  made.detail = std::move(detail);
  return made;
}

bool contains(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

// What a server says of a failure: its words for people, and the names that programs go by.
struct ServerError {
  std::string words, names;  // names: type and code, lower case
  std::int64_t number = 0;   // a code that is an HTTP status
};

std::string as_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump(-1, ' ', false, Json::error_handler_t::replace); }

ServerError server_error(const Json& json, std::string_view body) {
  ServerError said;
  if (json.is_object()) {
    const auto error = json.find("error");
    const Json& about = error != json.end() && error->is_object() ? *error : json;
    if (error != json.end() && !error->is_object()) said.words = as_text(*error);
    for (const char* name : {"message", "detail"})
      if (const auto found = about.find(name); said.words.empty() && found != about.end()) said.words = as_text(*found);
    for (const char* name : {"type", "code", "status"})
      if (const auto found = about.find(name); found != about.end()) {
        if (found->is_number_integer()) said.number = found->get<std::int64_t>();
        else said.names += lower(as_text(*found)) + " ";
      }
  }
  if (said.words.empty()) said.words = std::string(body);
  return said;
}

// It answered for a model that was too slow, or lost it on the way: the model may have answered, and charged, all the same.
bool behind_a_gateway(std::int64_t status) { return status == 408 || status == 502 || status == 504 || (status >= 520 && status <= 524); }

Verdict server_failed(std::int64_t status, const std::string& words) {
  Verdict made = verdict(Kind::kTryAgain, "server error " + std::to_string(status), words);
  made.may_be_billed = behind_a_gateway(status);
  return made;
}

// By what the server calls it first, then by its words: local servers know no codes.
Verdict failure(std::int64_t status, const ServerError& said) {
  const std::string words = lower(said.words);
  if (contains(said.names, {"context_length_exceeded", "string_above_max_length"}) ||
      ((status == 400 || status == 413 || status == 422) && contains(words, {"maximum context length", "context length", "context window", "context size"})))
    return verdict(Kind::kRefused, "context too long", said.words);
  if (contains(said.names, {"content_filter", "content_policy", "moderation"})) return verdict(Kind::kRefused, kContentFilter, said.words);
  if (contains(said.names, {"insufficient_quota", "billing"}) || status == 402) return verdict(Kind::kUnusable, "quota used up", said.words);
  if (contains(said.names, {"invalid_api_key", "authentication_error"}) || status == 401 || status == 403) return verdict(Kind::kUnusable, "key refused", said.words);
  if (contains(said.names, {"model_not_found"})) return verdict(Kind::kUnusable, "unknown model", said.words);
  switch (status) {
    case 404: return verdict(Kind::kUnusable, words.find("model") != std::string::npos ? "unknown model" : "nothing at this address", said.words);
    case 405: case 410: case 501: return verdict(Kind::kUnusable, "nothing at this address", said.words);
    case 407: return verdict(Kind::kUnusable, "proxy refused", said.words);
    case 413: return verdict(Kind::kRefused, "request too large", said.words);
    case 429: return verdict(Kind::kTryAgain, "rate limited", said.words);
    case 408: case 409: case 421: case 425: return server_failed(status, said.words);
    default: break;
  }
  if (status >= 300 && status < 400) return verdict(Kind::kUnusable, "redirected", said.words);
  if (status >= 400 && status < 500) return verdict(Kind::kRefused, "invalid request", said.words);
  if (status >= 500 && status < 600) return server_failed(status, said.words);
  return verdict(Kind::kTryAgain, "unexpected status", said.words);
}

Usage usage_of(const Json& json) {
  Usage usage;
  const auto found = json.find("usage");
  if (found == json.end() || !found->is_object()) return usage;
  const auto count = [&](const char* name) -> std::int64_t {
    const auto value = found->find(name);
    if (value == found->end() || !value->is_number()) return -1;
    const double n = value->get<double>();
    return n >= 0 && n <= static_cast<double>(kMostTokens) ? static_cast<std::int64_t>(n) : -1;
  };
  const std::int64_t prompt = count("prompt_tokens"), completion = count("completion_tokens");
  if (prompt < 0 || completion < 0) return usage;
  return {prompt, completion, true};
}

// A string, or a list of parts of which those of type text count.
std::string content_of(const Json& message) {
  const auto content = message.find("content");
  if (content != message.end() && content->is_string()) return content->get<std::string>();
  std::string text;
  if (content != message.end() && content->is_array())
    for (const Json& part : *content)
      if (part.is_object() && part.contains("text") && part["text"].is_string()) text += part["text"].get<std::string>();
  // A model may decline in a field of its own, with null content: it is read like an answer that declines.
  if (text.empty())
    if (const auto refusal = message.find("refusal"); refusal != message.end() && refusal->is_string()) return refusal->get<std::string>();
  return text;
}

Verdict unread(std::string reason, std::string_view body) {
  Verdict made = verdict(Kind::kTryAgain, std::move(reason), std::string(body.substr(0, 4096)));
  made.may_be_billed = true;
  return made;
}

}  // namespace

Verdict judge(std::int64_t status, std::string_view body) {
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded() && !is_utf8(body)) json = Json::parse(mend_utf8(body), nullptr, false);
  if (status < 200 || status >= 300) return failure(status, server_error(json, body.substr(0, 4096)));
  if (json.is_discarded() || !json.is_object()) return unread("answer is not JSON", body);
  // Some gateways answer 200 and say in the body what went wrong.
  if (const auto error = json.find("error"); error != json.end() && !error->is_null() && !json.contains("choices")) {
    const ServerError said = server_error(json, body.substr(0, 4096));
    return failure(said.number >= 400 && said.number < 600 ? said.number : 500, said);
  }
  const auto choices = json.find("choices");
  if (choices == json.end() || !choices->is_array() || choices->empty()) return unread("no choices in the answer", body);
  const Json& choice = choices->front();
  const auto message = choice.is_object() ? choice.find("message") : choice.end();
  if (!choice.is_object() || message == choice.end() || !message->is_object()) return unread("no message in the answer", body);
  Verdict made;
  made.text = content_of(*message);
  if (const auto reason = choice.find("finish_reason"); reason != choice.end() && reason->is_string()) made.finish_reason = reason->get<std::string>();
  made.usage = usage_of(json);
  if (made.finish_reason == "content_filter") {
    made.kind = Kind::kRefused;
    made.reason = kContentFilter;
    made.detail = made.text;
  }
  return made;
}

Verdict judge_failure(int code, bool begun, std::int64_t proxy_status, std::string_view words) {
  const auto failed = [&](Kind kind, const char* reason) {
    Verdict made = verdict(kind, reason, std::string(words));
    made.may_be_billed = begun;
    return made;
  };
  if (proxy_status == 407) return failed(Kind::kUnusable, "proxy refused");
  if (proxy_status >= 400) return failed(Kind::kTryAgain, "proxy failed");
  switch (static_cast<CURLcode>(code)) {
    case CURLE_OUT_OF_MEMORY: throw std::bad_alloc();
    case CURLE_OPERATION_TIMEDOUT: return failed(Kind::kTryAgain, begun ? "timed out" : "connecting timed out");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return failed(Kind::kTryAgain, "host not found");
    case CURLE_COULDNT_CONNECT: return failed(Kind::kTryAgain, "cannot connect");
    case CURLE_PROXY: return failed(Kind::kTryAgain, "proxy failed");
    case CURLE_SSL_CONNECT_ERROR: return failed(Kind::kTryAgain, "TLS handshake failed");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return failed(Kind::kUnusable, "certificate not trusted");
    case CURLE_UNSUPPORTED_PROTOCOL:  // bytes that are not HTTP
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return failed(Kind::kTryAgain, "garbage");
    case CURLE_WRITE_ERROR: return failed(Kind::kTryAgain, "answer too large");
    case CURLE_ABORTED_BY_CALLBACK: return failed(Kind::kTryAgain, "stopped");
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:  // libcurl would have sent it once more, unasked: see client.cpp
    case CURLE_PARTIAL_FILE: return failed(Kind::kTryAgain, "connection cut");
    default: return failed(Kind::kTryAgain, "transfer failed");
  }
}

std::string shown_detail(std::string_view words, std::string_view key) {
  std::string line;
  for (const char c : without_key(std::string(words), key)) {
    const bool blank = static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    if (!blank) line += c;
    else if (!line.empty() && line.back() != ' ') line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  line = mend_utf8(line);
  if (line.size() > kDetailBytes) {
    std::size_t end = kDetailBytes - 3;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;  // not inside a character
    line = line.substr(0, end) + "...";
  }
  return line;
}

}  // namespace oncekit
