// oncekit mock-llm: the bundled mock of an OpenAI-compatible server, on loopback.
#include <cstdio>

#include "cli/commands.h"
#include "endpoint/key.h"
#include "mock_llm/server.h"
#include "oncekit/error.h"
#include "run/workspace.h"

namespace oncekit {

void add_mock_llm(CLI::App& app, Context& context) {
  struct Wish {
    MockOptions mock;
    std::string key_variable;
  };
  auto wish = std::make_shared<Wish>();
  MockOptions& mock = wish->mock;
  CLI::App* command = app.add_subcommand("mock-llm", "serve a made-up language model on this machine, over OpenAI's protocol, until Ctrl-C");
  command->add_option("--port", mock.port, "0 = any free one")->check(CLI::Range(0, 65535))->capture_default_str();
  command->add_option("--latency", mock.latency_ms, "ms before each answer")->check(CLI::Range(0.0, 3.6e6))->capture_default_str();
  command->add_option("--faults", mock.faults, "share of requests that go wrong: 429, 500, 503, cut connections, garbage, slow drips, useless answers")
      ->check(CLI::Range(0.0, 1.0))->capture_default_str();
  command->add_option("--seed", mock.seed, "of faults and answers")->capture_default_str();
  command->add_option("--answers", mock.answers, "helpful, random (topics and words drawn at random) or echo (the question)")
      ->check(CLI::IsMember({"helpful", "random", "echo"}))->capture_default_str();
  command->add_option("--key-env", wish->key_variable, "environment variable with the key that requests must carry; default: any key will do")->type_name("VAR");
  command->add_option("--log", mock.log, "file to append one JSON line a request to")->type_name("FILE");
  examples(*command, {"oncekit mock-llm --port 8765", "oncekit mock-llm --latency 200 --faults 0.1 --log mock.jsonl",
                      "oncekit augment RECIPE endpoint.url=http://127.0.0.1:8765/v1 endpoint.model=mock"});
  command->callback([wish, &context] {
    if (!wish->key_variable.empty()) {
      const Secret key = take_key(wish->key_variable);
      if (key.empty()) throw Error(ErrorKind::kUsage, "the environment variable " + wish->key_variable + " is not set; expected the key that requests must carry", "export it, or leave --key-env away");
      wish->mock.key = key.view();
    }
    MockServer server(wish->mock);
    context.out << server.url() << std::endl;  // flushed: scripts wait for this line
    server.run_until([] { return cancel_requested().load(); });
    std::fprintf(stderr, "%lld requests served\n", static_cast<long long>(server.requests()));
  });
}

}  // namespace oncekit
