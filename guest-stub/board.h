// SPDX-License-Identifier: Apache-2.0
// Where this machine keeps what the payloads use: the map of QEMU's `virt`
// board. vmm/boot/memory_map.h is where it is decided.
#ifndef PARKVMM_GUEST_STUB_BOARD_H_
#define PARKVMM_GUEST_STUB_BOARD_H_

#include <cstdint>

namespace stub::board {

inline constexpr uint64_t kGicDistributor = 0x08000000;
inline constexpr uint64_t kGicV2CpuInterface = 0x08010000;
inline constexpr uint64_t kRedistributors = 0x080a0000;
inline constexpr uint64_t kRedistributorsSize = 0xf60000;
inline constexpr uint64_t kHighRedistributors = 0x4000000000;
inline constexpr uint64_t kRedistributorStride = 0x20000;
inline constexpr uint64_t kPl011 = 0x09000000;
inline constexpr uint64_t kPl031 = 0x09010000;
inline constexpr uint64_t kMarkDevice = 0x0c000000;
inline constexpr uint64_t kParkDevice = 0x0c100000;
inline constexpr uint64_t kRam = 0x40000000;

// start.S maps the first 127 GiB of addresses a second time, this much higher.
inline constexpr uint64_t kAlias = 0x5000000000;

// Nothing is here: in the hole for devices, and above any RAM there can be
// (which start.S maps as Normal memory, the former as Device).
inline constexpr uint64_t kNoDevice = 0x0d800000;
inline constexpr uint64_t kNoRam = 0x3f00000000;

inline constexpr uint32_t kMaxCpus = 512;
inline constexpr uint32_t kVirtualTimerIntid = 27;

}  // namespace stub::board

#endif  // PARKVMM_GUEST_STUB_BOARD_H_
