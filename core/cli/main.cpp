// The program: parses the command line, runs one command, turns failures into one paragraph and an exit code.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include <unistd.h>

#include "base/allocator.h"
#include "base/log_sink.h"
#include "cli/commands.h"
#include "oncekit/error.h"
#include "oncekit/version.h"

namespace {

// The first signal asks the stages to stop and save; the second ends the process at once.
void on_signal(int) {
  if (oncekit::cancel_requested().exchange(true)) _exit(130);
  constexpr char kText[] = "\nstopping: saving first; once more to stop at once\n";
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, kText, sizeof kText - 1);
}

constexpr const char* kOutOfMemory = "out of memory";
constexpr const char* kLessMemory = "use a smaller train.batch_size or evaluate.batch_items, raise the limit (`ulimit -d`), or take a machine with more memory";

// Where no catch can be: OpenMP's threads, destructors. What was written so far is whole, since files get their final names last.
[[noreturn]] void on_terminate() {
  if (const std::exception_ptr unhandled = std::current_exception()) {
    try {
      std::rethrow_exception(unhandled);
    } catch (const std::exception& error) {
      if (oncekit::is_out_of_memory(error)) {
        std::fprintf(stderr, "error: %s; %s\n", kOutOfMemory, kLessMemory);
        _exit(static_cast<int>(oncekit::ErrorKind::kRun));
      }
      std::fprintf(stderr, "error: unexpected failure where nothing can catch it: %s\n", error.what());
    } catch (...) {
    }
  }
  std::abort();
}

int report(const oncekit::Error& error) {
  std::cout.flush();
  const bool color = isatty(STDERR_FILENO) && !std::getenv("NO_COLOR");
  std::fprintf(stderr, "%s%s%s\n", color ? "\033[31merror:\033[0m " : "error: ", error.what(), "");
  return error.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace oncekit;
  std::set_terminate(on_terminate);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left, or a limit on file sizes, is an error to report, not an end
  std::signal(SIGXFSZ, SIG_IGN);
  tune_allocator();

  Context context(std::cout);
  CLI::App app{"oncekit " ONCEKIT_VERSION ": content-based recommendation boosted by language models", "oncekit"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_help_all_flag("--help-all", "help of all commands");
  app.add_option("--plugin-path", context.plugin_paths, "folders or plugin files to look in first; repeat it for more")->type_name("PATH")->allow_extra_args(false);
  app.add_flag("-q,--quiet", context.quiet, "no progress, warnings only");
  app.footer("A first run: oncekit run recipes/demo.toml\nExit codes: 0 done, 1 run failed, 2 usage or recipe, 3 plugin, 4 data or weights, 130 interrupted with a checkpoint saved");
  add_run(app, context);
  add_sweep(app, context);
  add_augment(app, context);
  add_eval(app, context);
  add_runs(app, context);
  add_recipes(app, context);
  add_plugins(app, context);
  add_data(app, context);
  add_cache(app, context);
  add_mock_llm(app, context);
  add_answers(app, context);
  add_doctor(app, context);
  add_version(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::fprintf(stderr, "error: %s; see `oncekit --help`, or `oncekit COMMAND --help`\n", e.what());
    return static_cast<int>(ErrorKind::kUsage);
  } catch (const Error& e) {
    return report(e);
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) return report(Error(ErrorKind::kRun, kOutOfMemory, kLessMemory));
    // What reaches here was not foreseen: the first line only, torch appends its stack.
    const std::string text = e.what();
    return report(Error(ErrorKind::kRun, "unexpected failure: " + text.substr(0, text.find('\n')), "please report it, with the command and log.txt of the run"));
  }
  std::cout.flush();
  if (!std::cout) return report(Error(ErrorKind::kRun, "the output could not be written", "check the disk or the pipe that stdout leads to"));
  return context.exit_code;
}
