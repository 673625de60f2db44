#include "cookbook/listing.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/files.h"
#include "recipe/layers.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> keys_of(const Node* table) {
  std::vector<std::string> keys;
  if (table)
    for (const auto& entry : table->entries) keys.push_back(entry.first);
  return keys;
}

std::string json_list(const std::vector<std::string>& names) { return toml_text(OptionValue(names)); }

// The byte at a line and column, both from 1; columns count characters, not bytes.
std::size_t byte_at(const std::string& text, std::size_t line, std::size_t column) {
  std::size_t at = 0;
  for (; line > 1; --line) at = text.find('\n', at) + 1;
  for (; column > 1 && at < text.size(); --column) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
  return at;
}

}  // namespace

RecipeHead read_head(const fs::path& file) {
  RecipeHead head;
  head.file = file;
  try {
    const Layers layers = read_layers(file);
    if (const Node* recipe = layers.root.find("recipe")) {
      head.title = recipe->text_at("title");
      head.paper = recipe->text_at("paper");
    }
    head.points = keys_of(layers.root.find("point"));
    head.sweep = keys_of(layers.root.find("sweep"));
  } catch (const Error& e) {
    head.problem = e.what();
  }
  return head;
}

std::vector<RecipeHead> list_recipes(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw Error(ErrorKind::kUsage, "there is no recipes folder", "run this in oncekit's folder, or set ONCEKIT_RECIPES",
                folder.string());
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    if (it->is_directory() && it->path().filename() == "base") it.disable_recursion_pending();
    if (it->is_regular_file() && it->path().extension() == ".toml") files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  std::vector<RecipeHead> heads;
  for (const fs::path& file : files) heads.push_back(read_head(file));
  return heads;
}

std::string listing_text(const std::vector<RecipeHead>& heads) {
  std::size_t width = 0;
  for (const RecipeHead& head : heads) width = std::max(width, display_path(head.file).size());
  std::string text;
  for (const RecipeHead& head : heads) {
    std::string about = head.problem.empty() ? head.title : "cannot be read: " + head.problem;
    if (!head.paper.empty()) about += (about.empty() ? "[" : " [") + head.paper + "]";
    text += fmt::format("{:<{}}  {}\n", display_path(head.file), width, about);
    for (const std::string& point : head.points) text += fmt::format("{:<{}}    --point {}\n", "", width, in_quotes(point));
  }
  return text;
}

std::string listing_json(const std::vector<RecipeHead>& heads) {
  std::string text = "[";
  for (const RecipeHead& head : heads)
    text +=
        fmt::format("{}\n  {{\"recipe\": {}, \"title\": {}, \"paper\": {}, \"points\": {}, \"sweep\": {}, \"problem\": {}}}",
                    text.size() > 1 ? "," : "", in_quotes(display_path(head.file)), in_quotes(head.title),
                    in_quotes(head.paper), json_list(head.points), json_list(head.sweep), in_quotes(head.problem));
  return text + "\n]\n";
}

std::string recipe_text(const fs::path& file, bool with_bases) {
  if (!with_bases) return read_file(file);
  std::string text;
  for (const fs::path& part : read_layers(file).files)
    text += (text.empty() ? "# ==> " : "\n# ==> ") + display_path(part) + "\n" + read_file(part);
  return text;
}

fs::path copy_recipe(const fs::path& file, const fs::path& destination) {
  const bool folder = fs::is_directory(destination) || !destination.has_filename();
  const fs::path copy = folder ? destination / file.filename() : destination;
  if (fs::exists(copy))
    throw Error(ErrorKind::kUsage, "'" + copy.string() + "' is there already", "choose another name, or remove it first");
  (void)read_layers(file);  // says what is wrong with it, if anything is
  std::string text = read_file(file);
  const Node root = parse_toml(text, display_path(file), Origin::Kind::kRecipe);
  if (const Node* extends = root.find("extends")) {
    for (auto entry = extends->items.rbegin(); entry != extends->items.rend(); ++entry) {
      const fs::path base = find_base(entry->text(), file), seen = find_base(entry->text(), copy, false);
      if (!seen.empty() && fs::equivalent(seen, base)) continue;
      const fs::path from = fs::absolute(copy).lexically_normal().parent_path();
      const std::string name = in_quotes(fs::absolute(base).lexically_normal().lexically_relative(from).generic_string());
      const std::size_t begin = byte_at(text, entry->line, entry->column),
                        end = byte_at(text, entry->end_line, entry->end_column);
      text.replace(begin, end - begin, name);
    }
  }
  if (copy.has_parent_path()) fs::create_directories(copy.parent_path());
  write_file(copy, text);
  return copy;
}

}  // namespace oncekit
