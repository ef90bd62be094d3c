// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x200000;

GuestMemory Mapped() {
  return *GuestMemory::Map(GuestRange::Fixed(kRam, kSize));
}

TEST(GuestMemoryTest, IsZeroUntilItIsWritten) {
  GuestMemory memory = Mapped();
  EXPECT_EQ(memory.Load<uint64_t>(GuestAddress(kRam)), 0u);
  const std::vector<uint8_t> bytes = {1, 2, 3, 4};
  ASSERT_TRUE(memory.Write(GuestAddress(kRam + 0x1000), bytes).ok());
  EXPECT_EQ(memory.Load<uint32_t>(GuestAddress(kRam + 0x1000)), 0x04030201u);
  std::vector<uint8_t> read(4);
  ASSERT_TRUE(memory.Read(GuestAddress(kRam + 0x1000), {&read[0], 4}).ok());
  EXPECT_EQ(read, bytes);
}

TEST(GuestMemoryTest, ItsEndsArePartOfIt) {
  GuestMemory memory = Mapped();
  const std::vector<uint8_t> bytes(8, 0x42);
  for (const uint64_t offset : {uint64_t{0}, kSize - 8}) {
    EXPECT_TRUE(memory.Write(GuestAddress(kRam + offset), bytes).ok());
    EXPECT_EQ(memory.Load<uint64_t>(GuestAddress(kRam + offset)),
              0x4242424242424242u);
  }
}

TEST(GuestMemoryTest, WhatIsNotAllRamIsOutOfRangeAndUntouched) {
  GuestMemory memory = Mapped();
  const std::vector<uint8_t> bytes(8, 0x42);
  for (const uint64_t address :
       {uint64_t{0}, kRam - 8, kRam - 1, kRam + kSize - 7, kRam + kSize,
        ~uint64_t{0}}) {
    EXPECT_EQ(memory.Write(GuestAddress(address), bytes).code(),
              absl::StatusCode::kOutOfRange)
        << std::hex << address;
    EXPECT_EQ(memory.Load<uint64_t>(GuestAddress(address)), std::nullopt);
  }
  EXPECT_EQ(memory.Load<uint64_t>(GuestAddress(kRam)), 0u);
  EXPECT_EQ(memory.Load<uint64_t>(GuestAddress(kRam + kSize - 8)), 0u);
  EXPECT_EQ(memory.Write(GuestAddress(0x100), bytes).message(),
            "0x100+0x8 is not guest RAM");
}

TEST(GuestMemoryTest, TakesAContentWhereThereIsRoom) {
  GuestMemory memory = Mapped();
  const Content content(std::vector<uint8_t>{1, 2, 3, 4});
  const GuestAddress end(kRam + kSize - 4);
  ASSERT_TRUE(memory.WriteContent(end, content).ok());
  EXPECT_EQ(memory.Load<uint32_t>(end), 0x04030201u);
  for (const uint64_t address : {kRam - 4, kRam + kSize - 3}) {
    EXPECT_EQ(memory.WriteContent(GuestAddress(address), content).code(),
              absl::StatusCode::kOutOfRange);
  }
  EXPECT_TRUE(memory.WriteContent(GuestAddress(0), Content()).ok());
}

// Pages of address space that this process takes.
uint64_t PagesMapped() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(GuestMemoryTest, TakesNoMoreOfTheAddressSpaceThanTheGuestHas) {
  for (const uint64_t base : {kRam, kRam + 0x180000}) {
    const uint64_t before = PagesMapped();
    const GuestMemory memory =
        *GuestMemory::Map(*GuestRange::Make(GuestAddress(base), kSize));
    EXPECT_EQ(PagesMapped() - before, kSize / 4096) << std::hex << base;
  }
}

// Else neither the host nor the second stage could use huge pages.
TEST(GuestMemoryTest, LiesAsTheGuestSeesIt) {
  for (const uint64_t base : {kRam, kRam + 0x180000}) {
    const GuestMemory memory =
        *GuestMemory::Map(*GuestRange::Make(GuestAddress(base), kSize));
    EXPECT_EQ((reinterpret_cast<uintptr_t>(memory.host_base()) - base) %
                  (uint64_t{2} << 20),
              0u);
  }
}

// proc(5): a mapping's flags, of which "dd" is "do not dump".
TEST(GuestMemoryTest, IsInNoCoreDump) {
  const GuestMemory memory = Mapped();
  const void* const host = *memory.HostRange(GuestRange::Fixed(kRam, kSize));
  std::ostringstream begin;
  begin << std::hex << reinterpret_cast<uintptr_t>(host) << "-";
  std::ifstream maps("/proc/self/smaps");
  bool is_ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(begin.str())) is_ours = true;
    if (!is_ours || !line.starts_with("VmFlags:")) continue;
    EXPECT_NE(line.find(" dd"), line.npos) << line;
    return;
  }
  FAIL() << "it is not mapped at " << begin.str();
}

TEST(GuestMemoryTest, NoBytesFitAnywhere) {
  GuestMemory memory = Mapped();
  EXPECT_TRUE(memory.Write(GuestAddress(0), {}).ok());
  EXPECT_TRUE(memory.Read(GuestAddress(0), {}).ok());
}

TEST(GuestMemoryTest, SaysWhereThePartsOfItAreMapped) {
  GuestMemory memory = Mapped();
  auto* const base = static_cast<uint8_t*>(memory.host_base());
  const auto part = memory.HostRange(GuestRange::Fixed(kRam + 0x3000, 0x1000));
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(*part, base + 0x3000);
  EXPECT_FALSE(memory.HostRange(GuestRange::Fixed(kRam, kSize + 1)).ok());
}

TEST(GuestMemoryTest, ItsContentMovesWithIt) {
  GuestMemory memory = Mapped();
  const std::vector<uint8_t> bytes(8, 0x42);
  ASSERT_TRUE(memory.Write(GuestAddress(kRam), bytes).ok());
  GuestMemory moved(std::move(memory));
  EXPECT_EQ(moved.Load<uint8_t>(GuestAddress(kRam)), 0x42);
  GuestMemory other = *GuestMemory::Map(GuestRange::Fixed(0x1000, 0x1000));
  other = std::move(moved);
  EXPECT_EQ(other.range(), GuestRange::Fixed(kRam, kSize));
  EXPECT_EQ(other.Load<uint8_t>(GuestAddress(kRam)), 0x42);
}

// Asked of the kernel: it refuses to sync what is not mapped.
TEST(GuestMemoryTest, TheHostHasItsMemoryBackInTheEnd) {
  const auto is_mapped = [](void* at) {
    return msync(at, kSize, MS_ASYNC) == 0;
  };
  std::optional<GuestMemory> memory = Mapped();
  void* const base = memory->host_base();
  {
    const GuestMemory moved(*std::move(memory));
    memory.reset();  // Whose memory has moved on.
    EXPECT_TRUE(is_mapped(base));
  }
  EXPECT_FALSE(is_mapped(base));
}

TEST(GuestMemoryTest, MoreThanTheHostMapsIsRefusedWithARemedy) {
  const auto memory = GuestMemory::Map(GuestRange::Fixed(0, uint64_t{1} << 62));
  EXPECT_EQ(memory.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(memory.status().message().find("4398046511104 MiB"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace vmm
