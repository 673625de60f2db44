// The logs that the ONCE release wrote, into the store: paid answers of GPT-3.5 need not be paid for again.
// Their prompts are not known, so whether a prompt showed what is to be predicted is not known either. Formats: docs/formats.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "answers/store.h"

namespace oncekit {

struct OnceLog {
  std::filesystem::path file;
  std::string task;                       ///< the augmenter whose answers these are
  std::string model = "gpt-3.5-turbo";
  std::filesystem::path users;            ///< row number to user id; empty: keys stay as the log has them
  std::int64_t draw = 0;                  ///< which of several answers to the same question
};

struct OnceLogCounts {
  std::int64_t lines = 0;
  std::int64_t answers = 0;               ///< records that could be read
  std::int64_t joined = 0;                ///< lines that went on with the answer of the line before
  std::int64_t ids = 0;                   ///< distinct ones; each keeps its last answer
  std::int64_t asked_again = 0;           ///< answers - ids
  std::int64_t malformed = 0, first_malformed = 0;  ///< lines; the first one's number, or 0
  std::string first_reason;
  std::int64_t unknown_users = 0;         ///< ids that the users file lacks; left out
  std::int64_t added = 0, changed = 0, there = 0;   ///< in the store
};

/// Puts every id's last answer into the store: source "import: FILE NAME", no body, `seen` not known, state accepted for the time being (an
/// augmenter reads `raw` again whenever it uses it). The same file again changes nothing; one of that name with other answers replaces them.
/// Throws Error(kData) for an unreadable file, one without a single record, and a users file that is malformed or knows none of the users;
/// Error(kUsage) when the log numbers its users and no users file is named.
OnceLogCounts import_once_log(AnswerStore& store, const OnceLog& log);

/// Whether the first line is one that AnswerStore::export_lines() would write. Throws Error(kData) when the file cannot be read.
bool is_store_export(const std::filesystem::path& file);

}  // namespace oncekit
