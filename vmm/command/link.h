// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_COMMAND_LINK_H_
#define PARKVMM_VMM_COMMAND_LINK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace vmm {

// The VMM's end of the link to a command in the guest (command_abi.h): takes
// the frames of the guest apart, and makes those for it. The guest is not
// trusted: whatever it sends, no more than a frame is kept. Pure; one thread.
class CommandLink {
 public:
  // What arrived for the process's own streams.
  struct Streams {
    std::string standard_output;
    std::string standard_error;
  };

  // Takes what the guest sent, in pieces of any size.
  Streams Take(absl::string_view bytes);

  // How many bytes of input the guest has room for.
  size_t InputRoom() const { return credit_; }
  // Sends input, InputRoom() bytes at most.
  void SendInput(absl::string_view bytes);
  // There is no more input, for any command of this link.
  void EndInput();
  // The terminal's size, for this command and those that follow.
  void SetSize(uint16_t rows, uint16_t columns);

  // What is to be sent to the guest; the caller erases what it has sent.
  std::string& outgoing() { return outgoing_; }

  // Commands that have started. One starts in each kernel.
  uint32_t started() const { return started_; }
  // The status that the last one ended with; nothing while it runs.
  const std::optional<uint8_t>& status() const { return status_; }
  // Why it could not be run, if so.
  const std::string& broken() const { return broken_; }

 private:
  void TakeFrame(char type, absl::string_view payload, Streams& streams);
  void Begin();
  void SendSize();

  std::string incoming_;  // The beginning of a frame.
  std::string outgoing_;
  bool running_ = false;
  bool input_ended_ = false;
  std::optional<std::string> size_;  // The payload.
  size_t credit_ = 0;
  uint32_t started_ = 0;
  std::optional<uint8_t> status_;
  std::string broken_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_COMMAND_LINK_H_
