// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_COMMAND_FILE_H_
#define PARKVMM_TOOLS_GUEST_INIT_COMMAND_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace guest_init {

// What COMMAND_FILE holds (vmm/command/command_abi.h).
struct Command {
  bool terminal = false;
  std::vector<std::string> words;
  std::vector<std::string> environment;
};

// Nothing if that is not what the text is. Pure.
std::optional<Command> ParseCommandFile(std::string_view text);

// A frame for the link: `payload` has COMMAND_FRAME_PAYLOAD bytes at most.
// Pure.
std::string MakeFrame(char type, std::string_view payload);
std::string MakeFrame(char type, uint16_t value);

struct Frame {
  char type = 0;
  std::string payload;
};

// Takes frames out of what arrives in pieces. Pure.
class FrameReader {
 public:
  void Add(std::string_view bytes) { bytes_ += bytes; }
  // The next one that is whole.
  std::optional<Frame> Take();

 private:
  std::string bytes_;
};

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_COMMAND_FILE_H_
