// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "vmm/machine/console_buffer.h"
#include "vmm/run/console_output.h"
#include "vmm/run/console_watch.h"
#include "vmm/run/terminal.h"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

bool IsReadable(int fd) {
  pollfd poller = {fd, POLLIN, 0};
  return poll(&poller, 1, 0) == 1;
}

TEST(ConsoleBufferTest, WakesItsReaderAtTheEndOfALine) {
  ConsoleBuffer buffer;
  buffer.Put('a');
  EXPECT_FALSE(IsReadable(buffer.fd()));
  buffer.Put('\n');
  EXPECT_TRUE(IsReadable(buffer.fd()));
  EXPECT_EQ(buffer.Take(), "a\n");
  EXPECT_FALSE(IsReadable(buffer.fd()));
}

TEST(ConsoleBufferTest, IsBounded) {
  ConsoleBuffer buffer;
  for (size_t i = 0; i < 2 * ConsoleBuffer::kCapacity; ++i) buffer.Put('x');
  EXPECT_TRUE(buffer.Full());
  EXPECT_EQ(buffer.Take().size(), ConsoleBuffer::kCapacity);
  EXPECT_FALSE(buffer.Full());
}

TEST(ConsoleOutputTest, ThatNothingIsWrittenIsNoError) {
  ConsoleOutput output(STDOUT_FILENO);
  errno = EIO;  // Of an earlier call.
  output.WriteSome();
  EXPECT_TRUE(output.status().ok()) << output.status();
}

TEST(ConsoleWatchTest, NoticesAPanicHoweverItArrives) {
  ConsoleWatch watch;
  watch.Add("[ 1.0] Kernel pan");
  watch.Add("ic - not syncing: out of luck\r\n");
  EXPECT_EQ(watch.panic(), "[ 1.0] Kernel panic - not syncing: out of luck");
  watch.ForgetPanic();
  EXPECT_EQ(watch.panic(), "");
}

TEST(ConsoleWatchTest, NoticesTheFirstComplaintOfAKernel) {
  for (const char* const line :
       {"[ 1.0] WARNING: CPU: 3 PID: 1 at kernel/cpu.c:1 f+0x1/0x2",
        "[ 1.0] BUG: scheduling while atomic", "[ 1.0] kernel BUG at mm/x.c:1!",
        "[ 1.0] Internal error: Oops: 96000004 [#1] SMP",
        "[ 1.0] rcu: INFO: rcu_sched self-detected stall on CPU",
        "[ 1.0] CPU3: failed to come online",
        "[ 1.0] GICv3: Booted with LPIs enabled, memory probably corrupted"}) {
    ConsoleWatch watch;
    watch.Add("[ 0.9] Booting Linux\n");
    EXPECT_EQ(watch.splat(), "");
    watch.Add(line);
    watch.Add("\n[ 1.1] BUG: another\n");
    EXPECT_EQ(watch.splat(), line);
  }
}

// faults.md A10.
TEST(ConsoleWatchTest, NoticesWhatKernelsSayOfTheirCpus) {
  for (const char* const line :
       {"WARNING: kernel/sched/core.c:8511 at sched_init+0x20/0x410, CPU#0: "
        "swapper/0/1",
        "psci: failed to boot CPU3 (-22)", "CPU1: cpu didn't die",
        "SMP: failed to stop secondary CPUs 1-3",
        "INFO: rcu_sched self-detected stall on CPU",
        "BUG kmalloc-64 (Not tainted): Poison overwritten",
        "SError Interrupt on CPU2, code 0x00000000be000011 -- SError",
        "psci: CPU1 may not have shut down cleanly (AFFINITY_INFO reports 0)",
        "CPU2: is stuck in kernel", "CPU2: died during early boot",
        "INFO: task init:1 blocked for more than 120 seconds.",
        "WARNING: bad unlock balance detected!"}) {
    ConsoleWatch watch;
    watch.Add(line);
    watch.Add("\n");
    EXPECT_EQ(watch.splat(), line);
  }
}

// faults.md A9, and what is like it.
TEST(ConsoleWatchTest, APartOfAWordIsNoComplaint) {
  ConsoleWatch watch;
  for (const char* const line :
       {"DEBUG: something", "MY_BUG: x", "WARNING: look here",
        "INFO: rcu_sched is up", "INFO: task 3 of 4 done",
        "BUG reports go to the list", "XKernel panic - not syncing"}) {
    watch.Add(line);
    watch.Add("\n");
  }
  EXPECT_EQ(watch.splat(), "");
  EXPECT_EQ(watch.panic(), "");
  watch.Add("a DEBUG: and a BUG: in one line\n");
  EXPECT_NE(watch.splat(), "");
}

// faults.md A8.
TEST(ConsoleWatchTest, ALongLineIsSearchedWhole) {
  for (const size_t before : {300u, 2040u, 100'000u}) {
    ConsoleWatch watch;
    watch.Add(std::string(before, '.'));
    watch.Add("Kernel panic - not syncing: late\n");
    EXPECT_EQ(watch.panic(), "Kernel panic - not syncing: late");
  }
  ConsoleWatch watch;
  watch.Add(absl::StrCat(std::string(1000, '.'), "BUG: early",
                         std::string(5000, '.'), "\n"));
  EXPECT_THAT(watch.splat(), StartsWith("BUG: early..."));
}

TEST(ConsoleWatchTest, OfALongLineWhatSaysItIsShown) {
  constexpr size_t kHalf = ConsoleWatch::kLineLength / 2;
  const auto shown = [](size_t before) {
    ConsoleWatch watch;
    watch.Add(absl::StrCat(std::string(before, ' '), "BUG: x\n"));
    return watch.splat();
  };
  EXPECT_EQ(shown(kHalf - 1), std::string(kHalf - 1, ' ') + "BUG: x");
  EXPECT_EQ(shown(kHalf), "BUG: x");
}

TEST(ConsoleWatchTest, ACarriageReturnEndsALineAndTheNextOverwritesIt) {
  ConsoleWatch watch;
  watch.Add("10 %\r20 %\rKernel panic - not syncing: x\rdone\n");
  EXPECT_EQ(watch.panic(), "Kernel panic - not syncing: x");
  EXPECT_THAT(watch.LastLines(), ElementsAre("done"));
}

TEST(ConsoleWatchTest, OnlyTheWholeLineIsAHalt) {
  const auto halted = [](const char* text) {
    ConsoleWatch watch;
    watch.Add(text);
    return watch.halted();
  };
  EXPECT_TRUE(halted("reboot: System halted\n"));
  EXPECT_TRUE(halted("[    1.234567][    T1] reboot: System halted\r\n"));
  EXPECT_FALSE(halted("it said reboot: System halted\n"));
  EXPECT_FALSE(halted("reboot: System halted?\n"));
  EXPECT_FALSE(halted("reboot: System halted\nlogin:\n")) << "it goes on";
}

TEST(ConsoleWatchTest, KnowsWhetherAnythingWasPrinted) {
  ConsoleWatch watch;
  watch.Add("\r\n\x07");
  EXPECT_FALSE(watch.printed());
  watch.Add("x");
  EXPECT_TRUE(watch.printed());
}

TEST(ConsoleWatchTest, WhatIsAllowedIsNoComplaint) {
  ConsoleWatch watch({"PID: 1 at drivers/x.c"});
  watch.Add("[ 1.0] WARNING: CPU: 3 PID: 1 at drivers/x.c:1\n");
  EXPECT_EQ(watch.splat(), "");
  watch.Add("[ 1.0] WARNING: CPU: 3 PID: 1 at drivers/y.c:1\n");
  EXPECT_NE(watch.splat(), "");
}

TEST(ConsoleWatchTest, ACrashKernelIsNotAccusedOfWhatLedToIt) {
  ConsoleWatch watch;
  watch.Add("BUG: bad\n");
  watch.ForgetPanic();  // A kexec: the complaint stands.
  EXPECT_NE(watch.splat(), "");
  watch.Add("Kernel panic - not syncing: bad\n");
  watch.ForgetPanic();
  EXPECT_EQ(watch.splat(), "");
}

TEST(ConsoleWatchTest, KeepsTheLastLinesAndNothingElse) {
  ConsoleWatch watch;
  for (int i = 0; i < 100; ++i) watch.Add("line\n");
  watch.Add(std::string(1 << 20, 'x'));
  const auto lines = watch.LastLines();
  EXPECT_EQ(lines.size(), ConsoleWatch::kLines + 1);
  EXPECT_EQ(lines.back().size(), ConsoleWatch::kLineLength);
}

TEST(ConsoleWatchTest, EmptyLinesPushNothingOut) {
  ConsoleWatch watch;
  watch.Add("one\n\r\n\n\ntwo\n");
  EXPECT_THAT(watch.LastLines(), ElementsAre("one", "two"));
}

TEST(ConsoleWatchTest, TheFirstPanicStands) {
  ConsoleWatch watch;
  watch.Add("Kernel panic - not syncing: 1\nKernel panic - not syncing: 2\n");
  EXPECT_EQ(watch.panic(), "Kernel panic - not syncing: 1");
}

TEST(ConsoleWatchTest, RemovesWhatATerminalWouldObey) {
  ConsoleWatch watch;
  watch.Add("\x1b[2Jgone\x07\n");
  EXPECT_THAT(watch.LastLines(), ElementsAre("[2Jgone"));
}

std::vector<uint8_t> Bytes(absl::string_view text) {
  return {text.begin(), text.end()};
}

TEST(EscapeKeysTest, OrdinaryKeysGoToTheGuest) {
  EXPECT_EQ(EscapeKeys().Feed(Bytes("ls\r")).to_guest, Bytes("ls\r"));
}

TEST(EscapeKeysTest, CtrlAxQuitsAlsoWhenTypedSlowly) {
  EscapeKeys keys;
  EXPECT_FALSE(keys.Feed(Bytes("\x01")).quit);
  const auto result = keys.Feed(Bytes("x"));
  EXPECT_TRUE(result.quit);
  EXPECT_THAT(result.to_guest, IsEmpty());
}

TEST(EscapeKeysTest, CtrlAhHelpsAndCtrlATwiceIsOne) {
  EXPECT_TRUE(EscapeKeys().Feed(Bytes("\x01h")).help);
  EXPECT_TRUE(EscapeKeys().Feed(Bytes("\x01?")).help);
  EXPECT_EQ(EscapeKeys().Feed(Bytes("\x01\x01")).to_guest, Bytes("\x01"));
  EXPECT_EQ(EscapeKeys()
                .Feed(Bytes("\x01"
                            "a"))
                .to_guest,
            Bytes("\x01"));
}

TEST(EscapeKeysTest, OneKeyAfterCtrlAIsACommandAndNoMore) {
  const auto result = EscapeKeys().Feed(Bytes("\x01hx"));
  EXPECT_FALSE(result.quit);
  EXPECT_EQ(result.to_guest, Bytes("x"));
  EXPECT_THAT(EscapeKeys().Feed(Bytes("\x01z")).to_guest, IsEmpty());
}

}  // namespace
}  // namespace vmm
