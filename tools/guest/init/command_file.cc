// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/command_file.h"

#include "tools/guest/init/text.h"
#include "vmm/command/command_abi.h"

namespace guest_init {
namespace {

// The next string with a NUL behind it.
std::optional<std::string> TakeString(std::string_view& text) {
  const size_t end = text.find('\0');
  if (end == text.npos) return std::nullopt;
  std::string taken(text.substr(0, end));
  text.remove_prefix(end + 1);
  return taken;
}

uint16_t FromLittleEndian(std::string_view bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) |
                               static_cast<uint8_t>(bytes[1]) << 8);
}

std::string LittleEndian(size_t value) {
  return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8)};
}

}  // namespace

std::optional<Command> ParseCommandFile(std::string_view text) {
  if (TakeString(text) != COMMAND_FILE_MAGIC) return std::nullopt;
  Command command;
  const auto streams = TakeString(text);
  command.terminal = streams == COMMAND_TERMINAL;
  const auto count = ParseNumber(TakeString(text).value_or(""), 10);
  if (!streams || !count || *count == 0) return std::nullopt;
  while (command.words.size() < *count) {
    const auto word = TakeString(text);
    if (!word) return std::nullopt;
    command.words.push_back(*word);
  }
  while (const auto variable = TakeString(text)) {
    command.environment.push_back(*variable);
  }
  return text.empty() ? std::optional(command) : std::nullopt;
}

std::string MakeFrame(char type, std::string_view payload) {
  std::string frame = type + LittleEndian(payload.size());
  frame += payload;
  return frame;
}

std::string MakeFrame(char type, uint16_t value) {
  return MakeFrame(type, LittleEndian(value));
}

std::optional<Frame> FrameReader::Take() {
  if (bytes_.size() < COMMAND_FRAME_HEADER) return std::nullopt;
  const size_t size = FromLittleEndian(std::string_view(bytes_).substr(1));
  if (bytes_.size() - COMMAND_FRAME_HEADER < size) return std::nullopt;
  Frame frame = {.type = bytes_[0],
                 .payload = bytes_.substr(COMMAND_FRAME_HEADER, size)};
  bytes_.erase(0, COMMAND_FRAME_HEADER + size);
  return frame;
}

}  // namespace guest_init
