// Vectors from files: .npy arrays, pretrained word vectors. Tier 0 of the SDK. All functions may be called from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "oncekit/text.h"

namespace oncekit {

/// A NumPy array as it stands in the file (types f2 f4 f8 i1 i2 i4 i8 u1 b1, little-endian, versions 1 to 3; Fortran order is turned
/// into C order). A view of a private mapping: nothing is read until it is used. Throws Error(kData) naming file and byte offset.
at::Tensor read_npy(const std::filesystem::path& path);

/// Writes version 1.0, C order; whole or absent. bfloat16 is written as f4. Throws Error(kRun) naming the file.
void write_npy(const std::filesystem::path& path, const at::Tensor& tensor);

/// A text file's lines (LF or CRLF), e.g. the ids that belong to the rows of an .npy. Throws Error(kData).
std::vector<std::string> read_lines(const std::filesystem::path& path);

/// Pretrained vectors of some words.
struct WordVectors {
  at::Tensor table_VW;              ///< float32, one row a word of the vocabulary asked for; zeros where unknown
  std::vector<std::uint8_t> known;  ///< 1 where the file has the word
  std::int64_t found = 0;           ///< how many
};

/// Reads the vectors of `words` and skips all others: memory grows with the vocabulary, not with the file. Formats, by the name:
///  .npy: rows of a [N, W] array; its words, one a line in the same order, stand in `vocabulary` (empty: the same name with .txt).
///  else: text, one word a line and W numbers behind it, separated by single spaces, as GloVe is shipped; a first line of two
///        whole numbers (word2vec's text header) is understood. W is taken from the first line of vectors. A word may hold
///        spaces (GloVe 840B has some): the last W fields are the numbers.
/// Of a word that occurs twice the first counts. Damaged lines throw Error(kData) with file:line, also those of words not asked for
/// as far as counting fields goes.
WordVectors read_word_vectors(const std::filesystem::path& path, const std::filesystem::path& vocabulary, const Vocabulary& words);

}  // namespace oncekit
