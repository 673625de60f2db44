// [endpoint]: the language model that augmenters ask, what it may cost, how fast it may be asked.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct EndpointOptions {
  std::string url = "https://api.openai.com/v1", model = "gpt-3.5-turbo", key = "OPENAI_API_KEY", proxy, ca_file;
  double temperature = 1, top_p = 1;
  std::int64_t context_tokens = 16385;
  std::int64_t in_flight = 64, requests_per_minute = 0, tokens_per_minute = 0;
  std::int64_t tries = 6;
  double connect_timeout_s = 10, timeout_s = 60, first_wait_s = 1, longest_wait_s = 60;
  double input_price = 0.5, output_price = 1.5, budget = 0;

  void describe(Fields& f) {
    f.text("url", url).doc("base address of an OpenAI-compatible server; /chat/completions is appended. \"mock\": the bundled mock, started on loopback").demo(std::string("mock"));
    f.text("model", model).doc("as the server calls it").demo(std::string("mock"));
    f.text("key", key).doc("the environment variable that holds the key, never the key itself; \"\" = none is sent").demo(std::string());
    f.text("proxy", proxy).doc("as libcurl takes it, without a password; \"\" = from https_proxy, http_proxy, no_proxy");
    f.path("ca_file", ca_file).doc("certificates to trust instead of the system's; they are always verified");
    f.real("temperature", temperature).range(0, 2).doc("of sampling");
    f.real("top_p", top_p).range(0, 1).doc("of sampling");
    f.integer("context_tokens", context_tokens).at_least(256).unit("tokens").doc("what the model reads and writes at most; histories in prompts are cut to it");
    f.integer("in_flight", in_flight).range(1, 2000).doc("requests under way at once");
    f.integer("requests_per_minute", requests_per_minute).at_least(0).doc("0 = no limit");
    f.integer("tokens_per_minute", tokens_per_minute).at_least(0).doc("estimated prompt plus longest answer; 0 = no limit");
    f.integer("tries", tries).range(1, 100).doc("of one request that the server or the network failed, before it is given up");
    f.real("connect_timeout_s", connect_timeout_s).range(0.01, 3600).unit("s").doc("until connected");
    f.real("timeout_s", timeout_s).range(0.01, 3600).unit("s").doc("of a whole request; what ran into it may have been billed");
    f.real("first_wait_s", first_wait_s).range(0, 3600).unit("s").doc("before the second try; doubled for each further one, with jitter. Retry-After has precedence");
    f.real("longest_wait_s", longest_wait_s).range(0, 86400).unit("s").doc("between two tries");
    f.real("input_price", input_price).at_least(0).unit("USD per million tokens").doc("of prompts").demo(0.0);
    f.real("output_price", output_price).at_least(0).unit("USD per million tokens").doc("of answers").demo(0.0);
    f.real("budget", budget).at_least(0).unit("USD").doc("that all answers of one store may cost; before a request its highest price is set aside. 0 = no limit");
  }
  /// Recipes are copied into run folders: no address in them may hold a password.
  void validate(Problems& problems) const {
    if (url.substr(0, url.find('/', url.find("://") + 3)).find('@') != std::string::npos)
      problems.add("[endpoint] url holds a user name or password, which would end up in records", "keep the key in the environment variable that endpoint.key names");
    if (proxy.find('@') != std::string::npos)
      problems.add("[endpoint] proxy holds a user name or password, which would end up in records",
                   "leave it empty, and put the address with them into the environment variable https_proxy");
  }
};

}  // namespace oncekit
