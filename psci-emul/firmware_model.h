// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_FIRMWARE_MODEL_H_
#define PARKVMM_PSCI_EMUL_FIRMWARE_MODEL_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "psci-emul/shared_word.h"
#include "psci-emul/types.h"

namespace psci {

// What CPU_OFF and CPU_ON cost on a machine whose firmware is not us: a real
// one's latency, added to ours. Each is at most 10 s.
struct FirmwareModel {
  std::string name = "none";  // Which one it began with; "custom": no other.
  int64_t off_ns = 0;
  int64_t on_ns = 0;
  int64_t far_on_ns = 0;  // Of a CPU in another socket than CPU 0.
  // By index, the first socket's first; 0: all are in one.
  uint32_t cpus_per_socket = 0;
  bool serialised = false;  // A platform lock: one transition at a time.
  friend bool operator==(const FirmwareModel&, const FirmwareModel&) = default;
};

// A name, settings, or a name and what is otherwise:
//   thunderx2
//   off=14us,on=17us,lock
//   thunderx2,socket=4
// kInvalidArgument says in one line what is wrong, and what to say instead.
absl::StatusOr<FirmwareModel> ParseFirmwareModel(absl::string_view text);
// All that it is; parses to an equal one.
std::string TextOf(const FirmwareModel& model);

// Whether no transition takes any time.
bool IsInstant(const FirmwareModel& model);

enum class Transition : uint8_t { kOff, kOn };

// How long the transition takes, alone; ns.
int64_t LatencyOf(const FirmwareModel& model, Transition transition,
                  VcpuId cpu);

// The model at work: who has the platform's lock, and until when. Any thread.
class Firmware {
 public:
  explicit Firmware(FirmwareModel model) : model_(std::move(model)) {}

  // When `cpu`'s transition is complete that begins at `now_ns`, by any clock
  // that only goes forward. With a lock they queue in the order of these calls,
  // but for those that take no time; a CPU is in one transition at a time, so
  // the queue is never longer than there are CPUs.
  int64_t CompletionOf(Transition transition, VcpuId cpu, int64_t now_ns);

 private:
  const FirmwareModel model_;
  SharedWord<int64_t> free_ns_{"free_ns", 0};  // When the lock is.
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_FIRMWARE_MODEL_H_
