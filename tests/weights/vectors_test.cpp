// .npy arrays and pretrained word vectors.
#include <filesystem>

#include <ATen/ATen.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/vectors.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

const fs::path kFixtures = fs::path(ONCEKIT_TREE) / "tests/weights/fixtures";

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_vectors_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path file(const std::string& name, const std::string& content) const {
    write_file(path / name, content);
    return path / name;
  }
};

Vocabulary words_of(std::initializer_list<const char*> words) {
  Vocabulary vocabulary;
  for (const char* word : words) vocabulary.add(word);
  return vocabulary;
}

at::Tensor grid() { return at::arange(12, at::kFloat).div(4).sub(1).view({3, 4}); }

}  // namespace

TEST_CASE("arrays written by NumPy are read", "[unit][parity]") {
  CHECK(read_npy(kFixtures / "c_f4.npy").equal(grid()));
  CHECK(read_npy(kFixtures / "c_f8.npy").equal(grid().to(at::kDouble)));
  CHECK(read_npy(kFixtures / "c_f2.npy").equal(grid().to(at::kHalf)));
  CHECK(read_npy(kFixtures / "fortran_f4.npy").equal(grid()));
  CHECK(read_npy(kFixtures / "version2.npy").equal(grid()));
  CHECK(read_npy(kFixtures / "line_i4.npy").equal(at::arange(5, at::kInt)));
  CHECK(read_npy(kFixtures / "scalar_i8.npy").item<std::int64_t>() == 7);
}

TEST_CASE("what is written in C order has NumPy's own bytes", "[unit][parity]") {
  Folder folder;
  write_npy(folder.path / "x.npy", grid());
  CHECK(read_file(folder.path / "x.npy") == read_file(kFixtures / "c_f4.npy"));
  write_npy(folder.path / "y.npy", at::arange(5, at::kInt));
  CHECK(read_file(folder.path / "y.npy") == read_file(kFixtures / "line_i4.npy"));
  write_npy(folder.path / "z.npy", at::scalar_tensor(7, at::kLong));
  CHECK(read_file(folder.path / "z.npy") == read_file(kFixtures / "scalar_i8.npy"));
}

TEST_CASE("damaged arrays are refused by name", "[unit][errors][fault]") {
  Folder folder;
  const std::string whole = read_file(kFixtures / "c_f4.npy");
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK_THROWS_AS(read_npy(folder.file("cut.npy", whole.substr(0, n))), Error);
  for (std::size_t i = 0; i < 128; ++i) {
    for (const char c : {'\0', '9', '\'', '\xff'}) {
      std::string bent = whole;
      bent[i] = c;
      try {
        (void)read_npy(folder.file("bent.npy", bent)).sum();
      } catch (const Error&) {
      }
    }
  }
  CHECK_THROWS_WITH(read_npy(folder.file("cut.npy", whole.substr(0, 150))), Catch::Contains("should hold 48 bytes of data from byte offset 128, but has 22"));
  CHECK_THROWS_WITH(read_npy(kFixtures / "big_endian.npy"), Catch::Contains("type '>f4'"));
  CHECK_THROWS_WITH(read_npy(kFixtures / "words.txt"), Catch::Contains("no .npy file"));
}

TEST_CASE("an array without elements may have no size beyond reason beside its 0", "[unit][errors]") {
  Folder folder;
  const auto file = [&](const std::string& shape) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
    header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
    return folder.file("empty.npy", std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size()) + std::string(1, '\0') + header);
  };
  CHECK(read_npy(file("(0, 3)")).sizes() == at::IntArrayRef({0, 3}));
  for (const char* shape : {"(0, 4611686018427387904, 8)", "(4611686018427387904, 8, 0)", "(9223372036854775807, 0, 9223372036854775807)"})
    CHECK_THROWS_WITH(read_npy(file(shape)), Catch::Contains("a shape larger than any file"));
}

TEST_CASE("of pretrained vectors only the asked words are kept", "[unit]") {
  Folder folder;
  const Vocabulary words = words_of({"blue", "unseen", "red", "st. petersburg"});
  const at::Tensor expected = at::tensor({-1.5f, 2.0f, 0.0f, 0.0f, 0.25f, 1e-3f, 0.0f, 0.0f}).view({4, 2});
  const std::string body = "red 0.25 1e-3\ngreen 7 7\nblue -1.5 2\nred 9 9\n";
  for (const std::string& text : {body, "4 2\n" + body, body.substr(0, body.size() - 1), std::string("3 2\r\nred 0.25 1e-3 \r\nst. petersburg 4 5\r\nblue -1.5 2 \r\n")}) {
    INFO(text);
    const WordVectors vectors = read_word_vectors(folder.file("glove.txt", text), {}, words);
    CHECK(vectors.table_VW.equal(expected));
    CHECK(vectors.known == std::vector<std::uint8_t>{1, 0, 1, 0});
    CHECK(vectors.found == 2);
  }
  const WordVectors rows = read_word_vectors(kFixtures / "words.npy", {}, words);
  CHECK(rows.found == 2);
  CHECK(rows.table_VW[0].equal(grid()[2]));
  CHECK(rows.table_VW[2].equal(grid()[0]));
}

TEST_CASE("a word that holds spaces does not pass for its beginning", "[unit]") {
  Folder folder;
  const WordVectors vectors = read_word_vectors(folder.file("v.txt", "the 1 2\nat name@x.com 3 4\nat 5 6\n"), {}, words_of({"at", "the"}));
  CHECK(vectors.table_VW.equal(at::tensor({5.0f, 6.0f, 1.0f, 2.0f}).view({2, 2})));
}

TEST_CASE("a damaged line is named", "[unit][errors]") {
  Folder folder;
  const Vocabulary words = words_of({"a", "b"});
  const auto what = [&](const std::string& text) -> std::string {
    try {
      read_word_vectors(folder.file("v.txt", text), {}, words);
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kData);
      return e.what();
    }
    return "read";
  };
  CHECK_THAT(what("x 1 2\ny 1\n"), Catch::Contains("v.txt:2: expected a word and 2 numbers, found 2 fields"));
  CHECK_THAT(what("a 1 2\n\nb 1 2\n"), Catch::Contains("v.txt:2: expected a word and 2 numbers, found 0 fields"));
  CHECK_THAT(what("x 1 2\na 1 two\n"), Catch::Contains("v.txt:2: number 2 of 2 is 'two'"));
  CHECK_THAT(what("a 1 nan\n"), Catch::Contains("v.txt:1: number 2 of 2 is 'nan'"));
  CHECK_THAT(what("a 1 1e99\n"), Catch::Contains("number 2 of 2 is '1e99'"));
  CHECK_THAT(what(""), Catch::Contains("holds no vectors"));
  // Cut short: by word2vec's first line, or amid the numbers of the last.
  CHECK_THAT(what("3 2\na 1 2\nb 1 2\n"), Catch::Contains("announces 3 words in its first line, but holds 2"));
  CHECK_THAT(what("1 2\na 1 2\nb 1 2\n"), Catch::Contains("announces 1 words in its first line, but holds 2"));
  CHECK_THAT(what("99999999999999999999 2\na 1 2\n"), Catch::Contains("impossible number of words"));
  CHECK_THAT(what("x 1 2\ny 1"), Catch::Contains("v.txt:2: expected a word and 2 numbers, found 2 fields"));
  CHECK(what("x 1 2\ny 1 2") == "read");
  CHECK(what("2 2\nx 1 2\ny 1 2") == "read");
  CHECK_THAT(what("PK\x03\x04zip"), Catch::Contains("unpack it first"));
  CHECK_THROWS_WITH(read_word_vectors(kFixtures / "c_f4.npy", folder.file("w.txt", "a\nb\n"), words), Catch::Contains("has 2 words, but c_f4.npy has 3 rows"));
  CHECK_THROWS_WITH(read_word_vectors("/nowhere/glove.txt", {}, words), Catch::Contains("/nowhere/glove.txt: cannot be opened"));
}
