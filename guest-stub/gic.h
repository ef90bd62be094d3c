// SPDX-License-Identifier: Apache-2.0
// As much of a GICv3 or GICv2 as SGIs and the timer's PPI take.
#ifndef PARKVMM_GUEST_STUB_GIC_H_
#define PARKVMM_GUEST_STUB_GIC_H_

#include <cstdint>

#include "guest-stub/smp.h"

namespace stub {

inline constexpr uint32_t kGicSpurious = 1023;

// Once, on any CPU.
void GicInitDistributor();
// On each CPU after each CPU_ON: SGIs and PPIs in group 1, all disabled, and
// the CPU interface open. Touches neither what is pending nor what is active.
void GicInitCpu();
// SGIs and PPIs of this CPU.
void GicEnable(uint32_t intid);
void GicDisable(uint32_t intid);
uint32_t GicEnabled();
uint32_t GicPending();
uint32_t GicActive();
void GicSetPending(uint32_t intid);
void GicClear(uint32_t pending_and_active);

void GicSendSgi(uint32_t intid, const Cpu& target);
// To the first `count` of OtherCpu(), with as few writes as it takes: one for
// up to 16 CPUs of a cluster (GICv2: one).
void GicSendSgiToOthers(uint32_t intid, uint32_t count);
// The register's value, which GicEnd() wants back.
uint32_t GicAcknowledge();
void GicEnd(uint32_t acknowledged);
constexpr uint32_t GicIntid(uint32_t acknowledged) {
  return acknowledged & 0x3ff;
}

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_GIC_H_
