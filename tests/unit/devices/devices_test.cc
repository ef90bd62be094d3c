// SPDX-License-Identifier: Apache-2.0
// One test per register that matters: PL011, PL031, mark device.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "vmm/devices/mark_abi.h"
#include "vmm/devices/mark_device.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/pl031.h"

namespace vmm {
namespace {

MmioAccess At(uint64_t offset, unsigned size = 4) { return {0, offset, size}; }

uint32_t PrimecellIdOf(MmioDevice& device, uint64_t first) {
  uint32_t id = 0;
  for (uint64_t i = 0; i < 4; ++i) {
    id |= static_cast<uint32_t>(device.Read(At(first + 4 * i))) << (8 * i);
  }
  return id;
}

class Pl011Test : public testing::Test {
 protected:
  static constexpr uint64_t kData = 0x00, kFlag = 0x18, kMask = 0x38,
                            kRaw = 0x3c, kMasked = 0x40, kClear = 0x44;
  static constexpr uint64_t kReceive = 1 << 4, kTransmit = 1 << 5,
                            kTimeout = 1 << 6;
  static constexpr uint64_t kReceiveEmpty = 1 << 4, kTransmitFull = 1 << 5,
                            kTransmitEmpty = 1 << 7;

  static constexpr uint64_t kControl = 0x30, kEnabled = 0x301;

  void Enable() { uart_.Write(At(kControl), kEnabled); }
  bool LooksEmpty() { return (uart_.Read(At(kFlag)) & kReceiveEmpty) != 0; }
  size_t Receive(const std::string& typed) {
    return uart_.Receive(std::vector<uint8_t>(typed.begin(), typed.end()));
  }
  std::string ReadAll() {
    std::string bytes;
    while (!LooksEmpty()) {
      bytes.push_back(static_cast<char>(uart_.Read(At(kData))));
    }
    return bytes;
  }

  std::string sent_;
  bool room_ = true;
  std::vector<bool> interrupt_;
  Pl011 uart_{Pl011::Host{
      .transmit =
          [this](uint8_t byte) { sent_.push_back(static_cast<char>(byte)); },
      .can_transmit = [this] { return room_; },
      .set_interrupt = [this](bool level) { interrupt_.push_back(level); },
  }};
};

TEST_F(Pl011Test, WrittenBytesAreSent) {
  for (const char c : std::string("hi")) uart_.Write(At(kData), uint8_t(c));
  EXPECT_EQ(sent_, "hi");
}

TEST_F(Pl011Test, OnlyTheLowByteIsACharacter) {
  uart_.Write(At(kData), 0xffffff41);
  EXPECT_EQ(sent_, "A");
}

TEST_F(Pl011Test, ASlowHostMakesTheFifoFull) {
  EXPECT_EQ(uart_.Read(At(kFlag)), kReceiveEmpty | kTransmitEmpty);
  room_ = false;
  EXPECT_EQ(uart_.Read(At(kFlag)), kReceiveEmpty | kTransmitFull);
}

TEST_F(Pl011Test, TransmitInterruptFollowsAWriteAndIsClearedByTheGuest) {
  uart_.Write(At(kMask), kTransmit);
  uart_.Write(At(kData), 'x');
  EXPECT_EQ(uart_.Read(At(kMasked)), kTransmit);
  uart_.Write(At(kClear), kTransmit);
  EXPECT_EQ(uart_.Read(At(kRaw)), 0u);
  EXPECT_EQ(interrupt_, (std::vector<bool>{true, false}));
}

TEST_F(Pl011Test, TypedBytesInterruptUntilTheyAreRead) {
  Enable();
  uart_.Write(At(kMask), kReceive | kTimeout);
  const uint8_t typed[] = {'a', 'b'};
  EXPECT_EQ(uart_.Receive(typed), 2u);
  EXPECT_EQ(uart_.Read(At(kFlag)) & kReceiveEmpty, 0u);
  EXPECT_EQ(uart_.Read(At(kData)), 'a');
  uart_.Write(At(kClear), kReceive | kTimeout);
  EXPECT_EQ(uart_.Read(At(kRaw)) & kReceive, kReceive);  // One is left.
  EXPECT_EQ(uart_.Read(At(kData)), 'b');
  EXPECT_EQ(uart_.Read(At(kRaw)), 0u);
  EXPECT_EQ(interrupt_, (std::vector<bool>{true, false}));
}

TEST_F(Pl011Test, AFullReceiveQueueTakesNoMore) {
  Enable();
  const std::vector<uint8_t> flood(5000, 'x');
  const size_t taken = uart_.Receive(flood);
  EXPECT_EQ(taken, 4096u);
  EXPECT_EQ(uart_.Receive(flood), 0u);
  EXPECT_EQ(uart_.Read(At(kData)), 'x');
  EXPECT_EQ(uart_.Receive(flood), 1u);
}

TEST_F(Pl011Test, ReadingWithNothingReceivedGivesZero) {
  EXPECT_EQ(uart_.Read(At(kData)), 0u);
}

TEST_F(Pl011Test, IdentifiesItself) {
  EXPECT_EQ(PrimecellIdOf(uart_, 0xfe0), 0x00241011u);
  EXPECT_EQ(PrimecellIdOf(uart_, 0xff0), 0xb105f00du);
}

TEST_F(Pl011Test, RegistersKeepAsManyBitsAsTheyHave) {
  struct Case {
    uint64_t offset;
    uint64_t kept;
  };
  for (const Case& c :
       {Case{0x24, 0xffff}, Case{0x28, 0x3f}, Case{0x2c, 0xff},
        Case{0x30, 0xffff}, Case{0x34, 0x3f}, Case{kMask, 0x7ff}}) {
    uart_.Write(At(c.offset), 0xffffffff);
    EXPECT_EQ(uart_.Read(At(c.offset)), c.kept) << std::hex << c.offset;
    uart_.Write(At(c.offset), 0);
    EXPECT_EQ(uart_.Read(At(c.offset)), 0u) << std::hex << c.offset;
  }
}

TEST_F(Pl011Test, RegistersThatKeepNothingReadAsZero) {
  uart_.Write(At(0x04), 0xff);  // Receive status.
  EXPECT_EQ(uart_.Read(At(0x04)), 0u);
  uart_.Write(At(kFlag), 0xff);
  EXPECT_EQ(uart_.Read(At(kFlag)), kReceiveEmpty | kTransmitEmpty);
}

TEST_F(Pl011Test, AnInterruptThatIsMaskedIsPendingOnly) {
  uart_.Write(At(kData), 'x');
  EXPECT_EQ(uart_.Read(At(kRaw)), kTransmit);
  EXPECT_EQ(uart_.Read(At(kMasked)), 0u);
  EXPECT_TRUE(interrupt_.empty());
  uart_.Write(At(kMask), kTransmit);
  EXPECT_EQ(interrupt_, std::vector<bool>{true});
  uart_.Write(At(kMask), 0);
  EXPECT_EQ(interrupt_, (std::vector<bool>{true, false}));
}

TEST_F(Pl011Test, NothingTypedInterruptsNobody) {
  uart_.Write(At(kMask), kReceive | kTimeout);
  EXPECT_EQ(uart_.Receive({}), 0u);
  EXPECT_EQ(uart_.Read(At(kRaw)), 0u);
  EXPECT_TRUE(interrupt_.empty());
}

TEST_F(Pl011Test, BytesAreReadInTheOrderInWhichTheyWereTyped) {
  Enable();
  const uint8_t typed[] = {'a', 'b', 'c'};
  EXPECT_EQ(uart_.Receive(typed), 3u);
  for (const char c : std::string("abc")) {
    EXPECT_EQ(uart_.Read(At(kRaw)), kReceive | kTimeout);
    EXPECT_EQ(uart_.Read(At(kData)), static_cast<uint64_t>(c));
  }
  EXPECT_EQ(uart_.Read(At(kFlag)) & kReceiveEmpty, kReceiveEmpty);
}

TEST_F(Pl011Test, AFullReceiveQueueIsFlagged) {
  Enable();
  constexpr uint64_t kReceiveFull = 1 << 6;
  const std::vector<uint8_t> flood(4095, 'x');
  uart_.Receive(flood);
  EXPECT_EQ(uart_.Read(At(kFlag)) & kReceiveFull, 0u);
  uart_.Receive(flood);
  EXPECT_EQ(uart_.Read(At(kFlag)) & kReceiveFull, kReceiveFull);
}

// The identification is eight words at the end; nothing is around them.
TEST_F(Pl011Test, BesideItsIdentificationThereIsNothing) {
  for (const uint64_t offset : {0xfdcu, 0xfe1u, 0xff2u, 0x1000u}) {
    EXPECT_EQ(uart_.Read(At(offset)), 0u) << std::hex << offset;
  }
}

TEST_F(Pl011Test, B3InputWaitsUntilTheGuestEnablesTheReceiver) {
  // At reset, RXE alone is set. Linux's console sets and takes back UARTEN.
  for (const uint64_t control : {0x300u, 0x001u, 0x200u, 0x101u, 0u}) {
    if (control != 0x300) uart_.Write(At(kControl), control);
    EXPECT_EQ(Receive("typed"), 0u) << std::hex << control;
    EXPECT_TRUE(LooksEmpty());
    EXPECT_EQ(uart_.Read(At(kRaw)), 0u);
  }
  Enable();
  EXPECT_EQ(Receive("typed"), 5u);
  EXPECT_EQ(ReadAll(), "typed");
}

// pl011_startup() of Linux, between each two steps of which bytes may come.
TEST_F(Pl011Test, B3WhatCameEarlyOutlivesTheStartOfLinux) {
  for (const bool is_console : {false, true}) {
    std::string given;
    const auto come = [&] {
      const std::string bytes(1, static_cast<char>('a' + given.size()));
      if (Receive(bytes) == 1) given += bytes;
    };
    std::string got;
    const auto take_interrupt = [&] {
      while ((uart_.Read(At(kMasked)) & (kReceive | kTimeout)) != 0) {
        got += ReadAll();
      }
    };
    const auto print = [&] {
      const uint64_t before = uart_.Read(At(kControl));
      uart_.Write(At(kControl), before | 0x101);
      come();
      uart_.Write(At(kData), 'x');
      uart_.Write(At(kControl), before);
      come();
    };
    uart_.Write(At(kMask), 0);
    uart_.Write(At(kClear), 0xffff);
    come();
    uart_.Write(At(kClear), 0x7d0);
    uart_.Write(At(kMask), is_console ? kReceive | kTimeout : 0);
    print();
    print();
    uart_.Write(At(kClear), 0x7d0);
    uart_.Write(At(kControl), kEnabled);
    come();
    take_interrupt();
    come();
    uart_.Read(At(kFlag));
    uart_.Write(At(kClear), kReceive | kTimeout);
    come();
    std::string lost;
    for (int i = 0; i < 32 && !LooksEmpty(); ++i) {
      lost.push_back(static_cast<char>(uart_.Read(At(kData))));
    }
    EXPECT_EQ(lost, "");
    come();
    uart_.Write(At(kMask), kReceive | kTimeout);
    come();
    // set_termios().
    uart_.Write(At(kControl), 0);
    uart_.Write(At(kControl), kEnabled);
    come();
    take_interrupt();
    EXPECT_GT(given.size(), 6u);
    EXPECT_EQ(got, given);
  }
}

TEST_F(Pl011Test, B3AHandlerThatClearsFirstFindsTheBytesOnItsSecondCall) {
  Enable();
  uart_.Write(At(kMask), kReceive);
  EXPECT_EQ(Receive("ab"), 2u);
  std::string got;
  for (int call = 0; call < 2; ++call) {
    EXPECT_EQ(uart_.Read(At(kMasked)), kReceive);
    uart_.Write(At(kClear), 0x7ff);
    got += ReadAll();
  }
  EXPECT_EQ(got, "ab");
  // From then on at once.
  EXPECT_EQ(Receive("c"), 1u);
  uart_.Write(At(kClear), 0x7ff);
  EXPECT_EQ(ReadAll(), "c");
}

TEST_F(Pl011Test, B3AGuestThatClearsNothingHasItsBytesAtOnce) {
  Enable();
  EXPECT_EQ(Receive("a"), 1u);
  uart_.Write(At(kClear), kTransmit);
  EXPECT_EQ(ReadAll(), "a");
}

class Pl031Test : public testing::Test {
 protected:
  static constexpr uint64_t kData = 0x00, kMatch = 0x04, kLoad = 0x08,
                            kControl = 0x0c, kMask = 0x10, kRaw = 0x14,
                            kMasked = 0x18, kClear = 0x1c;
  static constexpr int64_t kNow = 1'000'000;

  // The host's clock goes on, and tells the device when that is due.
  void Pass(int64_t seconds) {
    now_s_ += seconds;
    if (alarm_s_ && now_s_ >= *alarm_s_) {
      alarm_s_.reset();
      rtc_.Ring();
    }
  }

  int64_t now_s_ = kNow;
  std::optional<int64_t> alarm_s_;
  std::vector<bool> interrupt_;
  Pl031 rtc_{Pl031::Host{
      .now_s = [this] { return now_s_; },
      .set_alarm = [this](std::optional<int64_t> at_s) { alarm_s_ = at_s; },
      .set_interrupt = [this](bool level) { interrupt_.push_back(level); },
  }};
};

TEST_F(Pl031Test, ReadsTheHostsSeconds) {
  EXPECT_EQ(rtc_.Read(At(kData)), 1'000'000u);
  Pass(5);
  EXPECT_EQ(rtc_.Read(At(kData)), 1'000'005u);
}

TEST_F(Pl031Test, KeepsTheTimeTheGuestSets) {
  rtc_.Write(At(kLoad), 77);
  Pass(3);
  EXPECT_EQ(rtc_.Read(At(kData)), 80u);
}

TEST_F(Pl031Test, IsAlwaysOnAndKeepsWhatTheGuestWrites) {
  EXPECT_EQ(rtc_.Read(At(kControl)), 1u);
  rtc_.Write(At(kControl), 0);
  EXPECT_EQ(rtc_.Read(At(kControl)), 1u);
  EXPECT_EQ(rtc_.Read(At(kMatch)), 0u);
  rtc_.Write(At(kMatch), 0x12345678);
  EXPECT_EQ(rtc_.Read(At(kMatch)), 0x12345678u);
  rtc_.Write(At(kMask), 0xffffffff);
  EXPECT_EQ(rtc_.Read(At(kMask)), 1u);
  rtc_.Write(At(kLoad), 77);
  EXPECT_EQ(rtc_.Read(At(kLoad)), 77u);
}

TEST_F(Pl031Test, IdentifiesItself) {
  EXPECT_EQ(PrimecellIdOf(rtc_, 0xfe0), 0x00041031u);
}

TEST_F(Pl031Test, A15TheAlarmInterruptsAtItsSecondUntilItIsCleared) {
  rtc_.Write(At(kMask), 1);
  rtc_.Write(At(kMatch), kNow + 10);
  Pass(9);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 0u);
  EXPECT_TRUE(interrupt_.empty());
  Pass(1);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
  EXPECT_EQ(rtc_.Read(At(kMasked)), 1u);
  EXPECT_EQ(interrupt_, std::vector<bool>{true});
  rtc_.Write(At(kClear), 0);  // Clears nothing.
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
  rtc_.Write(At(kClear), 1);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 0u);
  EXPECT_EQ(interrupt_, (std::vector<bool>{true, false}));
  Pass(1000);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 0u);  // Once.
}

TEST_F(Pl031Test, A15AnAlarmThatIsMaskedIsPendingOnly) {
  rtc_.Write(At(kMatch), kNow + 1);
  Pass(1);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
  EXPECT_EQ(rtc_.Read(At(kMasked)), 0u);
  EXPECT_TRUE(interrupt_.empty());
  rtc_.Write(At(kMask), 1);
  EXPECT_EQ(interrupt_, std::vector<bool>{true});
  rtc_.Write(At(kMask), 0);
  EXPECT_EQ(interrupt_, (std::vector<bool>{true, false}));
}

TEST_F(Pl031Test, A15AnAlarmForThisSecondIsDueAtOnce) {
  rtc_.Write(At(kMatch), kNow);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
  EXPECT_EQ(alarm_s_, std::nullopt);
}

TEST_F(Pl031Test, A15SettingTheTimeMovesTheAlarm) {
  rtc_.Write(At(kMatch), 100);
  EXPECT_EQ(alarm_s_, kNow + (int64_t{1} << 32) - kNow + 100);
  rtc_.Write(At(kLoad), 90);
  EXPECT_EQ(alarm_s_, kNow + 10);
  Pass(5);
  rtc_.Write(At(kLoad), 100);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
}

TEST_F(Pl031Test, A15AnAlarmThatWasPutOffIsNotRungEarly) {
  rtc_.Write(At(kMatch), kNow + 10);
  now_s_ += 10;
  rtc_.Write(At(kMatch), kNow + 20);
  alarm_s_.reset();  // What told of the first one.
  rtc_.Ring();
  EXPECT_EQ(rtc_.Read(At(kRaw)), 0u);
  EXPECT_EQ(alarm_s_, kNow + 20);
  Pass(10);
  EXPECT_EQ(rtc_.Read(At(kRaw)), 1u);
}

TEST_F(Pl031Test, ARingThatNobodyAskedForIsNone) {
  rtc_.Ring();
  EXPECT_EQ(rtc_.Read(At(kRaw)), 0u);
  EXPECT_EQ(alarm_s_, std::nullopt);
}

class MarkDeviceTest : public testing::Test {
 protected:
  std::vector<MarkDevice::Report> marks_;
  std::vector<MarkDevice::Report> verdicts_;
  MarkDevice device_{MarkDevice::Listener{
      .clock_ns = [] { return int64_t{123456789012}; },
      .on_mark = [this](const auto& report) { marks_.push_back(report); },
      .on_verdict = [this](const auto& report) { verdicts_.push_back(report); },
  }};
};

TEST_F(MarkDeviceTest, IdentifiesItself) {
  EXPECT_EQ(device_.Read(At(MARK_REG_MAGIC)), 0x4b52414du);
  EXPECT_EQ(device_.Read(At(MARK_REG_VERSION)), 1u);
}

TEST_F(MarkDeviceTest, ShowsTheVmmsClock) {
  EXPECT_EQ(device_.Read(At(MARK_REG_CLOCK, 8)), 123456789012u);
}

TEST_F(MarkDeviceTest, OneStoreCarriesCodeValueAndCpu) {
  device_.Write({5, MARK_REG_MARK, 8}, MARK_CODE_UP | 4 << MARK_VALUE_SHIFT);
  ASSERT_EQ(marks_.size(), 1u);
  EXPECT_EQ(marks_[0].vcpu, 5u);
  EXPECT_EQ(marks_[0].code, MARK_CODE_UP);
  EXPECT_EQ(marks_[0].value, 4u);
}

TEST_F(MarkDeviceTest, AVerdictIsNoMark) {
  device_.Write(At(MARK_REG_VERDICT, 8), 1 | 99 << MARK_VALUE_SHIFT);
  EXPECT_TRUE(marks_.empty());
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].value, 99u);
}

TEST_F(MarkDeviceTest, NarrowOrMisplacedStoresAreIgnored) {
  device_.Write(At(MARK_REG_MARK, 4), MARK_CODE_UP);
  device_.Write(At(MARK_REG_MARK + 4, 8), MARK_CODE_UP);
  device_.Write(At(MARK_REG_MAGIC, 8), MARK_CODE_UP);
  EXPECT_TRUE(marks_.empty());
  EXPECT_TRUE(verdicts_.empty());
}

TEST_F(MarkDeviceTest, OtherReadsGiveZero) {
  EXPECT_EQ(device_.Read(At(MARK_REG_MAGIC, 8)), 0u);
  EXPECT_EQ(device_.Read(At(MARK_REG_CLOCK, 4)), 0u);
  EXPECT_EQ(device_.Read(At(MARK_REG_MARK, 4)), 0u);
  EXPECT_EQ(device_.Read(At(MARK_REG_MAGIC, 2)), 0u);
}

TEST_F(MarkDeviceTest, CodeAndValueShareTheStore) {
  device_.Write(At(MARK_REG_VERDICT, 8),
                MARK_CODE_MASK | uint64_t{0x123456789} << MARK_VALUE_SHIFT);
  ASSERT_EQ(verdicts_.size(), 1u);
  EXPECT_EQ(verdicts_[0].code, MARK_CODE_MASK);
  EXPECT_EQ(verdicts_[0].value, 0x123456789u);
}

}  // namespace
}  // namespace vmm
