// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/exception.h"

#include <atomic>

#include "guest-stub/arch.h"
#include "guest-stub/gic.h"
#include "guest-stub/report.h"

namespace stub {
namespace {

// vectors.S builds and unwinds it.
struct Frame {
  uint64_t x[31];
  uint64_t elr;
  uint64_t spsr;
};

constexpr uint64_t kSynchronousHere = 4;
constexpr uint64_t kIrqHere = 5;

constinit std::atomic<void (*)(uint32_t)> handler = nullptr;

void TakeInterrupt() {
  const uint32_t acknowledged = GicAcknowledge();
  const uint32_t intid = GicIntid(acknowledged);
  if (intid == kGicSpurious) return;
  const auto handle = handler.load();
  if (handle == nullptr) FAIL("interrupt ", intid, " was not expected");
  handle(intid);
  GicEnd(acknowledged);
}

}  // namespace

void SetInterruptHandler(void (*new_handler)(uint32_t intid)) {
  handler = new_handler;
}

extern "C" void stub_exception(uint64_t vector, Frame* frame) {
  if (vector == kIrqHere) return TakeInterrupt();
  const uint64_t esr = READ_SYSREG(esr_el1);
  const uint64_t far = READ_SYSREG(far_el1);
  Cpu& cpu = ThisCpu();
  if (vector == kSynchronousHere && cpu.catching != nullptr) {
    *cpu.catching = {.taken = true, .esr = esr, .far = far};
    frame->elr += 4;
    return;
  }
  FAIL("exception at vector ", vector, ": ESR ", Hex{esr}, ", PC ",
       Hex{frame->elr}, ", FAR ", Hex{far}, ", MPIDR ",
       Hex{READ_SYSREG(mpidr_el1)});
}

}  // namespace stub
