#include "recipe/print.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/files.h"

namespace oncekit {
namespace {

struct Line {
  std::string key, value;
  Origin origin;
};

struct Section {
  std::string header;  // "" for what stands above all tables
  std::string prefix;  // of dotted keys: "train."
  std::vector<Line> lines;
};

Origin origin_of(const Origins& origins, const std::string& key) {
  const auto found = origins.find(key);
  return found == origins.end() ? Origin{} : found->second;
}

// Every value, table by table, in the order in which they are shown.
std::vector<Section> sections(const Resolved& recipe) {
  std::vector<Section> all;
  all.push_back({"", "", {{"augment", toml_text(OptionValue(recipe.augment)), recipe.augment_origin}}});
  for (const TableView& view : recipe.views) {
    Section section{"[" + view.table + "]", view.table + ".", {}};
    if (view.spec) section.lines.push_back({"use", in_quotes(view.spec->name), view.use});
    Fields fields;
    view.options->describe(fields);
    each_field(fields, [&](const std::string& key, const Field& field) {
      section.lines.push_back({key, toml_text(field.value()), origin_of(view.origins, key)});
    });
    all.push_back(std::move(section));
  }
  if (!recipe.expect.empty()) {
    Section section{"[expect]", "expect.", {}};
    for (const auto& [name, value] : recipe.expect) {
      std::string text = toml_text(value);
      if (text.ends_with(".0")) text.resize(text.size() - 2);  // a count
      section.lines.push_back({toml_key(name), std::move(text), origin_of(recipe.expect_origins, name)});
    }
    all.push_back(std::move(section));
  }
  return all;
}

std::string comment(const Origin& origin) {
  const std::string name = origin_name(origin);
  if (origin.where.empty() || origin.kind == Origin::Kind::kFidelity) return name;
  if (origin.kind == Origin::Kind::kRecipe) return origin.where;
  return name + " " + origin.where;
}

}  // namespace

std::string origin_name(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::kDefault: return "default";
    case Origin::Kind::kFidelity: return "fidelity " + origin.where;
    case Origin::Kind::kBaseFile: return "base file";
    case Origin::Kind::kRecipe: return "recipe";
    case Origin::Kind::kPoint: return "point";
    case Origin::Kind::kOverride: return "override";
    case Origin::Kind::kDemo: return "demo";
  }
  return {};
}

std::string print_resolved(const Resolved& recipe, const std::string& shown) {
  std::string text = "# Every value of " + shown + ", resolved.\n";
  for (const Section& section : sections(recipe)) {
    if (!section.header.empty()) text += "\n" + section.header + "\n";
    for (const Line& line : section.lines) text += line.key + " = " + line.value + "\n";
  }
  return text;
}

std::string print_origins(const Resolved& recipe, const std::string& shown, const std::string& hash, bool demo) {
  constexpr std::size_t kWidest = 44;  // a longer value pushes only its own comment aside
  const std::vector<Section> all = sections(recipe);
  std::size_t key_width = 0;
  for (const Section& section : all)
    for (const Line& line : section.lines) key_width = std::max(key_width, line.key.size());
  std::string text = "# " + shown + (demo ? ", --demo" : "") + ", hash " + hash + "\n";
  for (const std::string& note : recipe.notes) text += "# note: " + note + "\n";
  for (const Section& section : all) {
    std::size_t value_width = 0;
    for (const Line& line : section.lines)
      if (line.value.size() <= kWidest) value_width = std::max(value_width, line.value.size());
    text += "\n";
    if (!section.header.empty()) text += section.header + "\n";
    for (const Line& line : section.lines)
      text += fmt::format("{:<{}} = {:<{}}  # {}\n", line.key, key_width, line.value, value_width, comment(line.origin));
  }
  return text;
}

std::string print_json(const Resolved& recipe) {
  std::string text = "{";
  for (const Section& section : sections(recipe))
    for (const Line& line : section.lines) {
      const bool number = line.value != "inf" && line.value != "-inf" && line.value != "nan";
      text += fmt::format("{}\n  {}: {{\"value\": {}, \"origin\": {}, \"where\": {}}}", text.size() > 1 ? "," : "",
                          in_quotes(section.prefix + line.key), number ? line.value : in_quotes(line.value),
                          in_quotes(origin_name(line.origin)),
                          in_quotes(line.origin.kind == Origin::Kind::kFidelity ? "" : line.origin.where));
    }
  return text + "\n}\n";
}

std::string hash_of(const Resolved& recipe) {
  // What says nothing about results: words of the recipe about itself, what it expects, how much memory it may take, how fast, where and
  // for how much a language model may be asked. The answer store counts: other answers make another corpus.
  constexpr const char* kLeftOut[] = {"recipe.title", "recipe.paper", "recipe.paper_gap", "run.memory_gib", "answers.ask", "answers.min_coverage",
                                      "endpoint.url", "endpoint.key", "endpoint.proxy", "endpoint.ca_file",
                                      "endpoint.in_flight", "endpoint.requests_per_minute", "endpoint.tokens_per_minute", "endpoint.tries",
                                      "endpoint.connect_timeout_s", "endpoint.timeout_s", "endpoint.first_wait_s", "endpoint.longest_wait_s",
                                      "endpoint.input_price", "endpoint.output_price", "endpoint.budget"};
  std::vector<std::string> lines;
  for (const Section& section : sections(recipe)) {
    if (section.header == "[expect]") continue;
    for (const Line& line : section.lines) {
      const std::string key = section.prefix + line.key;
      if (std::find(std::begin(kLeftOut), std::end(kLeftOut), key) == std::end(kLeftOut))
        lines.push_back(key + " = " + line.value + "\n");
    }
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return digest(text);
}

}  // namespace oncekit
