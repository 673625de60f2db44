// The recipes/ folder: what there is, and copies of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace oncekit {

/// What a list shows of a recipe, read without any plugin.
struct RecipeHead {
  std::filesystem::path file;
  std::string title, paper;
  std::vector<std::string> points;
  std::vector<std::string> sweep;  ///< the dotted keys of [sweep]
  std::string problem;             ///< why it cannot be read, or ""
};

RecipeHead read_head(const std::filesystem::path& file);

/// All recipes below a folder, sorted by path; base/ holds parts of recipes and is left out.
std::vector<RecipeHead> list_recipes(const std::filesystem::path& folder);
std::string listing_text(const std::vector<RecipeHead>& heads);
std::string listing_json(const std::vector<RecipeHead>& heads);

/// The text of a recipe; with_bases: of all files it reads, in the order in which they are merged, each under its name.
std::string recipe_text(const std::filesystem::path& file, bool with_bases);

/// Copies a recipe to a file, or into a folder. Entries of `extends` are rewritten where they would not be found from there;
/// comments stay. Returns the new file. Throws Error(kUsage) when it exists.
std::filesystem::path copy_recipe(const std::filesystem::path& file, const std::filesystem::path& destination);

}  // namespace oncekit
