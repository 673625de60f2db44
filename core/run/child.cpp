#include "run/child.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oncekit/error.h"
#include "run/workspace.h"

extern char** environ;

namespace oncekit {
namespace {

struct SpawnSettings {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  SpawnSettings() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
};

}  // namespace

std::filesystem::path this_program() {
  std::error_code code;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", code);
  if (code) throw Error(ErrorKind::kRun, "the program's own file cannot be found: " + code.message(), "is /proc mounted?", "/proc/self/exe");
  return path;
}

ChildEnd run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log,
                   double limit_s, double grace_s) {
  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&settings.files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&settings.files, 1, 2);
  // Ignored signals stay ignored across exec, unlike handled ones.
  sigset_t defaults;
  sigemptyset(&defaults);
  for (int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigdefault(&settings.attributes, &defaults);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  pid_t pid = 0;
  if (const int code = posix_spawn(&pid, program.c_str(), &settings.files, &settings.attributes, argv.data(), environ); code != 0)
    throw Error(ErrorKind::kRun, std::string("a child process cannot be started: ") + std::strerror(code), "check memory, space and permissions", program.string());

  ChildEnd end;
  double asked_at = -1;
  for (bool killed = false;;) {
    int status = 0;
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) {
      end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    if (ended < 0 && errno != EINTR) throw Error(ErrorKind::kRun, std::string("a child process is lost: ") + std::strerror(errno));
    const double now = elapsed();
    if (asked_at < 0 && cancel_requested()) {
      end.cancelled = true;
      asked_at = now;
      ::kill(pid, SIGINT);
    } else if (asked_at < 0 && limit_s > 0 && now > limit_s) {
      end.timed_out = true;
      asked_at = now;
      ::kill(pid, SIGINT);
    } else if (asked_at >= 0 && !killed && now > asked_at + grace_s) {
      killed = true;
      ::kill(-pid, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  end.seconds = elapsed();
  return end;
}

}  // namespace oncekit
