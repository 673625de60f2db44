// Overrides of the command line.
#include <algorithm>

#include "recipe/layers.h"

namespace oncekit {
namespace {

struct Override {
  enum class Kind { kSet, kAdd, kRemove } kind = Kind::kSet;
  std::string text;  // as given
  std::vector<std::string> path;
  Node value;
};

// The first '=' outside quotes.
std::size_t equals_sign(const std::string& text) {
  char open = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (open) {
      if (text[i] == open) open = 0;
    } else if (text[i] == '"' || text[i] == '\'') {
      open = text[i];
    } else if (text[i] == '=') {
      return i;
    }
  }
  return std::string::npos;
}

// A TOML value; else the words themselves, unless they begin like a TOML string, list or table.
Node read_value(const std::string& text) {
  try {
    Node node = parse_toml_value(text);
    if (!node.is(Node::Type::kDate)) return node;
  } catch (const Error&) {
    if (!text.empty() && std::string_view("\"'[{").find(text[0]) != std::string_view::npos)
      throw Error(ErrorKind::kUsage, "the value is not TOML",
                  "check quotes and brackets; the shell takes away one layer of quotes");
  }
  Node node;
  node.type = Node::Type::kString;
  node.scalar = text;
  return node;
}

Override parse(const std::string& text) {
  Override result;
  result.text = text;
  std::string rest = text;
  if (rest.starts_with('+')) result.kind = Override::Kind::kAdd;
  if (rest.starts_with('~')) result.kind = Override::Kind::kRemove;
  if (result.kind != Override::Kind::kSet) rest.erase(0, 1);
  const std::size_t equals = equals_sign(rest);
  if (result.kind == Override::Kind::kRemove) {
    if (equals != std::string::npos) throw Error(ErrorKind::kUsage, "~ takes a key alone", "write ~" + rest.substr(0, equals));
  } else if (equals == std::string::npos) {
    throw Error(ErrorKind::kUsage, "there is no '='", "overrides look like train.lr=1e-3, +expect.items=100 or ~train.clip");
  }
  result.path = split_key(rest.substr(0, equals));
  // [sweep] holds dotted keys.
  if (result.path[0] == "sweep" && result.path.size() > 2) {
    std::string key = result.path[1];
    for (std::size_t i = 2; i < result.path.size(); ++i) key += "." + result.path[i];
    result.path = {"sweep", key};
  }
  if (result.path[0] == "extends" || result.path[0] == "point")
    throw Error(
        ErrorKind::kUsage, "'" + result.path[0] + "' cannot be overridden",
        result.path[0] == "point" ? "choose a point with --point" : "copy the recipe with `oncekit recipes cp` and edit it");
  if (result.kind != Override::Kind::kRemove) result.value = read_value(rest.substr(equals + 1));
  result.value.set_origin({Origin::Kind::kOverride, text});
  return result;
}

Node* find(Node& root, const std::vector<std::string>& path, std::size_t depth) {
  Node* node = &root;
  for (std::size_t i = 0; node && i < depth; ++i) node = node->find(path[i]);
  return node;
}

void apply(Layers& layers, Override& o) {
  Node* old = find(layers.root, o.path, o.path.size());
  const std::string key = join_key(o.path);
  if (o.kind == Override::Kind::kRemove) {
    if (!old)
      throw Error(ErrorKind::kUsage, "no file of this recipe sets " + key,
                  "it has its default already; `--print` shows where each value comes from");
    find(layers.root, o.path, o.path.size() - 1)->erase(o.path.back());
    return;
  }
  if (o.kind == Override::Kind::kAdd && old)
    throw Error(ErrorKind::kUsage, key + " is there already (" + place(old->origin) + ")", "write it without the +");
  const bool open_table = o.path[0] == "expect" || o.path[0] == "sweep";
  const bool new_augmenter = o.path[0] == "augmenter" && !find(layers.root, o.path, std::min<std::size_t>(2, o.path.size()));
  if (o.kind == Override::Kind::kSet && !old && ((open_table && o.path.size() > 1) || new_augmenter))
    throw Error(ErrorKind::kUsage, "the recipe has no " + key, "write +" + o.text + " to add it");
  Node table = std::move(o.value);
  for (std::size_t i = o.path.size(); i-- > 0;) {
    Node outer;
    outer.origin = {Origin::Kind::kOverride, o.text};
    outer.entries.emplace_back(o.path[i], std::move(table));
    table = std::move(outer);
  }
  put_over(layers, std::move(table));
}

}  // namespace

void apply_overrides(Layers& layers, const std::vector<std::string>& overrides, Problems& problems) {
  std::vector<Override> parsed;
  const auto guarded = [&](const std::string& text, const auto& action) {
    try {
      action();
    } catch (const Error& e) {
      problems.add(e.message(), e.hint(), place({Origin::Kind::kOverride, text}));
    }
  };
  for (const std::string& text : overrides) guarded(text, [&] { parsed.push_back(parse(text)); });
  std::stable_partition(parsed.begin(), parsed.end(),
                        [](const Override& o) { return o.path.back() == "use" || o.path[0] == "augment"; });
  for (Override& o : parsed) guarded(o.text, [&] { apply(layers, o); });
}

std::vector<std::string> split_values(const std::string& text) {
  std::vector<std::string> values(1);
  char open = 0;
  int depth = 0;
  for (const char c : text) {
    if (open) {
      if (c == open) open = 0;
    } else if (c == '"' || c == '\'') {
      open = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      values.emplace_back();
      continue;
    }
    values.back() += c;
  }
  return values;
}

}  // namespace oncekit
