#include "oncekit/word_embedding.h"

#include <cmath>
#include <cstring>

#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "oncekit/error.h"
#include "oncekit/log.h"
#include "oncekit/vectors.h"

namespace oncekit {
namespace {

// Normal numbers, a function of the stream and the name of the row alone.
void fill_normal(at::Tensor& table, const std::vector<std::string>& names, const std::vector<std::uint8_t>& keep, double deviation,
                 const Rng& stream, Workspace& workspace) {
  float* data = table.mutable_data_ptr<float>();
  const std::int64_t width = table.size(1);
  workspace.parallel_for(static_cast<std::int64_t>(names.size()), 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (!keep.empty() && keep[static_cast<std::size_t>(i)]) continue;
      Rng rng = stream.at(names[static_cast<std::size_t>(i)]);
      for (std::int64_t j = 0; j < width; ++j) data[i * width + j] = static_cast<float>(deviation * rng.normal());
    }
  });
}

// Standard deviation over all numbers of the rows that the file knows.
double deviation_of(const WordVectors& vectors) {
  const float* data = vectors.table_VW.const_data_ptr<float>();
  const std::int64_t width = vectors.table_VW.size(1);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < vectors.known.size(); ++i) {
    if (!vectors.known[i]) continue;
    for (std::int64_t j = 0; j < width; ++j) {
      const double x = data[static_cast<std::int64_t>(i) * width + j];
      sum += x;
      squares += x * x;
    }
  }
  const double n = static_cast<double>(vectors.found * width);
  return std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
}

at::Tensor ids_on(std::span<const std::int64_t> ids, const at::Tensor& table) {
  const at::Tensor host = at::from_blob(const_cast<std::int64_t*>(ids.data()), {static_cast<std::int64_t>(ids.size())}, at::kLong);
  return table.device().is_cpu() ? host.clone() : host.to(table.device());  // autograd keeps it: the caller's memory may go
}

}  // namespace

TokenEmbedding::TokenEmbedding(ItemTextOptions options, std::int64_t width, std::int64_t extra)
    : torch::nn::Module("TokenEmbedding"), options_(std::move(options)), width_(options_.word_width > 0 ? options_.word_width : width), extra_(extra) {}

TokenEmbedding::~TokenEmbedding() = default;

void TokenEmbedding::prepare(const ItemText& text, Workspace& workspace) {
  const Vocabulary& words = text.word_vocabulary();
  const Rng rng = workspace.rng("word vectors");
  WordVectors vectors;
  double deviation = options_.word_std;
  if (!options_.vectors.empty() && words.size() > 0) {
    vectors = read_word_vectors(options_.vectors, options_.vocabulary, words);
    const std::int64_t width = vectors.table_VW.size(1);
    if (vectors.found == 0) {
      throw Error(ErrorKind::kData, fmt::format("knows none of the {} words of the items' texts", words.size()),
                  "word vectors must be of lower-case words in the language of the items", options_.vectors);
    }
    if (options_.tune != "projected") {
      if (options_.word_width > 0 && options_.word_width != width) {
        throw Error(ErrorKind::kData, fmt::format("has vectors of {} numbers, but word_width is {}", width, options_.word_width),
                    "leave word_width at 0, or set tune = \"projected\"", options_.vectors);
      }
      width_ = width;
    }
    deviation = deviation_of(vectors);
    log::info(fmt::format("word vectors: {} of {} words found, {} numbers each", vectors.found, words.size(), width));
    if (options_.tune != "tuned") frozen_["vectors"] = CacheKey("vectors", 1).add_file("file", options_.vectors).hash();
  } else {
    vectors.table_VW = at::empty({static_cast<std::int64_t>(words.size()), width_}, at::kFloat);
  }
  fill_normal(vectors.table_VW, words.words(), vectors.known, deviation, rng.at("words"), workspace);
  if (words.size() > 0) words_VW_ = register_parameter("words", vectors.table_VW, options_.tune == "tuned");
  if (words.size() > 0 && options_.tune == "projected") {
    const std::int64_t from = words_VW_.size(1);
    const double bound = 1 / std::sqrt(static_cast<double>(from));
    projection_WS_ = register_parameter("projection_weight", at::empty({width_, from}, at::kFloat).uniform_(-bound, bound));
    projection_bias_W_ = register_parameter("projection_bias", at::empty({width_}, at::kFloat).uniform_(-bound, bound));
  }
  std::vector<std::string> names = text.value_vocabulary().words();
  values_count_ = static_cast<std::int64_t>(names.size());
  for (std::int64_t i = 0; i < extra_; ++i) names.push_back("\n" + std::to_string(i));  // no value holds a line break
  if (names.empty()) return;
  at::Tensor values = at::empty({static_cast<std::int64_t>(names.size()), width_}, at::kFloat);
  fill_normal(values, names, {}, options_.word_std, rng.at("values"), workspace);
  values_FW_ = register_parameter("values", values);
}

at::Tensor TokenEmbedding::forward(std::span<const std::int64_t> words_K, std::span<const std::int64_t> values_J) {
  if (words_K.empty() && values_J.empty()) return at::zeros({0, width_}, words_VW_.defined() ? words_VW_.options() : values_FW_.options());
  if (words_K.empty()) return at::index_select(values_FW_, 0, ids_on(values_J, values_FW_));
  at::Tensor rows_KW = at::index_select(words_VW_, 0, ids_on(words_K, words_VW_));
  if (projection_WS_.defined()) rows_KW = at::linear(rows_KW, projection_WS_, projection_bias_W_);
  if (options_.word_dropout > 0 && is_training()) rows_KW = at::dropout(rows_KW, options_.word_dropout, true);
  if (values_J.empty()) return rows_KW;
  return at::cat({rows_KW, at::index_select(values_FW_, 0, ids_on(values_J, values_FW_))}, 0);
}

}  // namespace oncekit
