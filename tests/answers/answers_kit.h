// Stores and answers for the tests of this room.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "answers/store.h"
#include "base/files.h"
#include "oncekit/error.h"
#include "support/temp_folder.h"

namespace oncekit::test {

inline std::string request_of(int n) { return digest128("request " + std::to_string(n)); }

inline StoredAnswer answer_of(int n, double cost = 0.001) {
  StoredAnswer a;
  a.request = request_of(n);
  a.task = "gpt_summarizer";
  a.key = "N" + std::to_string(n);
  a.model = "gpt-3.5-turbo";
  a.body = R"({"model":"gpt-3.5-turbo","messages":[{"role":"user","content":"[title] number )" + std::to_string(n) + R"("}]})";
  a.raw = "[newtitle] The story of number " + std::to_string(n);
  a.parsed = R"({"title":["The story of number )" + std::to_string(n) + R"("]})";
  a.seen = std::vector<std::string>{};
  a.prompt_tokens = 100 + n;
  a.completion_tokens = 20;
  a.usage_reported = true;
  a.cost = cost;
  a.seconds = 0.75;
  a.at = 1700000000 + n;
  a.source = "endpoint";
  return a;
}

inline Claim claim_of(AnswerStore& store, int n, double price = 0.001, double budget = 0) {
  return store.claim(request_of(n), 0, 0, "gpt_summarizer", "N" + std::to_string(n), price, budget);
}

/// Claims, sends and puts.
inline void answer_through(AnswerStore& store, int n) {
  REQUIRE(claim_of(store, n) == Claim::kTaken);
  store.sending(request_of(n), 0, 0);
  store.put(answer_of(n));
}

/// Any SQL, by a connection of its own: what a stranger might do to the file.
inline void meddle(const std::filesystem::path& file, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

/// Runs `work` in a child; it ends without destructors, so that nothing of the parent's is closed twice. Returns the child's id.
template <class Work>
pid_t in_child(const Work& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child != 0) return child;
  int code = 1;
  try {
    code = work();
  } catch (...) {
  }
  ::_exit(code);
}

inline int status_of(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The Error that `work` throws.
template <class Work>
Error error_of(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    return e;
  }
  FAIL("no error was thrown");
  return Error(ErrorKind::kRun, "");
}

}  // namespace oncekit::test
