// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_CONSOLE_BUFFER_H_
#define PARKVMM_VMM_MACHINE_CONSOLE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "vmm/base/mutex.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// The guest's console output between the vCPU that prints and the thread that
// writes it out. Bounded: when the reader of our stdout is slow, the buffer
// fills, the UART says so, and the guest waits; nothing is lost, and no vCPU
// thread ever blocks in a write. The link to a command is such a line, too.
class ConsoleBuffer {
 public:
  static constexpr size_t kCapacity = size_t{64} * 1024;

  // When fd() becomes readable: once there is a line, or a good part of one; or
  // at the first byte.
  enum class Wake { kByLine, kByByte };

  explicit ConsoleBuffer(Wake wake = Wake::kByLine);

  // vCPU threads. What there is no room for is dropped. What PutMore() puts is
  // told of by End(), or once it is much.
  void Put(uint8_t byte);
  void PutMore(absl::Span<const uint8_t> bytes);
  void End();
  size_t Room() const;
  bool Full() const { return Room() == 0; }

  // The writing thread: takes everything.
  std::string Take();
  // For poll(). With Wake::kByLine, what comes without a newline is found by
  // asking now and then.
  int fd() const { return event_.get(); }
  // Asks that the next byte makes fd() readable, until Take(). Returns whether
  // there is none yet, so that the caller may sleep.
  bool Sleep();

 private:
  const Wake wake_;
  UniqueFd event_;
  mutable Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  bool asleep_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_CONSOLE_BUFFER_H_
