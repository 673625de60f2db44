// One child process with a time limit, its output in a file; stopped kindly when the user asks to stop.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace oncekit {

struct ChildEnd {
  int exit_code = 0;        ///< of a child that ended by itself; 128 + signal otherwise
  bool timed_out = false;
  bool cancelled = false;   ///< the user asked to stop; the child was given time to save
  double seconds = 0;
};

/// Runs program with arguments and waits. Its stdout and stderr are appended to `log`. The child has a process group of its own: a Ctrl-C
/// in the terminal reaches this process alone, which hands one SIGINT on and waits for the child to save. After `limit_s` (0 = none)
/// it gets SIGINT, and SIGKILL when it has not ended `grace_s` later. Throws Error(kRun) when it cannot be started.
ChildEnd run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log,
                   double limit_s, double grace_s = 120);

/// The file of the program that is running.
std::filesystem::path this_program();

}  // namespace oncekit
