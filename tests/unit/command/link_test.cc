// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/link.h"

#include <gtest/gtest.h>

#include <string>

#include "tools/guest/init/command_file.h"
#include "vmm/command/command_abi.h"

namespace vmm {
namespace {

using guest_init::MakeFrame;

// What the guest would send.
const std::string kHello = MakeFrame(COMMAND_HELLO, "");

std::string Credit(uint16_t bytes) { return MakeFrame(COMMAND_CREDIT, bytes); }

std::string Exit(char status) {
  return MakeFrame(COMMAND_EXIT, std::string(1, status));
}

TEST(CommandLink, TakesFramesInPiecesOfAnySize) {
  const std::string sent = kHello + MakeFrame(COMMAND_STDOUT, "out") +
                           MakeFrame(COMMAND_STDERR, "err") +
                           MakeFrame(COMMAND_STDOUT, "put\n") + Exit(7);
  for (size_t piece = 1; piece <= sent.size(); ++piece) {
    CommandLink link;
    std::string out, err;
    for (size_t at = 0; at < sent.size(); at += piece) {
      EXPECT_FALSE(link.status());
      const auto streams = link.Take(sent.substr(at, piece));
      out += streams.standard_output;
      err += streams.standard_error;
    }
    EXPECT_EQ(out, "output\n");
    EXPECT_EQ(err, "err");
    EXPECT_EQ(link.started(), 1u);
    EXPECT_EQ(link.status(), 7);
  }
}

TEST(CommandLink, StatusesAreBytesWithoutASign) {
  CommandLink link;
  link.Take(kHello + Exit('\xff'));
  EXPECT_EQ(link.status(), 255);
}

TEST(CommandLink, SaysWhyACommandCouldNotBeRun) {
  CommandLink link;
  link.Take(kHello + MakeFrame(COMMAND_BROKEN, "sh: No such file") + Exit(127));
  EXPECT_EQ(link.broken(), "sh: No such file");
  EXPECT_EQ(link.status(), 127);
  // However much it says.
  link.Take(MakeFrame(COMMAND_BROKEN, std::string(4096, 'x')));
  EXPECT_EQ(link.broken().size(), 200u);
}

TEST(CommandLink, SendsNoMoreThanTheGuestHasRoomFor) {
  CommandLink link;
  EXPECT_EQ(link.InputRoom(), 0u);
  link.Take(kHello + Credit(10));
  EXPECT_EQ(link.InputRoom(), 10u);
  link.SendInput("typed");
  EXPECT_EQ(link.InputRoom(), 5u);
  EXPECT_EQ(link.outgoing(), MakeFrame(COMMAND_INPUT, "typed"));
  link.Take(Credit(5));
  EXPECT_EQ(link.InputRoom(), 10u);
}

TEST(CommandLink, SplitsLongInput) {
  CommandLink link;
  const std::string half(COMMAND_FRAME_PAYLOAD, 'x');
  link.Take(kHello + Credit(2 * COMMAND_FRAME_PAYLOAD));
  link.SendInput(half + half);
  EXPECT_EQ(link.outgoing(),
            MakeFrame(COMMAND_INPUT, half) + MakeFrame(COMMAND_INPUT, half));
}

TEST(CommandLink, TheEndOfInputIsSaidOnceToEachCommand) {
  CommandLink link;
  link.EndInput();
  EXPECT_EQ(link.outgoing(), "");
  link.Take(kHello);
  EXPECT_EQ(link.outgoing(), MakeFrame(COMMAND_INPUT_END, ""));
  link.EndInput();
  EXPECT_EQ(link.outgoing(), MakeFrame(COMMAND_INPUT_END, ""));
  link.Take(kHello);  // In the next kernel.
  EXPECT_EQ(link.outgoing(), MakeFrame(COMMAND_INPUT_END, ""));
}

TEST(CommandLink, TheSizeIsSaidAtTheStartAndWhenItChanges) {
  CommandLink link;
  link.SetSize(24, 80);
  EXPECT_EQ(link.outgoing(), "");
  link.Take(kHello);
  EXPECT_EQ(link.outgoing(),
            MakeFrame(COMMAND_SIZE, std::string("\x18\0\x50\0", 4)));
  link.outgoing().clear();
  link.SetSize(300, 400);
  EXPECT_EQ(link.outgoing(),
            MakeFrame(COMMAND_SIZE, std::string("\x2c\1\x90\1", 4)));
}

// What was on its way to a command of the last kernel is not for the next.
TEST(CommandLink, EachKernelStartsAnew) {
  CommandLink link;
  link.Take(kHello + Credit(100));
  link.SendInput("old");
  link.Take(Exit(0) + kHello);
  EXPECT_EQ(link.started(), 2u);
  EXPECT_FALSE(link.status());
  EXPECT_EQ(link.InputRoom(), 0u);
  EXPECT_EQ(link.outgoing(), "");
}

// What follows is no part of it.
TEST(CommandLink, ACreditOfOneByteIsNone) {
  CommandLink link;
  link.Take(kHello + MakeFrame(COMMAND_CREDIT, "\1") +
            MakeFrame(COMMAND_STDOUT, "text"));
  EXPECT_EQ(link.InputRoom(), 0u);
}

TEST(CommandLink, KeepsNoMoreThanAFrameOfNonsense) {
  CommandLink link;
  std::string taken;
  for (int i = 0; i < 100; ++i) {
    taken += link.Take(std::string(1000, '\xff')).standard_output;
    link.Take(MakeFrame(COMMAND_CREDIT, ""));
    link.Take(MakeFrame(COMMAND_EXIT, ""));
    link.Take(Credit(0xffff));
  }
  EXPECT_EQ(taken, "");
  EXPECT_LE(link.InputRoom(), size_t{64} << 10);
}

}  // namespace
}  // namespace vmm
