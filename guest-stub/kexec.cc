// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/kexec.h"

#include <cstddef>
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/park.h"
#include "guest-stub/report.h"

extern "C" {
extern const char _image[], _image_end[];
[[noreturn]] void kexec_jump(uint64_t entry, const void* devicetree);
}

namespace stub {
namespace {

struct Range {
  uint64_t begin;
  uint64_t end;
};

bool Overlap(const Range& a, const Range& b) {
  return a.begin < b.end && b.begin < a.end;
}

Range ThisImage() {
  return {reinterpret_cast<uint64_t>(_image),
          reinterpret_cast<uint64_t>(_image_end)};
}

uint64_t FreePlace() {
  const Machine& machine = ThisMachine();
  const auto devicetree = reinterpret_cast<uint64_t>(machine.devicetree);
  for (const uint64_t place : kKexecPlaces) {
    // Images differ in their code only: a few KiB, for which 64 are ample.
    const uint64_t size = ThisImage().end - ThisImage().begin + kKexecImageSize;
    const Range next = {place, place + size};
    if (Overlap(next, ThisImage())) continue;
    for (const Range& taken :
         {Range{kHandover, kHandover + sizeof(Handover)},
          Range{devicetree, devicetree + 1},
          Range{machine.initrd, machine.initrd_end},
          Range{ParkRegion(), ParkRegion() + kParkPageSize * CpuCount()}}) {
      EXPECT(!Overlap(next, taken));
    }
    return place;
  }
  FAIL("no place for the next image");
}

}  // namespace

Handover& TheHandover() {
  auto* const handover = reinterpret_cast<Handover*>(kHandover);
  if (handover->magic != kHandoverMagic) {
    *handover = {.magic = kHandoverMagic};
  }
  return *handover;
}

void Kexec(uint32_t image) {
  const Machine& machine = ThisMachine();
  const uint64_t from = machine.initrd + kKexecImageSize * image;
  uint64_t end = from + kKexecImageSize;
  if (end > machine.initrd_end) end = machine.initrd_end;
  if (from >= end) FAIL("the initrd has no image ", image);
  const uint64_t place = FreePlace();
  for (uint64_t i = 0; i < end - from; i += 8) {
    WriteMmio64(place + i, ReadMmio64(from + i));
  }
  for (uint64_t line = place; line < place + kKexecImageSize; line += 16) {
    asm volatile("dc civac, %0" ::"r"(line) : "memory");
  }
  kexec_jump(place, machine.devicetree);
}

}  // namespace stub
