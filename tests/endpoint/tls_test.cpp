// Certificates are verified, always: strangers are refused before a request leaves, and `ca_file` is the one way to trust another.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "endpoint/client.h"
#include "support/temp_folder.h"

using namespace oncekit;
using oncekit::test::TempFolder;

namespace {

bool runs(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

// python3 as a server; the port comes through a pipe.
struct TlsServer {
  pid_t child = -1;
  int port = 0;
  TlsServer(const std::string& certificate, const std::string& key) {
    int out[2];
    REQUIRE(::pipe(out) == 0);
    child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::dup2(out[1], 1);
      ::close(out[0]);
      ::execlp("python3", "python3", ONCEKIT_TREE "/tests/endpoint/tls_server.py", certificate.c_str(), key.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(out[1]);
    std::string text;
    for (char c = 0; c != '\n' && ::read(out[0], &c, 1) == 1;) text += c;
    ::close(out[0]);
    port = std::atoi(text.c_str());
    REQUIRE(port > 0);
  }
  ~TlsServer() {
    ::kill(child, SIGTERM);
    ::waitpid(child, nullptr, 0);
  }
};

}  // namespace

TEST_CASE("Certificates are always verified", "[fault][endpoint]") {
  if (!runs("openssl version") || !runs("python3 -c 'import ssl'")) {
    WARN("no openssl or no python3 with ssl here: not tested");
    return;
  }
  const TempFolder folder;
  const auto make = [&](const std::string& name, const std::string& subject) {
    const std::string base = (folder.path / name).string();
    REQUIRE(runs("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=" + subject + " -addext subjectAltName=" +
                 (subject == "localhost" ? "IP:127.0.0.1,DNS:localhost" : "DNS:" + subject) + " -keyout " + base + ".key -out " + base + ".pem"));
    return base;
  };
  const std::string right = make("right", "localhost"), other = make("other", "example.org");
  const auto ask = [](int port, const std::string& ca_file) {
    EndpointOptions options;
    options.url = "https://127.0.0.1:" + std::to_string(port) + "/v1";
    options.key.clear();
    options.tries = 2;
    options.first_wait_s = 0.001;
    options.ca_file = ca_file;
    ChatReply last;
    int sent = 0;
    ChatClient::Hooks hooks;
    hooks.sending = [&](std::int64_t, int) { ++sent; };
    hooks.done = [&](std::int64_t, ChatReply&& reply) { last = std::move(reply); };
    ChatClient client(options, 1, std::move(hooks));
    client.submit(0, {"", "user", 10, 0});
    client.drain();
    CHECK(sent == (last.kind == ChatReply::Kind::kAnswer ? 1 : 0));
    return last;
  };
  {
    const TlsServer server(right + ".pem", right + ".key");
    CHECK(ask(server.port, right + ".pem").text == "safe");
    for (const std::string& ca : {std::string(), other + ".pem"}) {
      const ChatReply reply = ask(server.port, ca);
      CHECK(reply.kind == ChatReply::Kind::kUnusable);
      CHECK(reply.reason == "certificate not trusted");
      CHECK(reply.possibly_billed == 0);
    }
  }
  // A trusted certificate of another host is no proof either.
  const TlsServer impostor(other + ".pem", other + ".key");
  CHECK(ask(impostor.port, other + ".pem").reason == "certificate not trusted");
}
