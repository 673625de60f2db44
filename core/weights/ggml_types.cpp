// Compiled with -O3 and -ffp-contract=off: a product and a sum that became one operation would give other bits than the reference's.
#include "weights/ggml_types.h"

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

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, at::kFloat, nullptr},  {1, "F16", 1, 2, at::kHalf, nullptr}, {30, "BF16", 1, 2, at::kBFloat16, nullptr},
    {8, "Q8_0", 32, 34, at::kFloat, q8_0},  {2, "Q4_0", 32, 18, at::kFloat, q4_0}, {3, "Q4_1", 32, 20, at::kFloat, q4_1},
};

constexpr const char* kNames[] = {"F32",     "F16",    "Q4_0",    "Q4_1",   "Q4_2", "Q4_3", "Q5_0",   "Q5_1",  "Q8_0",  "Q8_1",  "Q2_K",
                                  "Q3_K",    "Q4_K",   "Q5_K",    "Q6_K",   "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
                                  "IQ2_S",   "IQ4_XS", "I8",      "I16",    "I32",  "I64",  "F64",    "IQ1_M", "BF16",  "Q4_0_4_4", "Q4_0_4_8",
                                  "Q4_0_8_8", "TQ1_0", "TQ2_0",   "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"};

}  // namespace

const GgmlType* ggml_type(std::uint32_t id) {
  for (const GgmlType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

std::string ggml_type_name(std::uint32_t id) { return id < std::size(kNames) ? kNames[id] : "type " + std::to_string(id); }

std::string ggml_readable() {
  std::string list;
  for (const GgmlType& type : kTypes) list += (list.empty() ? "" : " ") + std::string(type.name);
  return list;
}

}  // namespace oncekit
