// What the tests of this room share: files as text, datasets made by name through the plugin host.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "oncekit/dataset.h"
#include "oncekit/error.h"
#include "plugin/host.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

namespace oncekit::test {

namespace fs = std::filesystem;

inline std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void spill(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << text;
  REQUIRE(out.good());
}

inline void spill_gzip(const fs::path& file, const std::string& text) {
  spill(file.string() + ".plain", text);
  REQUIRE(std::system(("gzip -n < '" + file.string() + ".plain' > '" + file.string() + "'").c_str()) == 0);
  fs::remove(file.string() + ".plain");
}

inline PluginHost& host() {
  static PluginHost instance({fs::path(ONCEKIT_BUILD) / "plugins"});
  return instance;
}

using Settings = std::vector<std::pair<std::string, OptionValue>>;

inline std::unique_ptr<Dataset> dataset(const std::string& name, const Settings& settings) {
  const ComponentSpec& spec = host().find("dataset", name);
  const std::unique_ptr<OptionSet> options = spec.options();
  Fields fields;
  options->describe(fields);
  for (const auto& [key, value] : settings) {
    Field* field = fields.find(key);
    REQUIRE(field != nullptr);
    field->assign(value);
  }
  return spec.make_dataset(*options);
}

inline Corpus load(const std::string& name, const Settings& settings, int threads = 2, const fs::path& cache = {}) {
  WorkspaceOptions options;
  options.threads = threads;
  if (!cache.empty()) options.cache = cache;
  HostWorkspace workspace(options);
  return dataset(name, settings)->load(workspace);
}

inline std::map<std::string, std::int64_t> counts(const Corpus& corpus) {
  std::map<std::string, std::int64_t> map;
  for (const Count& count : corpus.counts) map[count.reason] = count.count;
  return map;
}

/// All of a corpus as text: two corpora are equal when these are.
inline std::string dump(const Corpus& corpus) {
  std::ostringstream out;
  for (std::size_t i = 0; i < corpus.items.size(); ++i) {
    out << corpus.items.ids[i];
    for (const auto& [name, column] : corpus.items.attributes) out << '|' << name << '=' << column[i];
    out << '\n';
  }
  for (std::size_t h = 0; h < corpus.histories.size(); ++h) {
    out << 'h' << h << '/' << corpus.clicks_before[h];
    for (const ItemId item : corpus.histories[h]) out << ' ' << item;
    out << '\n';
  }
  for (const Impressions* rows : {&corpus.train, &corpus.dev, &corpus.test}) {
    for (std::size_t i = 0; i < rows->size(); ++i) {
      out << rows->ids[i] << ' ' << corpus.users.ids[static_cast<std::size_t>(rows->users[i])] << ' ' << rows->histories[i] << ' ' << rows->times[i];
      for (std::size_t c = rows->candidates.offsets()[i]; c < rows->candidates.offsets()[i + 1]; ++c)
        out << ' ' << rows->candidates.values()[c] << (rows->labelled() ? (rows->labels[c] ? "+" : "-") : "?");
      out << '\n';
    }
    out << "--\n";
  }
  for (const Count& count : corpus.counts) out << count.reason << ' ' << count.count << ' ' << count.first << '\n';
  return out.str();
}

}  // namespace oncekit::test
