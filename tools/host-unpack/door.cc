// SPDX-License-Identifier: Apache-2.0
#include "tools/host-unpack/door.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tools/host-unpack/fail.h"
#include "vmm/base/unique_fd.h"

namespace host_unpack {
namespace {

constexpr const char* kDevices = "/sys/bus/pci/devices";
constexpr const char* kVendor = "0x8086\n";
constexpr const char* kWatchdog = "0x25ab\n";  // i6300esb, as QEMU has it.

// Its registers, and bytes of its configuration space.
constexpr size_t kTimer1 = 0x0;
constexpr size_t kTimer2 = 0x4;
constexpr size_t kReload = 0xc;
constexpr uint16_t kUnlock1 = 0x80;
constexpr uint16_t kUnlock2 = 0x86;
constexpr off_t kConfigRegister = 0x60;
constexpr uint16_t kTicks = 1 << 2;     // Count 32 cycles of 33 MHz.
constexpr uint16_t kNoAction = 1 << 5;  // At the end.
constexpr off_t kLockRegister = 0x68;
constexpr uint8_t kEnable = 1 << 1;

constexpr const char* kClock = "/dev/rtc";
constexpr time_t kAlarmDelay = 2;  // s; longer than until the machine stops.

// Ticks until the machine stops. All its CPUs have to be idle by then.
constexpr int64_t kNanosecondsPerTick = 970;
constexpr uint32_t kDelay1 = 1'000;
constexpr uint32_t kDelay2 = 20'000;
constexpr uint32_t kForever = 0xfffff;
// How much sooner one watchdog stops the machine than another one's timer is
// due.
constexpr uint32_t kLead = 30;

std::string ReadText(const std::string& path) {
  const vmm::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text;
  const ssize_t got =
      file.valid() ? read(file.get(), text.data(), text.size()) : -1;
  return got < 0 ? "" : std::string(text.data(), static_cast<size_t>(got));
}

// Returns the directories of QEMU's watchdogs in sysfs.
std::vector<std::string> FindWatchdogs() {
  std::vector<std::string> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(opendir(kDevices),
                                                    closedir);
  if (!devices) return found;  // No PCI, so no watchdog.
  while (const dirent* entry = readdir(devices.get())) {
    const std::string path = std::string(kDevices) + "/" + entry->d_name;
    if (ReadText(path + "/vendor") == kVendor &&
        ReadText(path + "/device") == kWatchdog) {
      found.push_back(path);
    }
  }
  std::ranges::sort(found);
  return found;
}

int64_t Nanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A watchdog. Its registers are mapped until the process ends.
class Watchdog {
 public:
  explicit Watchdog(const std::string& device)
      : device_(device),
        config_(open((device + "/config").c_str(), O_WRONLY | O_CLOEXEC)) {
    const vmm::UniqueFd enable(
        open((device + "/enable").c_str(), O_WRONLY | O_CLOEXEC));
    if (!enable.valid() || write(enable.get(), "1", 1) != 1) {
      FailErrno("cannot enable " + device);
    }
    uint64_t address = 0;
    if (std::sscanf(ReadText(device + "/resource").c_str(), "%" SCNx64,
                    &address) != 1 ||
        address == 0) {
      Fail(device + " has no registers");
    }
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const vmm::UniqueFd file(
        open((device + "/resource0").c_str(), O_RDWR | O_CLOEXEC));
    void* const mapping = file.valid()
                              ? mmap(nullptr, page, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, file.get(), 0)
                              : MAP_FAILED;
    if (mapping == MAP_FAILED) FailErrno("cannot map " + device);
    registers_ = static_cast<uint8_t*>(mapping) + address % page;
  }

  // Starts it: `first` ticks, then `second` ticks up to its action.
  void Start(uint32_t first, uint32_t second, uint16_t config) const {
    WriteTimer(kTimer1, first);
    WriteTimer(kTimer2, second);
    WriteConfig(kConfigRegister, &config, sizeof(config));
    WriteConfig(kLockRegister, &kEnable, sizeof(kEnable));
  }

 private:
  void WriteConfig(off_t offset, const void* value, size_t size) const {
    if (pwrite(config_.get(), value, size, offset) !=
        static_cast<ssize_t>(size)) {
      FailErrno("cannot configure " + device_);
    }
  }

  // Writes a register, which is locked again afterwards.
  void WriteTimer(size_t timer, uint32_t value) const {
    auto* const reload =
        reinterpret_cast<volatile uint16_t*>(registers_ + kReload);
    *reload = kUnlock1;
    *reload = kUnlock2;
    *reinterpret_cast<volatile uint32_t*>(registers_ + timer) = value;
  }

  const std::string device_;
  const vmm::UniqueFd config_;
  volatile uint8_t* registers_ = nullptr;
};

// Sets the alarm of a real-time clock.
void SetAlarm(int clock) {
  rtc_time now = {};
  if (ioctl(clock, RTC_RD_TIME, &now) != 0) FailErrno("cannot read the clock");
  // rtc_time is the beginning of tm.
  tm calendar = {};
  std::memcpy(&calendar, &now, sizeof(now));
  const time_t later = timegm(&calendar) + kAlarmDelay;
  gmtime_r(&later, &calendar);
  rtc_wkalrm alarm = {.enabled = 1};
  std::memcpy(&alarm.time, &calendar, sizeof(alarm.time));
  if (ioctl(clock, RTC_WKALM_SET, &alarm) != 0) FailErrno("no alarm");
}

// Keeps this CPU busy for some 20 ms. Its tick does not come, because nobody
// has programmed the timer yet.
void Settle() {
  uint64_t rounds = 10'000'000;
  asm volatile(
      "1: subs %0, %0, #1\n"
      "   b.ne 1b"
      : "+r"(rounds)
      :
      : "cc");
}

}  // namespace

void StopMachine(const std::string& wake) {
  const std::vector<std::string> watchdogs = FindWatchdogs();
  if (watchdogs.size() != 2) return;
  const vmm::UniqueFd input(open(wake.c_str(), O_RDONLY | O_CLOEXEC));
  if (!input.valid()) FailErrno(wake);
  if (wake.starts_with(kClock)) SetAlarm(input.get());
  const Watchdog follower(watchdogs[1]);
  const Watchdog stopper(watchdogs[0]);
  const int64_t begin = Nanoseconds();
  follower.Start(kDelay1 + kDelay2, kForever, kTicks | kNoAction);
  const auto passed =
      static_cast<uint32_t>((Nanoseconds() - begin) / kNanosecondsPerTick);
  stopper.Start(kDelay1, kDelay2 - kLead - passed, kTicks);
  unsigned long woken = 0;  // What a real-time clock is read by.
  if (read(input.get(), &woken, sizeof(woken)) <= 0) FailErrno(wake);
  Settle();
}

void RearmTimers() {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) FailErrno("affinity");
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0) FailErrno("affinity");
    // Linux programs a timer that is due before all others, also before one
    // that is overdue because QEMU has lost it.
    const timespec long_ago = {.tv_sec = 0, .tv_nsec = 1};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &long_ago, nullptr);
  }
  sched_setaffinity(0, sizeof(all), &all);
}

}  // namespace host_unpack
