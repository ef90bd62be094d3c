// SPDX-License-Identifier: Apache-2.0
// A guest parks CPUs, releases them, turns them on and writes to park pages, in
// any order, while another thread of it writes to the pages, too, if the input
// says so. Whatever it does: a CPU that is parked stays parked until somebody
// has started it, starts where it was told to, and its page cannot be written.
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "psci-emul/park_abi.h"
#include "tests/fuzz/fuzzer.h"
#include "tests/support/fake_vcpu.h"
#include "vmm/park/host_parking.h"

namespace {

using psci::Door;
using psci::Mpidr;
using psci::ParkFault;
using psci::PowerState;
using psci::VcpuId;
using vmm::GuestAddress;
using vmm::GuestMemory;
using vmm::GuestRange;

constexpr uint32_t kCpus = 4;
constexpr size_t kMostSteps = 64;
constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x400000;
constexpr uint64_t kPages = 0x40200000;
constexpr uint64_t kEntry = 0x40080000;
constexpr uint64_t kCpuOnContext = 0xc0ffee;
constexpr uint64_t kBlank = 0;
// With x0 and x3 = an address, x1 = the magic, x2 = a value.
constexpr uint32_t kInstructions[] = {
    0xf9000062,  // str x2, [x3]
    0xb9000062,  // str w2, [x3]
    0xf9000401,  // str x1, [x0, #8]
    0xa900047f,  // stp xzr, x1, [x3]
    0xa9000462,  // stp x2, x1, [x3]
    0x39000062,  // strb w2, [x3]
    0xd50b7423,  // dc zva, x3
    0xad000460,  // stp q0, q1, [x3]: nobody decodes it
};
constexpr uint32_t kStoreMagic = 0xf9000401;  // str x1, [x0, #8]

const vmm::ParkPlacement kPlacement = {
    *GuestRange::Make(GuestAddress(kPages - vmm::kParkGuard),
                      3 * vmm::kParkGuard),
    *GuestRange::Make(GuestAddress(kPages), vmm::kParkGuard)};

constexpr uint64_t PageOfCpu(uint32_t cpu) {
  return kPages + vmm::kParkUnit * (uint64_t{cpu} - 1);
}

// A vCPU that executes one instruction of the guest whenever it is run.
class Guest : public vmm::FakeVcpu {
 public:
  explicit Guest(uint64_t mpidr) : FakeVcpu(mpidr) {}
  absl::StatusOr<vmm::VcpuExit> Run() override {
    if (on_run) on_run();
    return vmm::DebugStop{vmm::DebugStop::Kind::kStepped};
  }
};

// Guest RAM, of one input after the other.
GuestMemory& Memory() {
  static GuestMemory& memory = *new GuestMemory(
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize)));
  return memory;
}

// What the guest does to memory itself: nothing if its page is closed, as KVM
// would not let it. Returns whether it did it.
bool GuestWrites(uint64_t address, const void* from, size_t size) {
  const auto range = GuestRange::Make(GuestAddress(address), size);
  const auto host =
      range ? Memory().HostRange(*range)
            : absl::StatusOr<void*>(absl::OutOfRangeError("no memory"));
  if (!host.ok()) return false;
  // The system call looks whether the mapping may be written, and is no access
  // that a sanitizer sees.
  const iovec local = {const_cast<void*>(from), size};
  const iovec remote = {*host, size};
  return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(size);
}

// Whether a parked CPU has its page, or came to another one's.
enum class Owns : uint8_t { kNo, kMaybe, kYes };

class World {
 public:
  World() {
    auto parking = vmm::HostParking::Create(
        kPlacement,
        {.memory = Memory(),
         .power = power_,
         .slots = slots_,
         .judge = [](uint64_t entry) -> std::optional<ParkFault> {
           if (entry == kEntry) return std::nullopt;
           return ParkFault::kExitNotRam;
         },
         .diagnoses = diagnoses_,
         .events = Events(),
         .clock = clock_,
         // A vCPU comes back at once and runs again.
         .vcpus = {.nudge = [this](uint32_t cpu) {
           FUZZ_CHECK(parking_->BeforeRun(VcpuId{cpu}, *vcpus_[cpu]).ok());
         }}});
    FUZZ_CHECK(parking.ok());
    parking_ = *std::move(parking);
    for (uint32_t i = 0; i < kCpus; ++i) {
      vcpus_[i] = std::make_unique<Guest>(i);
      FUZZ_CHECK(power_.PowerOn(VcpuId{i}, {kEntry, kCpuOnContext}));
      turned_on_[i] = true;
      Start(i);
    }
  }

  void Do(fuzz::Input& input) {
    const uint32_t what = input.TakeBelow(8);
    const uint32_t cpu = input.TakeBelow(kCpus);
    switch (what) {
      case 0:
      case 1:
        return Store(cpu, input);
      case 2:
        return Park(cpu, input.TakeBelow(16));
      case 3: {
        const uint64_t exit = input.TakeBool() ? kEntry : kBlank;
        GuestWrites(PageOfCpu(input.TakeBelow(16)), &exit, 8);
        return;
      }
      case 4:
        return TurnOn(cpu);
      case 5:
        parking_->Inspect();
        return;
      case 6: {  // The old kernel prepares a page.
        GuestWrites(PageOfCpu(input.TakeBelow(16)) + PARK_PAGE_TEXT,
                    &kStoreMagic, 4);
        return;
      }
      default:
        return Start(cpu);
    }
  }

  // While the guest cannot write elsewhere at the same time.
  void CheckAtRest() {
    uint32_t on = 0;
    for (uint32_t cpu = 0; cpu < kCpus; ++cpu) {
      const PowerState state = power_.StateOf(VcpuId{cpu});
      if (state != PowerState::kOff) ++on;
      FUZZ_CHECK((state == PowerState::kOn) == on_[cpu]);
      // Whoever starts was turned on, or its page's exit was stored.
      if (state == PowerState::kOnPending) {
        FUZZ_CHECK(turned_on_[cpu] || parked_in_[cpu]);
      }
      if (state == PowerState::kOff && owns_[cpu] == Owns::kYes) {
        FUZZ_CHECK(!IsWritable(*parked_in_[cpu]));
      }
    }
    FUZZ_CHECK(power_.CountOn() == on);
  }

 private:
  // Whether the guest could change a page; nothing is changed.
  static bool IsWritable(uint64_t page) {
    const uint64_t word = WordAt(page);
    return GuestWrites(page, &word, sizeof(word));
  }
  static uint64_t WordAt(uint64_t address) {
    const auto word = Memory().Load<uint64_t>(GuestAddress(address));
    FUZZ_CHECK(word.has_value());
    return *word;
  }

  // Runs an instruction with x3 somewhere in the window, or about it.
  void Store(uint32_t cpu, fuzz::Input& input) {
    if (!on_[cpu]) return;
    const uint32_t instruction =
        kInstructions[input.TakeBelow(std::size(kInstructions))];
    Guest& vcpu = *vcpus_[cpu];
    const auto at = input.Take<uint16_t>();
    // A page and a word of it; some are guards.
    const uint64_t address =
        kPages - vmm::kParkUnit + vmm::kParkUnit * (at & 31) + (at >> 5);
    vcpu.x[0] = vcpu.x[3] = address;
    vcpu.x[1] = PARK_MAGIC;
    vcpu.x[2] = input.TakeBool() ? kEntry : input.Take<uint32_t>();
    FUZZ_CHECK(GuestWrites(kEntry, &instruction, sizeof(instruction)));
    vcpu.pc = kEntry;
    const uint64_t word = vcpu.x[2];
    vcpu.on_run = [address, word] {
      GuestWrites(address & ~uint64_t{7}, &word, 8);
    };
    const auto outcome =
        parking_->OnStore(VcpuId{cpu}, vcpu, vmm::StoreRefused{});
    FUZZ_CHECK_TEXT(outcome.ok(), outcome.status().message());
    FUZZ_CHECK(!outcome->parks);  // Not from here.
  }

  // Whether a CPU that comes to a page now has it for itself. The page before
  // the first is nobody's.
  Owns OwnsIfItComesTo(uint64_t page) const {
    Owns owns = Owns::kYes;
    for (uint32_t other = 0; other < kCpus; ++other) {
      if (parked_in_[other] != page || owns_[other] == Owns::kNo) continue;
      const bool is_off = power_.StateOf(VcpuId{other}) == PowerState::kOff;
      if (is_off && owns_[other] == Owns::kYes) return Owns::kNo;
      // Who was released has left it; who was turned on leaves it later.
      if (is_off || turned_on_[other]) owns = Owns::kMaybe;
    }
    return owns;
  }

  // Runs the loop of a page.
  void Park(uint32_t cpu, uint32_t number) {
    if (!on_[cpu] || cpu == 0) return;
    const uint64_t page = PageOfCpu(number);
    Guest& vcpu = *vcpus_[cpu];
    vcpu.pc = page + PARK_PAGE_TEXT;
    vcpu.x[0] = vcpu.x[3] = page;
    vcpu.x[1] = PARK_MAGIC;
    vcpu.x[2] = 0;
    const uint64_t magic = PARK_MAGIC;
    vcpu.on_run = [page, magic] {
      GuestWrites(page + PARK_PAGE_MAGIC, &magic, 8);
    };
    const auto outcome =
        parking_->OnStore(VcpuId{cpu}, vcpu,
                          vmm::DebugStop{vmm::DebugStop::Kind::kWatchedStore,
                                         page + PARK_PAGE_MAGIC});
    FUZZ_CHECK_TEXT(outcome.ok(), outcome.status().message());
    if (!outcome->parks) return;  // The page has another loop, or none.
    owns_[cpu] = number > 0 ? OwnsIfItComesTo(page) : Owns::kNo;
    parked_in_[cpu] = page;
    on_[cpu] = false;
    FUZZ_CHECK(!power_.PowerOff(VcpuId{cpu}, Door::kPage));
    FUZZ_CHECK(parking_->Left(VcpuId{cpu}, Door::kPage).ok());
    if (power_.StateOf(VcpuId{cpu}) == PowerState::kOff) {
      FUZZ_CHECK(parking_->WhileOff(VcpuId{cpu}, vcpu).ok());
    }
  }

  void TurnOn(uint32_t cpu) {
    const bool was_off = power_.StateOf(VcpuId{cpu}) == PowerState::kOff;
    const bool wins = power_.PowerOn(VcpuId{cpu}, {kEntry, kCpuOnContext});
    FUZZ_CHECK(wins == was_off);
    if (wins) turned_on_[cpu] = true;
  }

  // Its thread gets to run.
  void Start(uint32_t cpu) {
    if (power_.StateOf(VcpuId{cpu}) != PowerState::kOnPending) return;
    const auto context = power_.AwaitBoot(VcpuId{cpu});
    FUZZ_CHECK(context && context->entry == kEntry);
    if (turned_on_[cpu]) {
      FUZZ_CHECK(context->context_id == kCpuOnContext);
    } else {
      FUZZ_CHECK(owns_[cpu] != Owns::kNo);
      FUZZ_CHECK(context->context_id == parked_in_[cpu]);
    }
    turned_on_[cpu] = false;
    owns_[cpu] = Owns::kNo;
    parked_in_[cpu].reset();
    on_[cpu] = true;
    parking_->Entered(VcpuId{cpu});
    FUZZ_CHECK(parking_->BeforeRun(VcpuId{cpu}, *vcpus_[cpu]).ok());
  }

  // Its rings are large: all inputs share it.
  static vmm::EventLog& Events() {
    static vmm::EventLog& log = *new vmm::EventLog({0, 1, 2, 3});
    FUZZ_CHECK(log.Drain(INT64_MAX, [](const vmm::Event&) {}).ok());
    return log;
  }

  psci::PowerTable power_{{Mpidr{0}, Mpidr{1}, Mpidr{2}, Mpidr{3}}};
  psci::ParkSlots slots_{power_, [](uint64_t) { return std::nullopt; }};
  vmm::DiagnosisLog diagnoses_;
  vmm::Clock clock_;
  std::unique_ptr<vmm::HostParking> parking_;
  std::array<std::unique_ptr<Guest>, kCpus> vcpus_;
  std::array<bool, kCpus> on_ = {};
  std::array<bool, kCpus> turned_on_ = {};  // By CPU_ON, and not started yet.
  std::array<std::optional<uint64_t>, kCpus> parked_in_ = {};
  std::array<Owns, kCpus> owns_ = {};  // The page that it is parked in.
};

// Another CPU of the guest, which writes these words to the pages, over and
// over, as far as they are open.
class Mutator {
 public:
  explicit Mutator(absl::Span<const uint8_t> words)
      : words_(words.begin(), words.end()), thread_([this] { Run(); }) {}
  ~Mutator() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run() {
    for (size_t i = 0; !stop_ && !words_.empty(); ++i) {
      const uint8_t word = words_[i % words_.size()];
      static constexpr uint64_t kWords[] = {0, kEntry, PARK_MAGIC, kStoreMagic};
      GuestWrites(kPages + vmm::kParkUnit * (word & 15) + 8 * (word >> 6),
                  &kWords[word >> 4 & 3], 8);
    }
  }

  const std::vector<uint8_t> words_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

FUZZ_TARGET(park_page) {
  const auto how = input.Take<uint8_t>();
  const auto words = input.TakeBytes(how & 7);
  fuzz::Captured complaints;  // The guest's diagnoses, on stderr.
  World world;
  std::optional<Mutator> mutator;
  if (!words.empty()) mutator.emplace(words);
  for (size_t i = 0; i < kMostSteps && !input.empty(); ++i) {
    world.Do(input);
    if (!mutator) world.CheckAtRest();
  }
  mutator.reset();
  complaints.Stop();
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(complaints.errors(), true),
                  complaints.errors());
}
