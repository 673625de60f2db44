// Compiled with -O3 and -ffp-contract=off: a product and a sum that became one operation would give other bits than the
// reference's.
#include "gguf/ggml_types.h"

#include <cstring>
#include <iterator>

#include <c10/util/Half.h>

// One version of each loop for each vector width; the loader picks by what this CPU has.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ONCEKIT_VECTORISED __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define ONCEKIT_VECTORISED
#endif

namespace oncekit {
namespace {

float half_at(const char* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, 2);
  return c10::detail::fp16_ieee_to_fp32_value(bits);
}

// Q4_0: half d, 16 bytes; low nibbles are elements 0 to 15, high ones 16 to 31. x = d (q - 8).
ONCEKIT_VECTORISED void q4_0(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 18, to += 32) {
    const float d = half_at(from);
    const auto* q = reinterpret_cast<const std::uint8_t*>(from + 2);
    for (int i = 0; i < 16; ++i) {
      to[i] = d * static_cast<float>((q[i] & 15) - 8);
      to[i + 16] = d * static_cast<float>((q[i] >> 4) - 8);
    }
  }
}

// Q4_1: half d, half m, 16 bytes. x = d q + m.
ONCEKIT_VECTORISED void q4_1(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 20, to += 32) {
    const float d = half_at(from), m = half_at(from + 2);
    const auto* q = reinterpret_cast<const std::uint8_t*>(from + 4);
    for (int i = 0; i < 16; ++i) {
      to[i] = d * static_cast<float>(q[i] & 15) + m;
      to[i + 16] = d * static_cast<float>(q[i] >> 4) + m;
    }
  }
}

// Q8_0: half d, 32 signed bytes. x = d q.
ONCEKIT_VECTORISED void q8_0(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 34, to += 32) {
    const float d = half_at(from);
    const auto* q = reinterpret_cast<const std::int8_t*>(from + 2);
    for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(q[i]);
  }
}

// Q5_0: half d, 32 fifth bits, 16 bytes as in Q4_0. x = d (q - 16).
ONCEKIT_VECTORISED void q5_0(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 22, to += 32) {
    const float d = half_at(from);
    std::uint32_t high;
    std::memcpy(&high, from + 2, 4);
    const auto* q = reinterpret_cast<const std::uint8_t*>(from + 6);
    for (int i = 0; i < 16; ++i) {
      to[i] = d * static_cast<float>(static_cast<int>((q[i] & 15) | (high >> i & 1) << 4) - 16);
      to[i + 16] = d * static_cast<float>(static_cast<int>((q[i] >> 4) | (high >> (i + 16) & 1) << 4) - 16);
    }
  }
}

// Q5_1: half d, half m, 32 fifth bits, 16 bytes. x = d q + m.
ONCEKIT_VECTORISED void q5_1(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 24, to += 32) {
    const float d = half_at(from), m = half_at(from + 2);
    std::uint32_t high;
    std::memcpy(&high, from + 4, 4);
    const auto* q = reinterpret_cast<const std::uint8_t*>(from + 8);
    for (int i = 0; i < 16; ++i) {
      to[i] = d * static_cast<float>((q[i] & 15) | (high >> i & 1) << 4) + m;
      to[i + 16] = d * static_cast<float>((q[i] >> 4) | (high >> (i + 16) & 1) << 4) + m;
    }
  }
}

// The six-bit scale and minimum of part j of a K block, out of its 12 bytes: 0 to 3 whole, 4 to 7 in nibbles with two more bits
// above those.
void k_scale(const std::uint8_t* s, int j, int& scale, int& minimum) {
  scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 2 & 0x30);
  minimum = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 2 & 0x30);
}

// Q4_K: half d, half m, 12 bytes of scales, 128 bytes; 8 parts of 32, even ones in low nibbles. x = (d scale) q - m minimum.
ONCEKIT_VECTORISED void q4_k(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 144) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
    for (int j = 0; j < 8; ++j, to += 32) {
      int scale, minimum;
      k_scale(bytes + 4, j, scale, minimum);
      const float d = half_at(from) * static_cast<float>(scale), m = half_at(from + 2) * static_cast<float>(minimum);
      const std::uint8_t* q = bytes + 16 + j / 2 * 32;
      const int shift = j % 2 * 4;
      for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(q[i] >> shift & 15) - m;
    }
  }
}

// Q5_K: as Q4_K with 32 bytes of fifth bits, part j's in bit j, before the 128.
ONCEKIT_VECTORISED void q5_k(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 176) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
    for (int j = 0; j < 8; ++j, to += 32) {
      int scale, minimum;
      k_scale(bytes + 4, j, scale, minimum);
      const float d = half_at(from) * static_cast<float>(scale), m = half_at(from + 2) * static_cast<float>(minimum);
      const std::uint8_t *high = bytes + 16, *q = bytes + 48 + j / 2 * 32;
      const int shift = j % 2 * 4;
      for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>((q[i] >> shift & 15) | (high[i] >> j & 1) << 4) - m;
    }
  }
}

// Q6_K: 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, half d; 16 parts of 16. x = (d scale) (q - 32).
ONCEKIT_VECTORISED void q6_k(const char* __restrict from, float* __restrict to, std::int64_t blocks) {
  for (std::int64_t b = 0; b < blocks; ++b, from += 210) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(from);
    for (int j = 0; j < 16; ++j, to += 16) {
      const int half = j / 8, quarter = j / 2 % 4, begin = j % 2 * 16;
      const float d = half_at(from + 208) * static_cast<float>(static_cast<std::int8_t>(bytes[192 + j]));
      const std::uint8_t *low = bytes + half * 64 + quarter % 2 * 32 + begin, *high = bytes + 128 + half * 32 + begin;
      for (int i = 0; i < 16; ++i) {
        to[i] = d * static_cast<float>(((low[i] >> quarter / 2 * 4 & 15) | (high[i] >> quarter * 2 & 3) << 4) - 32);
      }
    }
  }
}

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, at::kFloat, nullptr},      {1, "F16", 1, 2, at::kHalf, nullptr},
    {30, "BF16", 1, 2, at::kBFloat16, nullptr}, {8, "Q8_0", 32, 34, at::kFloat, q8_0},
    {2, "Q4_0", 32, 18, at::kFloat, q4_0},      {3, "Q4_1", 32, 20, at::kFloat, q4_1},
    {6, "Q5_0", 32, 22, at::kFloat, q5_0},      {7, "Q5_1", 32, 24, at::kFloat, q5_1},
    {12, "Q4_K", 256, 144, at::kFloat, q4_k},   {13, "Q5_K", 256, 176, at::kFloat, q5_k},
    {14, "Q6_K", 256, 210, at::kFloat, q6_k},
};

// By number.
constexpr const char* kNames[] = {
    "F32",    "F16",      "Q4_0",     "Q4_1",     "Q4_2",  "Q4_3",  "Q5_0",       "Q5_1",       "Q8_0",       "Q8_1",
    "Q2_K",   "Q3_K",     "Q4_K",     "Q5_K",     "Q6_K",  "Q8_K",  "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",    "IQ1_S",
    "IQ4_NL", "IQ3_S",    "IQ2_S",    "IQ4_XS",   "I8",    "I16",   "I32",        "I64",        "F64",        "IQ1_M",
    "BF16",   "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};

}  // namespace

const GgmlType* ggml_type(std::uint32_t id) {
  for (const GgmlType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

std::string ggml_type_name(std::uint32_t id) {
  return id < std::size(kNames) ? std::string(kNames[id]) : std::string("type ").append(std::to_string(id));
}

std::string ggml_readable() {
  std::string list;
  for (const GgmlType& type : kTypes) list.append(list.empty() ? "" : " ").append(type.name);
  return list;
}

}  // namespace oncekit
