// SPDX-License-Identifier: Apache-2.0
// A kexec without Linux: the next image is the initrd, or one of several in it,
// each filled up to kKexecImageSize. It is copied to where this one is not and
// entered as a kernel is: MMU off, x0 = the devicetree, which stays as it was.
// So one boot makes hundreds of kexecs, each into a pristine copy.
#ifndef PARKVMM_GUEST_STUB_KEXEC_H_
#define PARKVMM_GUEST_STUB_KEXEC_H_

#include <cstdint>

#include "guest-stub/board.h"

namespace stub {

inline constexpr uint64_t kKexecImageSize = 64 << 10;
// Two places to load to, one of which this image does not occupy; and what one
// tells the next. In between and behind it, the VMM has the devicetree, the
// initrd and the park pages.
inline constexpr uint64_t kKexecPlaces[] = {board::kRam + (4 << 20),
                                            board::kRam + (8 << 20)};
inline constexpr uint64_t kHandover = board::kRam + (12 << 20);
inline constexpr uint64_t kHandoverMagic = 0x7265766f646e6148;

// All zeros at the first boot.
struct Handover {
  uint64_t magic;
  uint64_t kexecs;    // So far.
  uint64_t refusals;  // CPU_ON calls that were answered ALREADY_ON.
  uint64_t others;    // Kernels of other kinds that were in between.
  uint64_t let_go;    // The kexec whose stuck CPUs may turn off.
};

Handover& TheHandover();

// All other CPUs have left. Image 0 is the initrd's first.
[[noreturn]] void Kexec(uint32_t image = 0);

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_KEXEC_H_
