// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_FAKE_MACHINE_H_
#define PARKVMM_TESTS_SUPPORT_FAKE_MACHINE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "vmm/base/alarm.h"
#include "vmm/machine/machine_control.h"

namespace vmm {

// A session's clock. It moves by a tick each time that a FakeMachine is looked
// at, and once after it has started, so nobody ever waits; and by `step_ns`
// each time that it is asked.
struct FakeClock {
  static constexpr int64_t kTickNs = 100'000'000;

  int64_t operator()() {
    ns += step_ns;
    const int64_t now = ns;
    ns += std::exchange(owed_ns, 0);
    return now;
  }
  int64_t ns = int64_t{1000} * 1'000'000'000;  // Not a run's own time.
  int64_t step_ns = 0;
  int64_t owed_ns = 0;  // By which it moves once it has been asked.
};

// A machine whose guest does one step of a script each time that it is looked
// at, on the thread that looks. Its last step is repeated. All of it is one
// thread's, so a test is the same each time.
class FakeMachine : public MachineControl {
 public:
  using Step = std::function<void(FakeMachine& machine)>;
  using Script = std::vector<Step>;

  // `clock` is the session's; the machine's own begins now.
  FakeMachine(FakeClock& clock, Script script, uint32_t vcpus = 2)
      : clock_(clock),
        begin_ns_(clock.ns),
        script_(std::move(script)),
        mpidrs_(Mpidrs(vcpus)),
        events_(mpidrs_) {}

  void Start() override {
    started_ = true;
    clock_.owed_ns = FakeClock::kTickNs;
  }
  void RequestStop(StopReason reason) override { latch_.Set(reason); }
  int stop_fd() const override { return mute ? never_.fd() : latch_.fd(); }
  std::optional<StopReason> stop_reason() const override {
    return latch_.reason();
  }
  void Join() override {
    if (at_join) at_join(*this);
  }

  ConsoleBuffer& console() override { return console_; }
  size_t SendInput(absl::Span<const uint8_t> bytes) override {
    const size_t taken = std::min(bytes.size(), input_room);
    input.append(bytes.begin(),
                 bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    return taken;
  }
  ConsoleBuffer* link() override { return has_link ? &link_ : nullptr; }
  size_t SendToLink(absl::Span<const uint8_t> bytes) override {
    link_input.append(bytes.begin(), bytes.end());
    return bytes.size();
  }
  int alarm_fd() const override { return alarm.fd(); }
  void RingAlarm() override {
    alarm.Take();
    ++rings;
  }
  EventLog& events() override { return events_; }
  bool Inspect() override {
    if (!started_ || stop_reason()) return false;
    script_[std::min(next_++, script_.size() - 1)](*this);
    clock_.ns += FakeClock::kTickNs;
    return !quiet;
  }
  int64_t Now() const override {
    ++asked;
    return clock_.ns - begin_ns_;
  }

  const std::vector<uint64_t>& mpidrs() const override { return mpidrs_; }
  GicVersion gic() const override { return GicVersion::kV2; }
  absl::StatusOr<GuestDigests> Digests() const override { return digests; }
  const std::vector<uint8_t>& dtb() const override { return dtb_; }
  const std::optional<ParkPlacement>& park() const override { return park_; }
  std::vector<Diagnosis> Diagnoses() const override { return diagnoses; }
  std::vector<VcpuPostMortem> PostMortem() const override {
    return post_mortem;
  }
  GuestMistakes Mistakes() const override { return mistakes; }
  std::optional<SpinTotals> Spinning() const override { return spinning; }

  // --- For scripts

  void Print(absl::string_view text) {
    for (const char c : text) console_.Put(static_cast<uint8_t>(c));
  }
  void Send(absl::string_view frames) {
    for (const char c : frames) link_.Put(static_cast<uint8_t>(c));
  }
  // The event has this machine's present time, unless it has one.
  void Push(Event event) {
    if (event.ns == 0) event.ns = Now();
    events_.ring(event.vcpu).Push(event);
  }

  static std::vector<uint64_t> Mpidrs(uint32_t vcpus) {
    std::vector<uint64_t> mpidrs;
    for (uint64_t i = 0; i < vcpus; ++i) mpidrs.push_back(i);
    return mpidrs;
  }

  mutable int asked = 0;  // How often for Now().
  std::string input;      // What the guest was sent.
  size_t input_room = SIZE_MAX;
  bool has_link = false;
  std::string link_input;  // What its command was sent.
  bool quiet = false;      // Nothing changes but by events.
  bool mute = false;       // A stop wakes nobody up.
  Step at_join;            // The last that the guest does.
  absl::StatusOr<GuestDigests> digests;
  std::vector<Diagnosis> diagnoses;
  std::vector<VcpuPostMortem> post_mortem;
  GuestMistakes mistakes;
  std::optional<SpinTotals> spinning;
  const Alarm alarm = *Alarm::Create();
  int rings = 0;  // How often the alarm was told to the clock.

 private:
  FakeClock& clock_;
  const int64_t begin_ns_;
  const Script script_;
  const std::vector<uint64_t> mpidrs_;
  const std::vector<uint8_t> dtb_ = {0xd0, 0x0d};
  const std::optional<ParkPlacement> park_ =
      ParkPlacement{.window = GuestRange::Fixed(0x7effe000, 0x8000),
                    .pages = GuestRange::Fixed(0x7f000000, 0x2000)};
  StopLatch latch_;
  const StopLatch never_;
  ConsoleBuffer console_;
  ConsoleBuffer link_{ConsoleBuffer::Wake::kByByte};
  EventLog events_;
  bool started_ = false;
  size_t next_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_FAKE_MACHINE_H_
