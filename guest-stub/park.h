// SPDX-License-Identifier: Apache-2.0
// Both sides of parking, as a kernel would play them: psci-emul/park_abi.h has
// what they agreed on.
//
// Pages and slots go by number as OtherCpu() does: the boot CPU is the
// proposal's CPU 0, the others follow in the order of the devicetree.
#ifndef PARKVMM_GUEST_STUB_PARK_H_
#define PARKVMM_GUEST_STUB_PARK_H_

#include <cstdint>

#include "guest-stub/board.h"
#include "guest-stub/smp.h"

namespace stub {

// --- Pages -------------------------------------------------------------------

inline constexpr uint64_t kParkPageSize = 4096;

// cpuparkmem=; 0 if there is none.
uint64_t ParkRegion();
// Where a CPU with its MMU off finds OtherCpu(number)'s page.
uint64_t ParkPage(uint32_t number);

enum class Loop {
  kProposed,  // As described in December 2020.
  kOther,     // Does the same; not a byte of it is the same.
  kPair,      // Stores exit and magic at once, by STP.
};
enum class Copy {
  kWords,  // Stores of one register,
  kPairs,  // of two,
  kSimd,   // of two of SIMD's.
};

// What an old kernel does before it sends its CPUs away: clears exit and magic
// and fills the page. Through another mapping than the CPU will have.
void InstallLoop(uint64_t page, Loop loop, Copy copy = Copy::kPairs);
// What a new kernel goes by: the first 8 bytes of the text.
bool HasLoop(uint64_t page, Loop loop);
uint64_t ExitIn(uint64_t page);
uint64_t MagicIn(uint64_t page);
// These poll, and fail the payload after a deadline.
void AwaitEntries(const Cpu& cpu, uint32_t entries);
void AwaitMagic(uint64_t page);
// One store, and the event that a loop may wait for.
void StoreExit(uint64_t page, uint64_t exit);
// DC ZVA, as memset() of zeros does it.
void WipePage(uint64_t page);

// On the CPU that leaves; the MMU is off from here on.
extern "C" [[noreturn]] void park_enter(uint64_t page);

// What exit is to be for OtherCpu(number) to run `body`, then turn off.
uint64_t PrepareExit(uint32_t number, void (*body)(uint64_t argument),
                     uint64_t argument = 0);

// --- The device --------------------------------------------------------------

uint64_t ParkSlot(const Cpu& cpu);
uint64_t ReadSlot(const Cpu& cpu, uint64_t reg);
// This CPU, in its own slot. It does return if that was refused.
void EnterSlot();
// The same as TurnOn(), through the slot; the VMM's answer.
uint64_t ReleaseSlot(Cpu& cpu, void (*body)(uint64_t argument),
                     uint64_t argument = 0);

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_PARK_H_
