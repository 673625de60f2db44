// Rows by name, and rows made from runs that are there: `oncekit runs compare`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/table.h"

namespace oncekit {

struct RowName {
  std::string label, point;
};

/// Which row a name means: a row's label, or a point that has one row. Throws Error(kUsage) that names the nearest.
std::size_t find_row(const std::vector<RowName>& rows, const std::string& name);

/// Runs grouped into rows: those that differ in nothing but [run] seed and what [recipe] says of them.
struct GatheredRows {
  std::vector<RunGroup> rows;                          ///< in the order of the names
  std::vector<std::vector<std::string>> names;         ///< parallel: which of the names led to a row
  std::vector<std::string> notes;                      ///< runs that were passed over, and why
};

/// Each name is a run (its folder, its name under `out`, the end of its name, or last), a sweep (its folder or its name under
/// out/sweeps), or a folder that holds runs. Throws Error(kUsage) for a name that is none and a run that is not finished.
GatheredRows gather_rows(const std::filesystem::path& out, const std::vector<std::string>& names);

/// The row that `name` means: as find_row(), or one of the names that the rows were gathered from.
std::size_t find_row(const GatheredRows& gathered, const std::string& name);

}  // namespace oncekit
