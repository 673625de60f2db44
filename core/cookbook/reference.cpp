#include "cookbook/reference.h"

#include "recipe/layers.h"
#include "recipe/values.h"

namespace oncekit {
namespace {

constexpr const char* kMarker = "<!-- Made by `oncekit recipes reference` from here on: do not edit. -->\n";

std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

std::string under(const Field& field, const std::string& fidelity) {
  for (const auto& [name, value] : field.fidelity)
    if (name == fidelity) return code(toml_text(value));
  return {};
}

std::string meaning(const Field& field) {
  std::string text = field.doc_text;
  if (!field.unit_text.empty()) text += (text.empty() ? "in " : "; in ") + field.unit_text;
  if (!field.cite_text.empty()) text += (text.empty() ? "(" : " (") + field.cite_text + ")";
  return text;
}

// One Markdown table. The columns "paper", "released" and "--demo" stand only where some key needs them.
std::string fields_table(const Fields& fields) {
  bool fidelity = false, demo = false, any = false;
  each_field(fields, [&](const std::string&, const Field& field) {
    any = true;
    fidelity = fidelity || !field.fidelity.empty();
    demo = demo || field.demo_value;
  });
  if (!any) return "No options.\n";
  std::string text = std::string("| key | accepts | default |") + (fidelity ? " paper | released |" : "") +
                     (demo ? " --demo |" : "") + " meaning |\n" + "|---|---|---|" + (fidelity ? "---|---|" : "") +
                     (demo ? "---|" : "") + "---|\n";
  each_field(fields, [&](const std::string& key, const Field& field) {
    text += "| " + code(key) + " | " + cell(expected(field)) + " | " + cell(code(toml_text(field.value()))) + " | ";
    if (fidelity) text += cell(under(field, "paper")) + " | " + cell(under(field, "released")) + " | ";
    if (demo) text += (field.demo_value ? cell(code(toml_text(*field.demo_value))) : "") + " | ";
    text += cell(meaning(field)) + " |\n";
  });
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + code(name);
  return text;
}

std::string component_section(const ComponentSpec& spec) {
  std::string about;
  const auto say = [&](const std::string& words) {
    about += (about.empty() ? "" : " ") + words + (words.ends_with('.') ? "" : ".");
  };
  if (!spec.doc_text.empty()) say(spec.doc_text);
  if (!spec.cite_text.empty()) say("Source: " + spec.cite_text);
  const auto options = spec.options();
  const auto needs = spec.needs(*options), gives = spec.gives(*options);
  if (!needs.empty()) say("Needs " + joined(needs));
  if (!gives.empty()) say("Gives " + joined(gives));
  if (!about.empty()) about += "\n\n";
  Fields fields;
  options->describe(fields);
  return "### " + spec.kind + "/" + spec.name + "\n\n" + about + fields_table(fields) + "\n";
}

}  // namespace

std::string recipe_reference(const std::vector<CoreTable>& tables, Catalog& catalog) {
  std::string text = "## The core's tables\n\n";
  for (const CoreTable& table : tables) {
    text += "### [" + table.name + "]\n\n";
    if (!table.doc.empty()) text += table.doc + "\n\n";
    const auto options = table.options();
    Fields fields;
    options->describe(fields);
    text += fields_table(fields) + "\n";
  }
  std::vector<std::string> kinds = component_tables();
  kinds.insert(kinds.begin() + 1, "augmenter");
  for (const std::string& kind : kinds) {
    const std::vector<std::string> names = catalog.names(kind);
    if (names.empty()) continue;
    text += "## " + std::string(kind == "augmenter" ? "[augmenter.NAME]" : "[" + kind + "]") + " with `use =`\n\n";
    for (const std::string& name : names) text += component_section(catalog.find(kind, name));
  }
  text.pop_back();
  return text;
}

std::string with_reference(const std::string& page, const std::string& reference) {
  const std::size_t marker = page.find(kMarker);
  if (marker == std::string::npos)
    throw Error(ErrorKind::kData, "the page lacks the line that the reference stands under",
                std::string("put this line into it: ") + kMarker);
  return page.substr(0, marker) + kMarker + "\n" + reference;
}

}  // namespace oncekit
