// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/link.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vmm/command/command_abi.h"

namespace vmm {
namespace {

// A guest's credit counts up to here.
constexpr size_t kMaxCredit = size_t{64} << 10;
// Of what it says about a command that could not be run.
constexpr size_t kMaxReason = 200;

std::string LittleEndian(size_t value) {
  return {static_cast<char>(value & 0xff), static_cast<char>(value >> 8)};
}

size_t FromLittleEndian(absl::string_view bytes) {
  return static_cast<uint8_t>(bytes[0]) | size_t{static_cast<uint8_t>(bytes[1])}
                                              << 8;
}

std::string Frame(char type, absl::string_view payload) {
  return absl::StrCat(absl::string_view(&type, 1), LittleEndian(payload.size()),
                      payload);
}

}  // namespace

CommandLink::Streams CommandLink::Take(absl::string_view bytes) {
  Streams streams;
  absl::StrAppend(&incoming_, bytes);
  absl::string_view rest = incoming_;
  while (rest.size() >= COMMAND_FRAME_HEADER) {
    // A guest that says more than a frame may hold is taken at a frame's most,
    // and what follows for frames.
    const size_t size = std::min<size_t>(FromLittleEndian(rest.substr(1)),
                                         COMMAND_FRAME_PAYLOAD);
    if (rest.size() - COMMAND_FRAME_HEADER < size) break;
    TakeFrame(rest[0], rest.substr(COMMAND_FRAME_HEADER, size), streams);
    rest.remove_prefix(COMMAND_FRAME_HEADER + size);
  }
  incoming_ = std::string(rest);
  return streams;
}

void CommandLink::TakeFrame(char type, absl::string_view payload,
                            Streams& streams) {
  switch (type) {
    case COMMAND_HELLO:
      Begin();
      break;
    case COMMAND_STDOUT:
      absl::StrAppend(&streams.standard_output, payload);
      break;
    case COMMAND_STDERR:
      absl::StrAppend(&streams.standard_error, payload);
      break;
    case COMMAND_CREDIT:
      if (payload.size() < 2) break;
      credit_ = std::min(credit_ + FromLittleEndian(payload), kMaxCredit);
      break;
    case COMMAND_EXIT:
      if (payload.empty()) break;
      status_ = static_cast<uint8_t>(payload[0]);
      running_ = false;
      break;
    case COMMAND_BROKEN:
      broken_ = std::string(payload.substr(0, kMaxReason));
      break;
    default:  // A later guest-init's, or nonsense.
      break;
  }
}

// What was sent to the last kernel's command, this one does not know.
void CommandLink::Begin() {
  ++started_;
  running_ = true;
  status_.reset();
  credit_ = 0;
  outgoing_.clear();
  if (size_) SendSize();
  if (input_ended_) absl::StrAppend(&outgoing_, Frame(COMMAND_INPUT_END, ""));
}

void CommandLink::SendInput(absl::string_view bytes) {
  credit_ -= std::min(credit_, bytes.size());
  while (!bytes.empty()) {
    const absl::string_view part = bytes.substr(0, COMMAND_FRAME_PAYLOAD);
    absl::StrAppend(&outgoing_, Frame(COMMAND_INPUT, part));
    bytes.remove_prefix(part.size());
  }
}

void CommandLink::EndInput() {
  if (std::exchange(input_ended_, true) || !running_) return;
  absl::StrAppend(&outgoing_, Frame(COMMAND_INPUT_END, ""));
}

void CommandLink::SetSize(uint16_t rows, uint16_t columns) {
  size_ = absl::StrCat(LittleEndian(rows), LittleEndian(columns));
  if (running_) SendSize();
}

void CommandLink::SendSize() {
  absl::StrAppend(&outgoing_, Frame(COMMAND_SIZE, *size_));
}

}  // namespace vmm
