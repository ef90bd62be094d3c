// SPDX-License-Identifier: Apache-2.0
// Any instruction word, in a guest with any registers: what is read of a store
// is what its encoding says, and stays within a page.
#include "tests/fuzz/fuzzer.h"
#include "tests/support/fake_vcpu.h"
#include "vmm/arch/store_instruction.h"
#include "vmm/park/guest_store.h"

namespace {

using vmm::GuestAddress;
using vmm::GuestMemory;
using vmm::GuestRange;
using vmm::StoreInstruction;

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x20000;
constexpr uint64_t kPage = 0x1000;
constexpr GuestRange kLoops = GuestRange::Fixed(kRam + 0x10000, 0x4000);

bool Fits(int64_t value, int64_t least, int64_t most, int64_t unit) {
  return value >= least * unit && value <= most * unit && value % unit == 0;
}

// Whether `word` is an encoding of `store`, by Arm ARM C6.2: each form is put
// together anew.
bool Encodes(uint32_t word, const StoreInstruction& store) {
  const unsigned log_size = store.size == 8   ? 3
                            : store.size == 4 ? 2
                            : store.size == 2 ? 1
                                              : 0;
  const uint32_t registers = store.base << 5 | store.value;
  if (store.second) {
    const int64_t unit = store.size;
    if (store.added || store.size < 4 || !Fits(store.offset, -64, 63, unit)) {
      return false;
    }
    const auto imm7 = static_cast<uint32_t>(store.offset / unit) & 0x7f;
    const uint32_t pair = (store.size == 8 ? 0xa8000000u : 0x28000000u) |
                          imm7 << 15 | *store.second << 10 | registers;
    return word == pair || word == (pair | 0x01000000);  // STNP, STP.
  }
  const uint32_t base = log_size << 30 | 0x38000000 | registers;
  if (store.added) {
    const auto& added = *store.added;
    if (store.offset != 0 || added.reg > 31 ||
        (added.shift != 0 && added.shift != log_size)) {
      return false;
    }
    const uint32_t option =
        2u | (added.is_word ? 0 : 1) | (added.is_signed ? 4 : 0);
    const uint32_t plain = base | 0x00200800 | added.reg << 16 | option << 13;
    // A byte is shifted by nothing, whatever S says.
    return (word == plain && added.shift == 0) ||
           (word == (plain | 0x1000) && added.shift == log_size);
  }
  const int64_t unit = store.size;
  if (Fits(store.offset, 0, 4095, unit)) {
    const auto imm12 = static_cast<uint32_t>(store.offset / unit);
    if (word == (base | 0x01000000 | imm12 << 10)) return true;
  }
  if (Fits(store.offset, -256, 255, 1)) {
    const auto imm9 = static_cast<uint32_t>(store.offset) & 0x1ff;
    if (word == (base | imm9 << 12)) return true;  // STUR.
  }
  return store.offset == 0 && word == (log_size << 30 | 0x089ffc00 | registers);
}

void CheckData(const vmm::GuestStore& store) {
  const auto& [address, size, value] = *store.data;
  FUZZ_CHECK(size == 1 || size == 2 || size == 4 || size == 8);
  FUZZ_CHECK(address.value() % size == 0);
  FUZZ_CHECK(store.target == address);
  const uint64_t last = store.second ? address.value() + 2 * size - 1
                                     : address.value() + size - 1;
  FUZZ_CHECK(last / kPage == address.value() / kPage);
  if (!store.second) return;
  FUZZ_CHECK(store.second->size == size);
  FUZZ_CHECK(store.second->address.value() == address.value() + size);
}

}  // namespace

FUZZ_TARGET(store_decoder) {
  const auto word = input.Take<uint32_t>();
  const auto decoded = vmm::DecodeStore(word);
  if (decoded) {
    FUZZ_CHECK(decoded->base < 31 && decoded->value < 32);
    FUZZ_CHECK(Encodes(word, *decoded));
  }
  if (const auto zeroed = vmm::DecodeZeroing(word)) {
    FUZZ_CHECK(!decoded && word == (0xd50b7420 | *zeroed));
  }
  static GuestMemory& memory = *new GuestMemory(
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize)));
  vmm::FakeVcpu vcpu(0);
  const uint8_t how = input.Take<uint8_t>();
  vcpu.sctlr = how & 1;
  vcpu.tcr = input.Take<uint64_t>();
  vcpu.ttbr0 = vcpu.ttbr1 = kRam + input.Take<uint16_t>();
  vcpu.pc = kRam + (how & 2 ? 0x10000 : 0) + (input.Take<uint16_t>() & ~3u);
  if ((how & 4) != 0) vcpu.pc = input.Take<uint64_t>();
  for (uint64_t& x : vcpu.x) {
    x = (how & 8 ? kRam : 0) + input.Take<uint32_t>();
  }
  vmm::VcpuExit exit = vmm::StoreRefused{};
  if ((how & 16) != 0) {
    exit = vmm::DebugStop{vmm::DebugStop::Kind::kWatchedStore,
                          vcpu.pc + (how >> 5)};
  }
  // What the tables hold, and the instruction.
  const auto tables =
      input.TakeRest().first(std::min<size_t>(input.size(), kPage));
  FUZZ_CHECK(memory.Write(GuestAddress(kRam), tables).ok());
  const std::vector<uint8_t> code = {
      static_cast<uint8_t>(word), static_cast<uint8_t>(word >> 8),
      static_cast<uint8_t>(word >> 16), static_cast<uint8_t>(word >> 24)};
  const bool in_ram =
      memory.Write(GuestAddress(vcpu.pc), code).ok() && vcpu.sctlr == 0;
  const auto store = vmm::ReadStore(vcpu, exit, memory, kLoops, kPage);
  FUZZ_CHECK(store.ok() && store->pc == vcpu.pc);
  if (store->data) {
    CheckData(*store);
    if (in_ram) FUZZ_CHECK(decoded && decoded->size == store->data->size);
  }
  FUZZ_CHECK(store->data || !store->second);
  FUZZ_CHECK(store->code || !store->target);
}
