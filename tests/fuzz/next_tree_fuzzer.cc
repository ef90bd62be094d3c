// SPDX-License-Identifier: Apache-2.0
// Any blob as the devicetree of the running kernel, and any text as what
// guest-init reads besides: trees, lines of /proc, plans and command lines.
#include <libfdt.h>

#include <cstring>
#include <variant>

#include "tests/fuzz/fuzzer.h"
#include "tools/guest/init/command_file.h"
#include "tools/guest/init/command_line.h"
#include "tools/guest/init/cpu_list.h"
#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/plan.h"
#include "tools/guest/init/segments.h"

namespace {

using guest_init::CpuOrder;
using guest_init::Range;

void ReadTree(std::span<const uint8_t> tree, const guest_init::Chosen& chosen) {
  if (const auto ranges = guest_init::ReservedRanges(tree)) {
    for (const Range& range : *ranges) FUZZ_CHECK(range.begin <= range.end);
  }
  if (const auto initrd = guest_init::InitrdIn(tree)) {
    FUZZ_CHECK(initrd->begin < initrd->end);
  }
  for (const CpuOrder order : {CpuOrder::kKept, CpuOrder::kReversed}) {
    const auto next = guest_init::MakeNextTree(tree, chosen, order);
    if (!next) continue;
    FUZZ_CHECK(fdt_check_full(next->data(), next->size()) == 0);
    const int node = fdt_path_offset(next->data(), "/chosen");
    int size = 0;
    const void* const bootargs =
        fdt_getprop(next->data(), node, "bootargs", &size);
    FUZZ_CHECK(bootargs != nullptr &&
               static_cast<size_t>(size) == chosen.bootargs.size() + 1 &&
               std::memcmp(bootargs, chosen.bootargs.c_str(),
                           chosen.bootargs.size() + 1) == 0);
    if (chosen.initrd.begin != 0 && chosen.initrd.begin < chosen.initrd.end) {
      FUZZ_CHECK(guest_init::InitrdIn(*next) == chosen.initrd);
    }
    // A kexec after this one changes nothing that is the same.
    const auto again = guest_init::MakeNextTree(*next, chosen);
    FUZZ_CHECK(again && again->size() <= next->size());
  }
}

void ReadText(const std::string& text) {
  static_cast<void>(guest_init::ParseOptions(text));
  static_cast<void>(guest_init::ParseCpuList(text));
  const auto step = guest_init::StepOf(text, 1);
  if (const auto* const found = std::get_if<guest_init::Step>(&step)) {
    FUZZ_CHECK(!found->kernel.empty());
    static_cast<void>(guest_init::LineForStep("console=ttyAMA0 a=b", *found));
  }
  // A quote that is not closed takes in what follows, as it does in Linux.
  if (std::count(text.begin(), text.end(), '"') % 2 == 0) {
    const std::string line = guest_init::WithKey(text, "park.cycle", "7");
    FUZZ_CHECK(guest_init::FindKey(line, "park.cycle") == "7");
  }
  FUZZ_CHECK(!guest_init::FindKey(guest_init::WithoutKey(text, "park.cycle"),
                                  "park.cycle"));
  for (const Range& range : guest_init::ParseSystemRam(text)) {
    FUZZ_CHECK(range.begin < range.end);
  }
  if (const auto range = guest_init::ParseCrashKernel(text)) {
    FUZZ_CHECK(range->begin < range->end);
  }
  if (const auto command = guest_init::ParseCommandFile(text)) {
    FUZZ_CHECK(!command->words.empty());
  }
}

}  // namespace

FUZZ_TARGET(next_tree) {
  const auto how = input.Take<uint8_t>();
  guest_init::Chosen chosen = {.bootargs = input.TakeText(how >> 3)};
  std::replace(chosen.bootargs.begin(), chosen.bootargs.end(), '\0', ' ');
  if ((how & 1) != 0) {
    chosen.initrd = {input.Take<uint32_t>(), input.Take<uint64_t>()};
  }
  if ((how & 2) != 0) chosen.rng_seed.assign(32, 7);
  if ((how & 4) != 0) chosen.usable = {0x1000, 0x2000};
  const auto rest = input.TakeRest();
  // libfdt wants it aligned to 8.
  std::vector<uint64_t> aligned((rest.size() + 7) / 8);
  if (!rest.empty()) std::memcpy(aligned.data(), rest.data(), rest.size());
  ReadTree({reinterpret_cast<const uint8_t*>(aligned.data()), rest.size()},
           chosen);
  ReadText({rest.begin(), rest.end()});
  static_cast<void>(guest_init::ParseImageHeader(
      {reinterpret_cast<const uint8_t*>(aligned.data()), rest.size()}));
}
