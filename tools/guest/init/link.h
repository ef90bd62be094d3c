// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_LINK_H_
#define PARKVMM_TOOLS_GUEST_INIT_LINK_H_

#include <optional>
#include <string_view>

#include "tools/guest/init/command_file.h"
#include "tools/guest/init/registers.h"
#include "vmm/base/unique_fd.h"

namespace guest_init {

// The guest's end of the link to the VMM: a terminal, and for what goes out the
// stream device, where this kernel lets it be mapped. One thread.
class Link {
 public:
  // Fails the run if there is no terminal. Needs /sys and /dev.
  Link();

  // For poll().
  int fd() const { return port_.get(); }
  // Sends a frame; waits while the VMM's reader is slow.
  void Send(char type, std::string_view payload);
  void Send(char type, uint16_t value);
  // Reads what is there; waits if that is nothing.
  void Read();
  // The next frame of what was read.
  std::optional<Frame> Take() { return frames_.Take(); }
  // Returns once all that was sent has arrived.
  void Drain();

 private:
  void SendAll(std::string_view bytes);
  void SendWide(std::string_view bytes);

  vmm::UniqueFd port_;
  std::optional<Registers> stream_;
  FrameReader frames_;
};

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_LINK_H_
