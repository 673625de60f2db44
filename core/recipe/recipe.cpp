#include "recipe/recipe.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <stdexcept>
#include <tuple>

#include "base/files.h"
#include "recipe/print.h"
#include "recipe/resolve.h"

namespace oncekit {

Catalog::~Catalog() = default;

struct Recipe::State {
  RecipeRequest request;
  std::string source;
  std::vector<std::string> points;
  Resolved resolved;
};

Recipe::Recipe() : state_(std::make_unique<State>()) {}
Recipe::~Recipe() = default;
Recipe::Recipe(Recipe&&) noexcept = default;
Recipe& Recipe::operator=(Recipe&&) noexcept = default;

namespace {

// Their names; takes out what has no place in a point, with a problem each.
std::vector<std::string> point_names(Layers& layers, Problems& problems) {
  std::vector<std::string> names;
  Node* points = layers.root.find("point");
  if (!points || !points->is(Node::Type::kTable)) return names;
  for (auto& [name, node] : points->entries) {
    names.push_back(name);
    const std::string table = "[point." + toml_key(name) + "]";
    if (!node.is(Node::Type::kTable)) {
      problems.add("'" + name + "' in [point] is " + describe(node), "each point is a table: " + table, place(node.origin));
      continue;
    }
    for (const char* key : {"extends", "sweep", "point"}) {
      const Node* misplaced = node.find(key);
      if (!misplaced) continue;
      problems.add(std::string("'") + key + "' has no place in " + table,
                   "a point holds tables such as [point.NAME.train], and `augment`", place(misplaced->origin));
      node.erase(key);
    }
  }
  return names;
}

void choose_point(Layers& layers, const std::string& point, const std::vector<std::string>& names, const std::string& shown) {
  if (point.empty()) return;
  if (std::count(names.begin(), names.end(), point) == 0) {
    const std::string near = nearest_name(point, names);
    std::string hint = near.empty() ? "" : "did you mean " + in_quotes(near) + "?";
    if (near.empty() && names.empty()) hint = "it has no [point.NAME] tables: leave --point out";
    if (near.empty())
      for (const std::string& name : names) hint += (hint.empty() ? "its points: " : ", ") + in_quotes(name);
    throw Error(ErrorKind::kUsage, "this recipe has no point " + in_quotes(point), hint, shown);
  }
  apply_point(layers, point);
}

// A point's own values, wherever they came to rest, are of kind kPoint.
void mark_points(Node& root) {
  const auto mark = [](const auto& self, Node& node) -> void {
    node.origin.kind = Origin::Kind::kPoint;
    for (Node& item : node.items) self(self, item);
    for (auto& entry : node.entries) self(self, entry.second);
  };
  if (Node* points = root.find("point")) mark(mark, *points);
}

// file, line, column: so that problems read in the order of the files.
std::tuple<int, std::string, long, long> position(const Error& e) {
  std::string where = e.where();
  if (where.starts_with("override")) return {1, "", 0, 0};  // as given on the command line
  long numbers[2] = {0, 0};
  for (int i = 1; i >= 0; --i) {
    const std::size_t colon = where.rfind(':');
    if (colon == std::string::npos ||
        std::from_chars(where.data() + colon + 1, where.data() + where.size(), numbers[i]).ptr != where.data() + where.size())
      break;
    where.resize(colon);
  }
  return {0, where, numbers[0], numbers[1]};
}

Problems sorted(const Problems& problems) {
  std::vector<Error> items = problems.items();
  std::stable_sort(items.begin(), items.end(), [](const Error& a, const Error& b) { return position(a) < position(b); });
  Problems result;
  for (const Error& e : items) result.add(e.message(), e.hint(), e.where());
  return result;
}

}  // namespace

Recipe Recipe::load(const RecipeRequest& request, const std::vector<CoreTable>& tables, Catalog& catalog) {
  Layers layers = read_layers(request.file);
  mark_points(layers.root);
  const std::string shown = display_path(request.file);
  Problems problems;

  Recipe recipe;
  State& state = *recipe.state_;
  state.request = request;
  state.source = layers.source;
  state.points = point_names(layers, problems);
  const Layers unpointed = layers;
  choose_point(layers, request.point, state.points, shown);
  apply_overrides(layers, request.overrides, problems);
  std::string hint;
  if (request.point.empty() && !state.points.empty())
    hint = "choose one of its points, e.g. --point " + in_quotes(state.points[0]) + ", or run all with `oncekit sweep`";
  state.resolved = resolve({layers, tables, catalog, request.demo, shown, hint}, problems);

  // The other points are checked too: a slip in one of fifty rows must not show after the forty-ninth.
  std::set<std::string> said;
  for (const Error& e : problems.items()) said.insert(e.what());
  for (const std::string& name : state.points) {
    if (name == request.point) continue;
    Layers other = unpointed;
    apply_point(other, name);
    Problems found;
    (void)resolve({other, tables, catalog, request.demo, shown, ""}, found);
    for (const Error& e : found.items())
      if (said.insert(e.what()).second) problems.add("point " + in_quotes(name) + ": " + e.message(), e.hint(), e.where());
  }
  sorted(problems).raise(ErrorKind::kUsage);
  if (state.resolved.plugin_error) std::rethrow_exception(state.resolved.plugin_error);
  return recipe;
}

const std::filesystem::path& Recipe::file() const { return state_->request.file; }
const std::string& Recipe::source() const { return state_->source; }
bool Recipe::demo() const { return state_->request.demo; }

const OptionSet& Recipe::options(const std::string& core_table) const {
  const auto found = state_->resolved.core.find(core_table);
  if (found == state_->resolved.core.end())
    throw std::logic_error("no core table '" + core_table + "' was given to Recipe::load");
  return *found->second;
}

const UsedComponent& Recipe::component(const std::string& kind) const {
  const auto found = state_->resolved.components.find(kind);
  if (found == state_->resolved.components.end()) throw std::logic_error("a recipe has no component of kind '" + kind + "'");
  return found->second;
}

const std::vector<UsedComponent>& Recipe::augmenters() const { return state_->resolved.augmenters; }
const std::vector<std::string>& Recipe::augment() const { return state_->resolved.augment; }
const std::map<std::string, double>& Recipe::expect() const { return state_->resolved.expect; }
const std::vector<std::pair<std::string, std::vector<std::string>>>& Recipe::sweep() const { return state_->resolved.sweep; }
const std::vector<std::string>& Recipe::points() const { return state_->points; }
const std::vector<std::string>& Recipe::notes() const { return state_->resolved.notes; }

std::string Recipe::resolved() const { return print_resolved(state_->resolved, display_path(file())); }
std::string Recipe::print(bool json) const {
  return json ? print_json(state_->resolved) : print_origins(state_->resolved, display_path(file()), hash(), demo());
}
std::string Recipe::hash() const { return hash_of(state_->resolved); }

}  // namespace oncekit
