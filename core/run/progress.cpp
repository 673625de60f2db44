#include "run/progress.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/human.h"
#include "oncekit/log.h"

namespace oncekit {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string rate_text(double rate, const std::string& unit) {
  return rate >= 1000 ? human_count(static_cast<std::int64_t>(rate)) + " " + unit + "/s" : fmt::format("{:.{}f} {}/s", rate, rate < 10 ? 2 : 0, unit);
}

class Silent final : public Progress {
 public:
  void advance(std::int64_t) override {}
  void note(std::string_view) override {}
};

// One stage on the screen. The bar is redrawn at most ten times a second, the line printed every 15 s.
class Shown final : public Progress {
 public:
  Shown(std::string stage, std::int64_t total, std::string unit, std::int64_t before, bool bar)
      : stage_(std::move(stage)), unit_(std::move(unit)), total_(total), before_(before), bar_(bar), done_(before) {}

  ~Shown() override {
    std::lock_guard lock(mutex_);
    if (bar_) std::fputs("\r\033[K", stderr);
    const double seconds = seconds_since(start_);
    const std::int64_t made = done_ - before_;
    if (made == 0 || (!bar_ && seconds < 1)) return;
    log::info(fmt::format("{:<10} {} {} in {} ({}){}", stage_, human_count(made), unit_, human_seconds(seconds),
                          rate_text(static_cast<double>(made) / std::max(seconds, 1e-9), unit_), note_.empty() ? "" : "  " + note_));
  }

  void advance(std::int64_t n) override {
    done_ += n;
    draw();
  }

  void note(std::string_view text) override {
    std::lock_guard lock(mutex_);
    note_ = text;
  }

 private:
  void draw() {
    const double now = seconds_since(start_);
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock || now < next_) return;
    next_ = now + (bar_ ? 0.1 : 15.0);
    if (!bar_ && now < 5) return;  // short stages stay silent until they end
    const double done = static_cast<double>(done_), rate = static_cast<double>(done_ - before_) / std::max(now, 1e-9);
    std::string text = fmt::format("{:<10} ", stage_);
    if (total_ > 0) {
      const double share = std::min(1.0, done / static_cast<double>(total_));
      if (bar_) {
        constexpr int kWidth = 24;
        const int full = static_cast<int>(share * kWidth);
        text += "[" + std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(kWidth - full), '.') + "] ";
      }
      text += fmt::format("{:3.0f}%  {}", 100 * share, rate_text(rate, unit_));
      if (rate > 0 && now > 1) text += "  " + human_seconds((static_cast<double>(total_) - done) / rate) + " left";
    } else {
      text += fmt::format("{} {}  {}", human_count(done_), unit_, rate_text(rate, unit_));
    }
    if (!note_.empty()) text += "  " + note_;
    if (!bar_) {
      log::info(text);
      return;
    }
    winsize size{};
    const std::size_t columns = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    if (text.size() >= columns) text.resize(columns - 1);
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    std::fflush(stderr);
  }

  const std::string stage_, unit_;
  const std::int64_t total_, before_;
  const bool bar_;
  const Clock::time_point start_ = Clock::now();
  std::atomic<std::int64_t> done_;
  std::mutex mutex_;
  double next_ = 0;
  std::string note_;
};

}  // namespace

std::unique_ptr<Progress> make_progress(std::string_view stage, std::int64_t total, std::string_view unit, std::int64_t done, WorkspaceOptions::Show show) {
  if (show == WorkspaceOptions::Show::kNothing) return std::make_unique<Silent>();
  return std::make_unique<Shown>(std::string(stage), total, std::string(unit), done, show == WorkspaceOptions::Show::kBar);
}

}  // namespace oncekit
