// report.html: one run on one page that needs nothing else. No script, no external resource; light and dark.
#pragma once

#include <filesystem>
#include <string>

namespace oncekit {

/// The page of a run, from the files of its folder: run.json, status.json, results.json, curves.csv, losses.csv, recipe.json (values
/// with origins; recipe.resolved.toml in its place). What is missing leaves its section out, so an unfinished run has a page too.
/// Throws Error(kData) when a file is damaged.
std::string run_report(const std::filesystem::path& folder);

/// Writes it to folder/report.html.
void write_report(const std::filesystem::path& folder);

}  // namespace oncekit
