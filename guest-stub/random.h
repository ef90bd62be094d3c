// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_RANDOM_H_
#define PARKVMM_GUEST_STUB_RANDOM_H_

#include <cstdint>

namespace stub {

// The same sequence for the same seed: splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // 0 to bound - 1.
  uint32_t Below(uint32_t bound) {
    state_ += 0x9e37'79b9'7f4a'7c15;
    uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58'476d'1ce4'e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d0'49bb'1331'11eb;
    return static_cast<uint32_t>((mixed ^ mixed >> 31) >> 32) % bound;
  }

 private:
  uint64_t state_;
};

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_RANDOM_H_
