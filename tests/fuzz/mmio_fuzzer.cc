// SPDX-License-Identifier: Apache-2.0
// Any access to any device, by any CPU: an address that is none is nobody's,
// interrupt lines change when they say that they do, no byte is lost, and the
// park device says of a CPU what the power table says.
#include <deque>
#include <map>
#include <variant>

#include "psci-emul/park_abi.h"
#include "tests/fuzz/fuzzer.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/devices/mark_device.h"
#include "vmm/devices/mmio_bus.h"
#include "vmm/devices/park_device.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/pl031.h"
#include "vmm/devices/stream_abi.h"
#include "vmm/devices/stream_device.h"

namespace {

using psci::Door;
using psci::Mpidr;
using psci::ParkFault;
using psci::PowerState;
using psci::VcpuId;
using vmm::GuestAddress;
using vmm::GuestRange;

constexpr size_t kMostSteps = 200;
constexpr uint32_t kCpus = 3;
constexpr uint64_t kEntry = 0x40080000;
constexpr uint64_t kUart = 0x9000000;
constexpr uint64_t kClock = 0x9010000;
constexpr uint64_t kMark = 0xc000000;
constexpr uint64_t kStream = 0xc001000;
constexpr uint64_t kPark = 0xc010000;
constexpr uint64_t kBases[] = {kUart, kClock, kMark, kStream, kPark};

// A line that may only be set to what it is not.
class Line {
 public:
  void Set(bool level) {
    FUZZ_CHECK(level != level_);
    level_ = level;
  }
  bool level() const { return level_; }

 private:
  bool level_ = false;
};

class Board {
 public:
  Board() {
    FUZZ_CHECK(
        bus_.Attach(GuestRange::Fixed(kPark, kCpus * 0x1000), park_).ok());
    FUZZ_CHECK(bus_.Attach(GuestRange::Fixed(kUart, 0x1000), uart_).ok());
    FUZZ_CHECK(bus_.Attach(GuestRange::Fixed(kClock, 0x1000), clock_).ok());
    FUZZ_CHECK(bus_.Attach(GuestRange::Fixed(kMark, 0x1000), mark_).ok());
    FUZZ_CHECK(bus_.Attach(GuestRange::Fixed(kStream, 0x1000), stream_).ok());
    FUZZ_CHECK(!bus_.Attach(GuestRange::Fixed(kUart + 0xfff, 1), mark_).ok());
    for (uint32_t i = 0; i < kCpus; ++i) {
      FUZZ_CHECK(power_.PowerOn(VcpuId{i}, {}));
      Start(i);
    }
  }

  void Do(fuzz::Input& input) {
    const auto what = input.Take<uint8_t>();
    const uint32_t cpu = input.TakeBelow(kCpus);
    switch (what % 8) {
      case 0:
        return Receive(input.TakeShortText());
      case 1:
        now_s_ += input.Take<uint16_t>();
        return Ring();
      case 2:
        return Start(cpu);
      default:
        break;
    }
    if (power_.StateOf(VcpuId{cpu}) != PowerState::kOn) return;
    const unsigned size = 1u << (what >> 6);
    uint64_t address = kBases[input.TakeBelow(std::size(kBases))];
    address += input.Take<uint16_t>() & ((what & 0x20) != 0 ? 0xffff : 0x2ff8);
    const auto value = input.Take<uint64_t>();
    if ((what & 0x18) != 0) return Write(cpu, address, size, value);
    Read(cpu, address, size);
  }

 private:
  static bool IsSomebodys(uint64_t address, unsigned size) {
    for (const uint64_t base : kBases) {
      const uint64_t bytes = base == kPark ? kCpus * 0x1000 : 0x1000;
      if (address >= base && address + size <= base + bytes) return true;
    }
    return false;
  }

  void Read(uint32_t cpu, uint64_t address, unsigned size) {
    const auto value = bus_.Read(cpu, GuestAddress(address), size);
    FUZZ_CHECK(value.has_value() == IsSomebodys(address, size));
    if (address == kUart && value) {
      const uint64_t expected = queued_.empty() ? 0 : queued_.front();
      FUZZ_CHECK(*value == expected);
      if (!queued_.empty()) queued_.pop_front();
    }
    if (address - kPark < kCpus * 0x1000 && size == 8)
      CheckSlot(address, value);
    CheckLines();
  }

  void CheckSlot(uint64_t address, std::optional<uint64_t> value) const {
    if ((address & 0xfff) != PARK_REG_STATE) return;
    const VcpuId owner{static_cast<uint32_t>((address - kPark) / 0x1000)};
    const PowerState state = power_.StateOf(owner);
    const bool parked = power_.IsParked(owner, Door::kDevice);
    FUZZ_CHECK((value == PARK_STATE_PARKED) == parked);
    FUZZ_CHECK((value == PARK_STATE_RUNNING) == (state == PowerState::kOn));
  }

  void Write(uint32_t cpu, uint64_t address, unsigned size, uint64_t value) {
    if (address == kPark + 0x1000 * cpu + PARK_REG_MAGIC && value % 3 == 0) {
      value = PARK_MAGIC;
    } else if (address >= kPark && value % 3 == 0) {
      value = kEntry;
    }
    const auto states = States();
    const size_t sent = sent_.size();
    const size_t marks = marks_;
    const auto then = bus_.Write(cpu, GuestAddress(address), size, value);
    FUZZ_CHECK(then.has_value() == IsSomebodys(address, size));
    const bool parks = address == kPark + 0x1000 * cpu + PARK_REG_MAGIC &&
                       size == 8 && value == PARK_MAGIC && cpu != 0;
    if (cpu != 0) FUZZ_CHECK((then == vmm::AfterWrite::kPark) == parks);
    if (address == kUart) {
      FUZZ_CHECK(sent_.size() == sent + 1 &&
                 sent_.back() == static_cast<char>(value));
    } else if (address == kStream + STREAM_REG_WORD && size == 8) {
      FUZZ_CHECK(sent_.size() == sent + 8);
    } else if (address == kStream + STREAM_REG_BYTE && size == 1) {
      FUZZ_CHECK(sent_.size() == sent + 1);
    } else {
      FUZZ_CHECK(sent_.size() == sent);
    }
    const bool is_mark = size == 8 && (address == kMark + MARK_REG_MARK ||
                                       address == kMark + MARK_REG_VERDICT);
    FUZZ_CHECK(marks_ == marks + (is_mark ? 1 : 0));
    CheckStarted(states, address, size, value);
    if (parks) {
      FUZZ_CHECK(!power_.PowerOff(VcpuId{cpu}, Door::kDevice));
    }
    CheckLines();
  }

  std::array<PowerState, kCpus> States() const {
    return {power_.StateOf(VcpuId{0}), power_.StateOf(VcpuId{1}),
            power_.StateOf(VcpuId{2})};
  }
  // Only a good entry, stored to the exit of a parked CPU's slot, starts one.
  void CheckStarted(const std::array<PowerState, kCpus>& before,
                    uint64_t address, unsigned size, uint64_t value) const {
    for (uint32_t i = 0; i < kCpus; ++i) {
      const bool starts = power_.StateOf(VcpuId{i}) != before[i];
      const bool released = before[i] == PowerState::kOff && size == 8 &&
                            value == kEntry &&
                            address == kPark + 0x1000 * i + PARK_REG_EXIT;
      FUZZ_CHECK(starts == released);
    }
  }

  void Start(uint32_t cpu) {
    if (power_.StateOf(VcpuId{cpu}) != PowerState::kOnPending) return;
    FUZZ_CHECK(power_.AwaitBoot(VcpuId{cpu}).has_value());
    slots_.Entered(VcpuId{cpu});
    const uint64_t slot = kPark + uint64_t{cpu} * 0x1000;
    FUZZ_CHECK(bus_.Read(cpu, GuestAddress(slot + PARK_REG_ACK), 8) ==
               bus_.Read(cpu, GuestAddress(slot + PARK_REG_GENERATION), 8));
  }

  void Receive(const std::string& text) {
    const size_t taken = uart_.Receive(
        {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    FUZZ_CHECK(taken <= text.size());
    for (size_t i = 0; i < taken; ++i) {
      queued_.push_back(static_cast<uint8_t>(text[i]));
    }
    FUZZ_CHECK(queued_.size() <= 4096);
    CheckLines();
  }

  void Ring() {
    if (alarm_s_ && now_s_ >= *alarm_s_) {
      alarm_s_.reset();  // It rings once.
      clock_.Ring();
      FUZZ_CHECK((bus_.Read(0, GuestAddress(kClock + 0x14), 4) == 1));
    } else {
      clock_.Ring();
    }
    CheckLines();
  }

  // What the line says is what the masked status says.
  void CheckLines() {
    FUZZ_CHECK((bus_.Read(0, GuestAddress(kUart + 0x40), 4) != 0) ==
               uart_line_.level());
    FUZZ_CHECK((bus_.Read(0, GuestAddress(kClock + 0x18), 4) != 0) ==
               clock_line_.level());
  }

  std::string sent_;
  std::deque<uint8_t> queued_;
  size_t marks_ = 0;
  int64_t now_s_ = 1'700'000'000;
  std::optional<int64_t> alarm_s_;
  Line uart_line_, clock_line_;
  psci::PowerTable power_{{Mpidr{0}, Mpidr{1}, Mpidr{2}}};
  psci::ParkSlots slots_{power_,
                         [](uint64_t entry) -> std::optional<ParkFault> {
                           if (entry == kEntry) return std::nullopt;
                           return ParkFault::kExitNotRam;
                         }};
  vmm::Pl011 uart_{
      {.transmit =
           [this](uint8_t byte) { sent_.push_back(static_cast<char>(byte)); },
       .can_transmit = [] { return true; },
       .set_interrupt = [this](bool level) { uart_line_.Set(level); }}};
  vmm::Pl031 clock_{
      {.now_s = [this] { return now_s_; },
       .set_alarm = [this](std::optional<int64_t> at) { alarm_s_ = at; },
       .set_interrupt = [this](bool level) { clock_line_.Set(level); }}};
  vmm::MarkDevice mark_{{.clock_ns = [] { return 7; },
                         .on_mark =
                             [this](const vmm::MarkDevice::Report& report) {
                               FUZZ_CHECK(report.value >> 48 == 0);
                               ++marks_;
                             },
                         .on_verdict =
                             [this](const vmm::MarkDevice::Report& report) {
                               FUZZ_CHECK(report.value >> 48 == 0);
                               ++marks_;
                             }}};
  vmm::StreamDevice stream_{{.transmit =
                                 [this](absl::Span<const uint8_t> bytes) {
                                   sent_.append(bytes.begin(), bytes.end());
                                 },
                             .room = [] { return size_t{8}; },
                             .end = [] {}}};
  vmm::ParkDevice park_{
      slots_,
      {.clock_ns = [] { return 7; },
       .on_store =
           [](const vmm::ParkDevice::Report& report) {
             FUZZ_CHECK(report.slot % PARK_DEVICE_STRIDE == 0 &&
                        report.slot < kCpus * PARK_DEVICE_STRIDE);
           }}};
  vmm::MmioBus bus_;
};

}  // namespace

FUZZ_TARGET(mmio) {
  Board board;
  for (size_t i = 0; i < kMostSteps && !input.empty(); ++i) board.Do(input);
}
