// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/report.h"

#include <atomic>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "vmm/devices/mark_abi.h"

namespace stub {
namespace {

constexpr uint64_t kFailCode = 1;

constinit std::atomic<bool> failing = false;

void Store(uint64_t reg, uint64_t code, uint64_t value) {
  WriteMmio64(board::kMarkDevice + reg, code | value << MARK_VALUE_SHIFT);
}

[[noreturn]] void Verdict(uint64_t code, uint64_t value) {
  Store(MARK_REG_VERDICT, code, value);
  for (;;) WaitForInterrupt();
}

}  // namespace

void MarkUp(uint64_t cpus) { Store(MARK_REG_MARK, MARK_CODE_UP, cpus); }

void MarkKexec(uint64_t cpus) { Store(MARK_REG_MARK, MARK_CODE_KEXEC, cpus); }

void AnnouncePass() { Print("[stub] PASS ", kPayloadName); }

void Pass() {
  AnnouncePass();
  Verdict(MARK_VERDICT_PASS, 0);
}

void BeginFailure(const char* file, int line) {
  while (failing.exchange(true)) {
    for (;;) WaitForInterrupt();
  }
  // Without the lock: its owner may be who fails.
  Put("\n[stub] FAIL ");
  Put(kPayloadName);
  Put(" ");
  Put(file);
  Put(":");
  Put(line);
  Put(" ");
}

void EndFailure(int line) {
  Put("\n");
  Verdict(kFailCode, static_cast<uint64_t>(line));
}

}  // namespace stub
