#include "mock_llm/faults.h"

#include <array>

#include "oncekit/rng.h"

namespace oncekit {

std::string_view fault_name(MockFault fault) {
  static constexpr std::array<std::string_view, kMockFaults + 1> kNames{
      "none", "429", "500", "503", "cut before the answer", "cut within the answer", "garbage", "truncated JSON", "slow drip",
      "empty answer", "declined", "code fence", "cut by length"};
  return kNames[static_cast<std::size_t>(fault)];
}

MockFault draw_fault(std::uint64_t body, std::int64_t attempt, std::uint64_t seed, double share) {
  const Rng rng = Rng(seed).at("mock fault").at(body);
  const auto drawn = [&](std::int64_t at) {
    Rng own = rng.at(static_cast<std::uint64_t>(at));
    return own.uniform() < share ? static_cast<MockFault>(1 + own.below(kMockFaults)) : MockFault::kNone;
  };
  if (share <= 0) return MockFault::kNone;
  // Runs of transport faults are counted from the first attempt on: what an attempt gets depends on those before it, not on when it came.
  int run = 0;
  MockFault fault = MockFault::kNone;
  for (std::int64_t at = 0; at <= attempt; ++at) {
    fault = drawn(at);
    if (of_transport(fault) && run == 3) fault = MockFault::kNone;
    run = of_transport(fault) ? run + 1 : 0;
  }
  return fault;
}

}  // namespace oncekit
