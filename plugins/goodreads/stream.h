// Files of one JSON object a line, plain or gzip-packed, of any size: unpacked piece by piece and parsed in blocks of a fixed size
// on all threads, while one of them unpacks the next blocks. Nothing here depends on the number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit::goodreads {

/// A path as it may stand in records: relative to the working folder when inside it, from ~ when inside the home folder.
std::string shown(const std::filesystem::path& file);

/// What a block of lines gave besides its results. Line numbers count from 0 within the block.
struct BlockReport {
  struct Bad {
    std::int64_t line;
    std::string what;
  };
  std::int64_t lines = 0, blank = 0, first_blank = 0, bad_lines = 0;
  std::vector<Bad> bad;  ///< the first few
  void add_bad(std::int64_t line, std::string what);
};

/// The lines of a file in blocks of about 1 MiB that end where lines end.
class LineFile {
 public:
  /// Throws Error(kData) when it cannot be opened.
  explicit LineFile(const std::filesystem::path& file);
  ~LineFile();
  /// Replaces `block` by the next whole lines (the last line may lack its end); false when there are none. Throws Error(kData) with the
  /// place when the file is cut off or damaged.
  bool next(std::string& block);
  std::int64_t consumed() const noexcept;  ///< bytes of the file read so far
  std::int64_t size() const noexcept;      ///< of the file

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Something met and survived, with its first place.
class Tally {
 public:
  void add(std::string_view reason, std::int64_t n, const std::string& where = {});
  std::vector<Count> take() { return std::move(counts_); }

 private:
  std::vector<Count> counts_;  // in order of appearance
};

/// Calls parse(index, block) for up to kBlocks blocks at once on the workspace's threads, then merge(index) for each in order.
/// `index` is in [0, kBlocks); report(index) is what parse filled. Malformed lines are skipped and tallied; throws Error(kData)
/// that lists the first of them when they are more than `share` of all lines. Returns the number of lines.
inline constexpr std::size_t kBlocks = 16;
std::int64_t read_blocks(const std::filesystem::path& file, std::string_view stage, double share, Workspace& workspace, Tally& tally,
                         const std::function<void(std::size_t index, std::string_view block)>& parse,
                         const std::function<BlockReport&(std::size_t index)>& report,
                         const std::function<void(std::size_t index, std::int64_t first_line)>& merge);

/// Calls line(number, text) for each line of a block that is not blank; line returns nullptr, or what is wrong with it.
template <class Line>
void each_line(std::string_view block, BlockReport& report, const Line& line) {
  report = {};
  while (!block.empty()) {
    const std::size_t end = block.find('\n');
    std::string_view text = block.substr(0, end);
    block.remove_prefix(end == std::string_view::npos ? block.size() : end + 1);
    while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    const std::int64_t number = report.lines++;
    if (text.empty() && report.blank++ == 0) report.first_blank = number;
    if (text.empty()) continue;
    if (const char* wrong = line(number, text)) report.add_bad(number, wrong);
  }
}

}  // namespace oncekit::goodreads
