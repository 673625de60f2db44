#include "pretokenizer/added_tokens.h"

#include <algorithm>

#include "pretokenizer/unicode.h"

namespace oncekit {
namespace {

// Unicode's word characters: letters, marks, decimal digits, connectors.
bool is_word(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_ALPHABETIC) ||
         u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_JOIN_CONTROL);
}

// Where the character before `end` begins.
std::size_t char_before(std::string_view text, std::size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  std::size_t at = char_before(text, text.size());
  return is_word(next_char(text, at));
}

bool starts_with_word(std::string_view text) {
  std::size_t at = 0;
  return !text.empty() && is_word(next_char(text, at));
}

}  // namespace

AddedToken read_added_token(const JsonView& entry, std::int32_t id) {
  AddedToken token;
  token.content = entry.at("content").text();
  token.id = id;
  token.single_word = entry.flag("single_word", false);
  token.left_strip = entry.flag("lstrip", false);
  token.right_strip = entry.flag("rstrip", false);
  token.normalized = entry.flag("normalized", !entry.flag("special", false));
  return token;
}

std::string as_text(const AddedToken& token) {
  return token.content + '\n' + std::to_string(token.id) + (token.left_strip ? "l" : "") + (token.right_strip ? "r" : "") +
         (token.single_word ? "w" : "") + (token.normalized ? "n" : "") + '\n';
}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  empty_ = false;
  auto& list = by_first_byte_[static_cast<unsigned char>(token.content[0])];
  std::erase_if(list, [&](const AddedToken& known) { return known.content == token.content; });
  const auto place = std::find_if(list.begin(), list.end(),
                                  [&](const AddedToken& known) { return known.content.size() < token.content.size(); });
  list.insert(place, std::move(token));
}

const AddedToken* AddedTokens::longest_at(std::string_view whole, std::size_t at) const {
  for (const AddedToken& token : by_first_byte_[static_cast<unsigned char>(whole[at])]) {
    if (whole.compare(at, token.content.size(), token.content) == 0) return &token;
  }
  return nullptr;
}

void AddedTokens::split(std::string_view whole, const std::function<void(std::size_t, std::size_t)>& text,
                        const std::function<void(std::int32_t)>& token) const {
  std::size_t done = 0;
  for (std::size_t at = 0; !empty_ && at < whole.size();) {
    const AddedToken* found = longest_at(whole, at);
    if (!found) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + found->content.size();
    at = end;
    if (found->single_word && (ends_with_word(whole.substr(0, begin)) || starts_with_word(whole.substr(end)))) continue;
    for (std::size_t before = begin; found->left_strip && begin > done; begin = before) {
      std::size_t c = before = char_before(whole, begin);
      if (!is_space(next_char(whole, c))) break;
    }
    for (std::size_t behind = end; found->right_strip && end < whole.size(); end = behind) {
      if (!is_space(next_char(whole, behind))) break;
    }
    if (done < begin) text(done, begin);
    token(found->id);
    done = end;
  }
  if (done < whole.size()) text(done, whole.size());
}

}  // namespace oncekit
