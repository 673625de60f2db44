// The same recommenders as a straightforward LibTorch program writes them: every slot of every history and every candidate encoded,
// padded to the longest title and history there can be, plain tensor operations, Adam. What the benchmarks compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>

#include "model/recommender.h"
#include "oncekit/item_text.h"

namespace oncekit::bench {

class PlainModel {
 public:
  /// Starts from copies of the model's own parameters.
  PlainModel(const torch::nn::Module& model, std::string kind, const ItemText& text, std::int64_t heads, double dropout, std::int64_t title, std::int64_t history)
      : kind_(std::move(kind)), text_(text), heads_(heads), title_(title), history_(history), dropout_(dropout) {
    std::vector<at::Tensor> all;
    for (const auto& named : model.named_parameters()) {
      const std::size_t dot = named.key().rfind("content_encoder.") == 0 ? 16 : 0;
      p_[(dot ? "item." : "") + named.key().substr(dot)] = named.value().detach().clone().requires_grad_();
      all.push_back(p_[(dot ? "item." : "") + named.key().substr(dot)]);
    }
    adam_ = std::make_unique<torch::optim::Adam>(all, torch::optim::AdamOptions(1e-3));
  }

  at::Tensor loss(const SampleBatch& batch, bool training) {
    const std::int64_t B = batch.batch(), C = batch.candidates, S = history_ + C;
    // All slots: history, then candidates; item 0 stands at padding, as in the peers.
    std::vector<std::int64_t> ids(static_cast<std::size_t>(B * S * title_));
    std::vector<float> word_mask(ids.size()), click_mask(static_cast<std::size_t>(B * history_));
    for (std::int64_t b = 0; b < B; ++b) {
      const std::int64_t begin = batch.click_offsets_B1[static_cast<std::size_t>(b)], clicks = batch.click_offsets_B1[static_cast<std::size_t>(b) + 1] - begin;
      for (std::int64_t s = 0; s < S; ++s) {
        ItemId item = 0;
        if (s >= history_) item = batch.candidate_ids_BC[static_cast<std::size_t>(b * C + s - history_)];
        if (s < clicks) item = batch.click_ids_N[static_cast<std::size_t>(begin + s)], click_mask[static_cast<std::size_t>(b * history_ + s)] = 1;
        const auto words = text_.words(0, item);
        for (std::size_t l = 0; l < words.size(); ++l) {
          ids[static_cast<std::size_t>((b * S + s) * title_) + l] = words[l];
          word_mask[static_cast<std::size_t>((b * S + s) * title_) + l] = 1;
        }
      }
    }
    const at::Tensor ids_NL = at::tensor(ids).view({B * S, title_}), mask_NL = at::tensor(word_mask).view({B * S, title_});
    const at::Tensor mask_BH = at::tensor(click_mask).view({B, history_});
    const at::Tensor words_NLI = at::embedding(p_["item.words.words"], ids_NL);
    at::Tensor items_ND;
    if (kind_ == "nrms") {
      items_ND = pool(attend(words_NLI, mask_NL, "item.encoder.", training), mask_NL, "item.encoder.pooling.");
    } else {
      const at::Tensor weight_DIw = p_["item.convolution.weight"].permute({1, 2, 0});
      const at::Tensor input_NIL = (words_NLI * mask_NL.unsqueeze(2)).transpose(1, 2);
      const at::Tensor hidden_NLD = at::conv1d(input_NIL, weight_DIw, p_["item.convolution.bias"], 1, weight_DIw.size(2) / 2).relu().transpose(1, 2);
      items_ND = pool(at::dropout(hidden_NLD * mask_NL.unsqueeze(2), dropout_, training), mask_NL, "item.attention.");
    }
    const at::Tensor items_BSD = items_ND.view({B, S, -1}), clicks_BHD = items_BSD.narrow(1, 0, history_), candidates_BCD = items_BSD.narrow(1, history_, C);
    const at::Tensor users_BD = kind_ == "nrms" ? pool(attend(clicks_BHD, mask_BH, "user_encoder.encoder.", training), mask_BH, "user_encoder.encoder.pooling.")
                                                : pool(clicks_BHD, mask_BH, "user_encoder.attention.");
    const at::Tensor scores_BC = at::bmm(candidates_BCD, users_BD.unsqueeze(2)).squeeze(2);
    return at::cross_entropy_loss(scores_BC, at::zeros({B}, at::kLong));
  }

  double step(const SampleBatch& batch) {
    adam_->zero_grad();
    const at::Tensor value = loss(batch, true);
    value.backward();
    adam_->step();
    return value.item<double>();
  }

 private:
  at::Tensor attend(const at::Tensor& x_NLI, const at::Tensor& mask_NL, const std::string& name, bool training) {
    const std::int64_t N = x_NLI.size(0), L = x_NLI.size(1), I = x_NLI.size(2), W = I / heads_;
    const at::Tensor qkv = at::linear(x_NLI, p_[name + "in_proj_weight"], p_[name + "in_proj_bias"]).view({N, L, 3, heads_, W}).permute({2, 0, 3, 1, 4});
    const at::Tensor scores = at::matmul(qkv[0], qkv[1].transpose(2, 3)) / std::sqrt(static_cast<double>(W));
    const at::Tensor masked = scores.masked_fill(mask_NL.eq(0).view({N, 1, 1, L}), -1e9);
    const at::Tensor weights = at::dropout(at::softmax(masked, -1), dropout_, training);
    const at::Tensor mixed = at::matmul(weights, qkv[2]).transpose(1, 2).reshape({N, L, I});
    const at::Tensor projected = at::linear(mixed, p_[name + "out_proj.weight"], p_[name + "out_proj.bias"]);
    return at::linear(projected, p_[name + "linear.weight"], p_[name + "linear.bias"]);
  }
  at::Tensor pool(const at::Tensor& x_NLD, const at::Tensor& mask_NL, const std::string& name) {
    const at::Tensor scores_NL = at::linear(at::tanh(at::linear(x_NLD, p_[name + "hidden.weight"], p_[name + "hidden.bias"])), p_[name + "score.weight"]).squeeze(2);
    const at::Tensor weights_NL = at::softmax(scores_NL.masked_fill(mask_NL.eq(0), -1e9), 1);
    return at::bmm(weights_NL.unsqueeze(1), x_NLD).squeeze(1);
  }

  std::string kind_;
  const ItemText& text_;
  std::int64_t heads_, title_, history_;
  double dropout_;
  std::map<std::string, at::Tensor> p_;
  std::unique_ptr<torch::optim::Adam> adam_;
};

}  // namespace oncekit::bench
