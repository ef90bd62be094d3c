// SPDX-License-Identifier: Apache-2.0
// A park page is RAM for every instruction there is, whatever its syndrome
// says: in a page that holds nobody, next to one that holds a CPU, and in that
// one. And a store of exit releases, by whatever instruction it comes.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

#define FORMS(F)      \
  F(plain)            \
  F(unscaled)         \
  F(by_register)      \
  F(before)           \
  F(after)            \
  F(from_stack)       \
  F(release)          \
  F(pair)             \
  F(pair_nontemporal) \
  F(exclusive)        \
  F(exclusive_pair)   \
  F(simd) F(simd_half) F(simd_pair) F(simd_one) F(simd_lane) F(simd_two)
#define LSE_FORMS(F) \
  F(swap) F(compare_and_swap) F(compare_and_swap_pair) F(add) F(or)

extern "C" {
#define DECLARE(name) uint64_t store_##name(uint64_t address, uint64_t value);
FORMS(DECLARE)
LSE_FORMS(DECLARE)
}

namespace stub {
namespace {

struct Form {
  const char* name;
  uint64_t (*store)(uint64_t address, uint64_t value);
};
#define FORM(name) {#name, store_##name},
constexpr Form kForms[] = {FORMS(FORM) LSE_FORMS(FORM)};
#define COUNT(name) +1
constexpr uint32_t kOfAnyCpu = FORMS(COUNT);
constexpr uint32_t kOfLse = LSE_FORMS(COUNT);

constexpr uint64_t kMoment = 2'000;     // Microseconds.
constexpr uint64_t kSomewhere = 0x800;  // In a page, behind every loop.

constinit uint32_t parks = 0;

bool HasLse() { return (READ_SYSREG(id_aa64isar0_el1) >> 20 & 0xf) >= 2; }

uint32_t Forms() { return kOfAnyCpu + (HasLse() ? kOfLse : 0); }

void Park() {
  const uint64_t page = ParkPage(0);
  InstallLoop(page, Loop::kProposed);
  TurnOn(OtherCpu(0), park_enter, page);
  AwaitMagic(page);
  ++parks;
}

void CheckParked() {
  EXPECT_EQ(AffinityInfo(OtherCpu(0).mpidr), PSCI_AFFINITY_OFF);
  EXPECT_EQ(MagicIn(ParkPage(0)), PARK_MAGIC);
  EXPECT_EQ(OtherCpu(0).entries.load(), 2 * parks - 1);
}

void CheckReleased(const char* by) {
  const Deadline deadline(5);
  while (OtherCpu(0).entries != 2 * parks) {
    if (deadline.Passed()) FAIL(by, ": exit was stored and nobody came");
  }
  AwaitOff(OtherCpu(0));
  EXPECT_EQ(OtherCpu(0).entries.load(), 2 * parks);
}

bool IsExclusive(const Form& form) {
  return form.store == store_exclusive || form.store == store_exclusive_pair;
}

// Exclusives may fail, without end, where each access is one of the VMM's: as
// in any debugger.
constinit uint32_t failed_exclusives = 0;

bool Store(const Form& form, uint64_t address, uint64_t value) {
  if (form.store(address, value) == 0) return true;
  if (!IsExclusive(form)) {
    FAIL(form.name, " at ", Hex{address}, " was not done");
  }
  ++failed_exclusives;
  return false;
}

void CheckIsRam(uint64_t address) {
  for (uint32_t i = 0; i < Forms(); ++i) {
    const uint64_t value = 0x1122'3344'5566'7700 + i;
    WriteMmio64(address, 0);
    if (!Store(kForms[i], address, value)) continue;
    if (ReadMmio64(address) != value) {
      FAIL(kForms[i].name, " at ", Hex{address}, " left ",
           Hex{ReadMmio64(address)});
    }
  }
}

// 3 bytes before a boundary; and one that leaves exit alone.
void CheckMisaligned(uint64_t page) {
  WriteMmio64(page + kParkPageSize - 8, 0);
  WriteMmio64(page + kParkPageSize, 0);
  store_plain(page + kParkPageSize - 3, 0x8877'6655'4433'2211);
  EXPECT_EQ(ReadMmio64(page + kParkPageSize - 8), 0x3322'1100'0000'0000);
  EXPECT_EQ(ReadMmio64(page + kParkPageSize), 0x88'7766'5544);
  store_plain(page + kSomewhere + 1, 0x8877'6655'4433'2211);
  EXPECT_EQ(ReadMmio64(page + kSomewhere + 8) & 0xff, 0x88);
}

void CheckAllPlaces(uint64_t offset) {
  CheckIsRam(ParkPage(1) + offset + kSomewhere);
  EXPECT(failed_exclusives == 0 || offset == 0);
  Park();
  CheckIsRam(ParkPage(1) + offset + kSomewhere);
  CheckIsRam(ParkPage(0) + offset + kSomewhere);
  CheckMisaligned(ParkPage(1) + offset);
  CheckMisaligned(ParkPage(0) + offset);
  CheckParked();
  // Wiped before it is released: the VMM needs no byte of the page.
  WipePage(ParkPage(0));
  Sleep(kMoment);
  EXPECT_EQ(AffinityInfo(OtherCpu(0).mpidr), PSCI_AFFINITY_OFF);
  StoreExit(ParkPage(0), PrepareExit(0, [](uint64_t) {}));
  CheckReleased("STR after DC ZVA");
}

void CheckReleases(uint64_t offset) {
  for (uint32_t i = 0; i < Forms(); ++i) {
    Park();
    const uint64_t exit = PrepareExit(0, [](uint64_t) {});
    if (!Store(kForms[i], ParkPage(0) + offset, exit)) {
      StoreExit(ParkPage(0), exit);
    }
    CheckReleased(kForms[i].name);
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_forms) {
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  for (const uint64_t offset : {board::kAlias, uint64_t{0}}) {
    CheckAllPlaces(offset);
    CheckReleases(offset);
  }
  Print(Forms(), " forms, ", parks, " parks, ", failed_exclusives,
        " exclusives failed");
}
