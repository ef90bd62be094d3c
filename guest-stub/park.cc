// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/park.h"

#include <cstddef>

#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/report.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

extern "C" {
extern const char park_loop_proposed[], park_loop_proposed_end[];
extern const char park_loop_other[], park_loop_other_end[];
extern const char park_loop_pair[], park_loop_pair_end[];

void park_copy_words(uint64_t to, const void* from);
void park_copy_pairs(uint64_t to, const void* from);
void park_copy_simd(uint64_t to, const void* from);
void park_wipe(uint64_t page);

void park_page_entry();
void secondary_entry();

// What park_page_entry looks for: the region, and who comes out of each page.
constinit uint64_t park_region = 0;
constinit stub::Start park_starts[stub::board::kMaxCpus] = {};
}
static_assert(sizeof(stub::Start) == 24);  // park.S

namespace stub {
namespace {

struct alignas(16) PageImage {
  uint64_t exit;
  uint64_t magic;
  char text[kParkPageSize - PARK_PAGE_TEXT];
};
static_assert(sizeof(PageImage) == kParkPageSize);
static_assert(offsetof(PageImage, exit) == PARK_PAGE_EXIT);
static_assert(offsetof(PageImage, magic) == PARK_PAGE_MAGIC);
static_assert(offsetof(PageImage, text) == PARK_PAGE_TEXT);

struct Code {
  const char* begin;
  const char* end;
};

Code CodeOf(Loop loop) {
  switch (loop) {
    case Loop::kProposed:
      return {park_loop_proposed, park_loop_proposed_end};
    case Loop::kOther:
      return {park_loop_other, park_loop_other_end};
    case Loop::kPair:
      return {park_loop_pair, park_loop_pair_end};
  }
  FAIL("no such loop");
}

// Whoever has its MMU off reads and fetches past the caches.
void CleanAndInvalidate(uint64_t begin, uint64_t size) {
  for (uint64_t line = begin; line < begin + size; line += 16) {
    asm volatile("dc civac, %0" ::"r"(line) : "memory");
  }
  asm volatile("dsb sy\n\tic ialluis\n\tdsb sy\n\tisb" ::: "memory");
}

}  // namespace

uint64_t ParkRegion() {
  if (park_region == 0) park_region = Argument("cpuparkmem", 0);
  return park_region;
}

uint64_t ParkPage(uint32_t number) {
  EXPECT(ParkRegion() != 0);
  return ParkRegion() + kParkPageSize * number;
}

void InstallLoop(uint64_t page, Loop loop, Copy copy) {
  static constinit PageImage image = {};
  const Code code = CodeOf(loop);
  char* text = image.text;
  for (const char* from = code.begin; from != code.end; ++from) *text++ = *from;
  while (text != image.text + sizeof(image.text)) *text++ = 0;
  constexpr void (*kCopies[])(uint64_t, const void*) = {
      park_copy_words, park_copy_pairs, park_copy_simd};
  kCopies[static_cast<size_t>(copy)](page + board::kAlias, &image);
  CleanAndInvalidate(page + board::kAlias, kParkPageSize);
}

bool HasLoop(uint64_t page, Loop loop) {
  uint64_t begin = 0;
  for (uint32_t i = 0; i < 8; ++i) {
    begin |= uint64_t{static_cast<uint8_t>(CodeOf(loop).begin[i])} << 8 * i;
  }
  return ReadMmio64(page + board::kAlias + PARK_PAGE_TEXT) == begin;
}

uint64_t ExitIn(uint64_t page) {
  return ReadMmio64(page + board::kAlias + PARK_PAGE_EXIT);
}

uint64_t MagicIn(uint64_t page) {
  return ReadMmio64(page + board::kAlias + PARK_PAGE_MAGIC);
}

void AwaitMagic(uint64_t page) {
  const Deadline deadline;
  while (MagicIn(page) != PARK_MAGIC) {
    if (deadline.Passed()) FAIL("no magic at ", Hex{page});
  }
}

void AwaitEntries(const Cpu& cpu, uint32_t entries) {
  const Deadline deadline;
  while (cpu.entries != entries) {
    if (deadline.Passed() || cpu.entries > entries) {
      FAIL("CPU ", Hex{cpu.mpidr}, " entered ", cpu.entries.load(),
           " times, not ", entries);
    }
  }
}

void StoreExit(uint64_t page, uint64_t exit) {
  DataBarrier();
  WriteMmio64(page + board::kAlias + PARK_PAGE_EXIT, exit);
  CleanAndInvalidate(page + board::kAlias, 16);
  asm volatile("sev" ::: "memory");
}

void WipePage(uint64_t page) {
  park_wipe(page + board::kAlias);
  CleanAndInvalidate(page + board::kAlias, kParkPageSize);
}

uint64_t PrepareExit(uint32_t number, void (*body)(uint64_t argument),
                     uint64_t argument) {
  park_starts[number] = {&OtherCpu(number), body, argument};
  DataBarrier();
  return reinterpret_cast<uint64_t>(&park_page_entry);
}

uint64_t ParkSlot(const Cpu& cpu) {
  EXPECT(ThisMachine().park_device);
  return board::kParkDevice + PARK_DEVICE_STRIDE * cpu.index;
}

uint64_t ReadSlot(const Cpu& cpu, uint64_t reg) {
  return ReadMmio64(ParkSlot(cpu) + reg);
}

void EnterSlot() {
  DataBarrier();
  WriteMmio64(ParkSlot(ThisCpu()) + PARK_REG_MAGIC, PARK_MAGIC);
}

uint64_t ReleaseSlot(Cpu& cpu, void (*body)(uint64_t argument),
                     uint64_t argument) {
  cpu.start = {&cpu, body, argument};
  DataBarrier();
  const uint64_t slot = ParkSlot(cpu);
  WriteMmio64(slot + PARK_REG_CONTEXT, reinterpret_cast<uint64_t>(&cpu.start));
  WriteMmio64(slot + PARK_REG_EXIT,
              reinterpret_cast<uint64_t>(&secondary_entry));
  return ReadMmio64(slot + PARK_REG_STATUS);
}

}  // namespace stub
