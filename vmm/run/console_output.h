// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CONSOLE_OUTPUT_H_
#define PARKVMM_VMM_RUN_CONSOLE_OUTPUT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vmm {

// A stream on its way out: what a slow reader has not taken yet.
// Only WriteAll() waits. One thread.
class ConsoleOutput {
 public:
  // How long WriteAll() waits for a reader.
  static constexpr int64_t kPatienceNs = 5'000'000'000;

  // `fd`: not owned. `what` and where to it goes, for messages. After an error
  // what comes is dropped.
  explicit ConsoleOutput(
      int fd, absl::string_view what = "the guest's console to stdout")
      : fd_(fd), what_(what) {}

  bool pending() const { return !bytes_.empty(); }
  void Append(absl::string_view bytes);
  // Once `fd` polls writable.
  void WriteSome();
  // Writes everything, or as much as is taken within kPatienceNs of `now_ns`.
  void WriteAll(const std::function<int64_t()>& now_ns);
  // Why something was not written, if so.
  const absl::Status& status() const { return status_; }

 private:
  const int fd_;
  const std::string what_;
  std::string bytes_;
  absl::Status status_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CONSOLE_OUTPUT_H_
