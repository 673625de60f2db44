#include "stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "oncekit/error.h"

namespace oncekit::goodreads {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kBlock = 1 << 20;          // bytes a block, before the rest of its last line
constexpr std::size_t kLongestLine = 64u << 20;  // more is no line of these files
constexpr std::size_t kInput = 1 << 18;
constexpr std::size_t kShownBad = 15;

}  // namespace

std::string shown(const fs::path& file) {
  std::error_code code;
  const fs::path whole = fs::absolute(file, code).lexically_normal();
  const fs::path inside = whole.lexically_relative(fs::current_path(code));
  if (!inside.empty() && *inside.begin() != "..") return inside.string();
  if (const char* home = std::getenv("HOME"); home && *home) {
    const fs::path below = whole.lexically_relative(home);
    if (!below.empty() && *below.begin() != "..") return "~/" + below.string();
  }
  return whole.string();
}

void BlockReport::add_bad(std::int64_t line, std::string what) {
  if (++bad_lines <= static_cast<std::int64_t>(kShownBad)) bad.push_back({line, std::move(what)});
}

struct LineFile::State {
  fs::path file;
  int fd = -1;
  bool packed = false, ended = false, fresh = true, member_open = false;
  z_stream stream{};
  std::vector<unsigned char> input = std::vector<unsigned char>(kInput);
  std::int64_t consumed = 0, size = 0, unpacked = 0;
  std::string rest;  // of a line whose end has not been read

  ~State() {
    if (packed) inflateEnd(&stream);
    if (fd >= 0) ::close(fd);
  }

  [[noreturn]] void damaged(const std::string& what) const {
    throw Error(ErrorKind::kData, what + " at byte " + std::to_string(consumed - static_cast<std::int64_t>(stream.avail_in)) + " of " +
                std::to_string(size) + " (byte " + std::to_string(unpacked) + " unpacked)", "get the file again; its size and checksum stand beside the download", shown(file));
  }

  std::size_t read_input(void* to, std::size_t n) {
    for (;;) {
      const ssize_t got = ::read(fd, to, n);
      if (got >= 0) {
        consumed += got;
        return static_cast<std::size_t>(got);
      }
      if (errno != EINTR) damaged(std::string("cannot be read: ") + std::strerror(errno));
    }
  }

  // Appends up to `n` bytes of text to `to`; less only at the end.
  void read_text(std::string& to, std::size_t n) {
    const std::size_t before = to.size();
    to.resize(before + n);
    std::size_t have = 0;
    while (have < n && !ended) have += packed ? inflate_some(to.data() + before + have, n - have) : plain_some(to.data() + before + have, n - have);
    to.resize(before + have);
    unpacked += static_cast<std::int64_t>(have);
  }

  std::size_t plain_some(char* to, std::size_t n) {
    const std::size_t got = read_input(to, n);
    ended = got == 0;
    return got;
  }

  std::size_t inflate_some(char* to, std::size_t n) {
    if (stream.avail_in == 0) {
      stream.next_in = input.data();
      stream.avail_in = static_cast<uInt>(read_input(input.data(), input.size()));
      if (stream.avail_in == 0) {
        if (member_open || fresh) damaged("is cut off: gzip data ends");
        ended = true;
        return 0;
      }
    }
    if (!member_open) {  // several members may stand end to end; zeros behind the last are padding
      while (!fresh && stream.avail_in > 0 && *stream.next_in == 0) ++stream.next_in, --stream.avail_in;
      if (stream.avail_in == 0) return 0;
      inflateReset(&stream);
      member_open = true;
      fresh = false;
    }
    stream.next_out = reinterpret_cast<Bytef*>(to);
    stream.avail_out = static_cast<uInt>(n);
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code == Z_STREAM_END) member_open = false;
    else if (code != Z_OK && code != Z_BUF_ERROR) damaged("is damaged: gzip says \"" + std::string(stream.msg ? stream.msg : "unknown") + "\"");
    return n - stream.avail_out;
  }
};

LineFile::LineFile(const fs::path& file) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.file = file;
  s.fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (s.fd < 0) throw Error(ErrorKind::kData, std::string("cannot be read: ") + std::strerror(errno), "check dataset.path and its permissions", shown(file));
  std::error_code ignored;
  s.size = static_cast<std::int64_t>(fs::file_size(file, ignored));
  if (file.extension() == ".gz") {
    if (inflateInit2(&s.stream, 15 + 16) != Z_OK) throw Error(ErrorKind::kRun, "zlib cannot be started: not enough memory?");
    s.packed = true;
  }
}

LineFile::~LineFile() = default;
std::int64_t LineFile::consumed() const noexcept { return state_->consumed; }
std::int64_t LineFile::size() const noexcept { return state_->size; }

bool LineFile::next(std::string& block) {
  State& s = *state_;
  block.swap(s.rest);
  s.rest.clear();
  const bool first = s.unpacked == 0;
  for (std::size_t wanted = kBlock; !s.ended; wanted += kBlock) {
    if (block.size() >= wanted) continue;
    s.read_text(block, wanted - block.size());
    if (s.ended) break;
    const std::size_t end = block.rfind('\n');
    if (end != std::string::npos) {
      s.rest.assign(block, end + 1);
      block.resize(end + 1);
      break;
    }
    if (block.size() > kLongestLine)
      throw Error(ErrorKind::kData, "has a line of more than 64 MiB; expected one JSON object a line", "is this the file as distributed?", shown(s.file));
  }
  if (first && block.starts_with("\xef\xbb\xbf")) block.erase(0, 3);
  return !block.empty();
}

void Tally::add(std::string_view reason, std::int64_t n, const std::string& where) {
  if (n <= 0) return;
  for (Count& count : counts_) {
    if (count.reason == reason) {
      count.count += n;
      if (count.first.empty()) count.first = where;
      return;
    }
  }
  counts_.push_back({std::string(reason), n, where});
}

std::int64_t read_blocks(const fs::path& file, std::string_view stage, double share, Workspace& workspace, Tally& tally,
                         const std::function<void(std::size_t, std::string_view)>& parse, const std::function<BlockReport&(std::size_t)>& report,
                         const std::function<void(std::size_t, std::int64_t)>& merge) {
  LineFile in(file);
  const auto mib = [](std::int64_t bytes) { return bytes >> 20; };
  const auto progress = workspace.progress(stage, mib(in.size()), "MiB");
  std::vector<std::string> now(kBlocks), later(kBlocks);
  std::size_t have = 0, have_later = 0;
  const auto fill = [&](std::vector<std::string>& blocks) {
    std::size_t n = 0;
    while (n < kBlocks && in.next(blocks[n])) ++n;
    return n;
  };
  std::int64_t lines = 0, bad = 0;
  std::vector<std::pair<std::int64_t, std::string>> first_bad;
  const auto where = [&](std::int64_t line) { return shown(file) + ":" + std::to_string(line + 1); };
  const auto refuse = [&] {
    Problems problems;
    problems.add(std::to_string(bad) + " of the first " + std::to_string(lines) + " lines are malformed, more than the share of " +
                     std::to_string(share).substr(0, 8) + " that dataset.bad_lines allows",
                 "the files are those of the UCSD Book Graph, one JSON object a line (datasets/goodreads/README.md)", shown(file));
    for (const auto& [line, what] : first_bad) problems.add("malformed line: " + what, "", where(line));
    problems.raise(ErrorKind::kData);
  };
  std::int64_t reported = 0;
  have = fill(now);
  while (have > 0) {
    workspace.check_cancelled();
    // Place 0 is the reading of what comes next, so that with two threads unpacking and parsing go on side by side.
    workspace.parallel_for(static_cast<std::int64_t>(have) + 1, 1, [&](std::int64_t i, std::int64_t) {
      if (i == 0) have_later = fill(later);
      else parse(static_cast<std::size_t>(i - 1), now[static_cast<std::size_t>(i - 1)]);
    });
    for (std::size_t i = 0; i < have; ++i) {
      const BlockReport& block = report(i);
      for (const BlockReport::Bad& b : block.bad)
        if (first_bad.size() < kShownBad) first_bad.emplace_back(lines + b.line, b.what);
      bad += block.bad_lines;
      if (block.blank > 0) tally.add("blank lines, skipped", block.blank, where(lines + block.first_blank));
      merge(i, lines);
      lines += block.lines;
    }
    if (bad > 1000 && 2 * bad > lines) refuse();  // another kind of file: no need to read it to its end
    progress->advance(mib(in.consumed()) - reported);
    reported = mib(in.consumed());
    std::swap(now, later);
    have = have_later;
  }
  if (bad > 0 && static_cast<double>(bad) > share * static_cast<double>(lines)) refuse();
  if (bad > 0) tally.add("malformed lines, skipped", bad, where(first_bad.front().first));
  return lines;
}

}  // namespace oncekit::goodreads
