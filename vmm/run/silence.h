// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_SILENCE_H_
#define PARKVMM_VMM_RUN_SILENCE_H_

#include <cstdint>
#include <optional>

namespace vmm {

// When to say that nothing has come of the guest for a while: after 10 s, and
// each time that twice as much has passed. So hours are a dozen lines. Times
// are in ns of one clock. One thread.
class Silence {
 public:
  static constexpr int64_t kFirstNs = 10'000'000'000;

  explicit Silence(int64_t now_ns) { NoteLife(now_ns); }

  void NoteLife(int64_t now_ns) {
    life_ns_ = now_ns;
    told_ns_ = kFirstNs;
  }
  // When it will be so long that it is to be told.
  int64_t Next() const { return life_ns_ + told_ns_; }
  // Returns how long it has lasted in whole seconds if that is to be told now,
  // once.
  std::optional<int64_t> Tell(int64_t now_ns) {
    if (now_ns < Next()) return std::nullopt;
    const int64_t lasted_ns = now_ns - life_ns_;
    while (told_ns_ <= lasted_ns) told_ns_ *= 2;
    return lasted_ns / 1'000'000'000;
  }

 private:
  int64_t life_ns_ = 0;
  int64_t told_ns_ = kFirstNs;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_SILENCE_H_
