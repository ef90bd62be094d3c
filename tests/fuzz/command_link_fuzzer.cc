// SPDX-License-Identifier: Apache-2.0
// Any bytes from the guest over the link to a command, in any pieces: little is
// kept of them, and what is sent back is whole frames.
#include "tests/fuzz/fuzzer.h"
#include "tools/guest/init/command_file.h"
#include "vmm/command/command_abi.h"
#include "vmm/command/link.h"

namespace {

constexpr size_t kMostCredit = size_t{64} << 10;
constexpr size_t kMostReason = 200;

void Append(const vmm::CommandLink::Streams& more,
            vmm::CommandLink::Streams& all) {
  all.standard_output += more.standard_output;
  all.standard_error += more.standard_error;
}

// What the guest makes of what it is sent.
void CheckOutgoing(const std::string& bytes) {
  guest_init::FrameReader reader;
  reader.Add(bytes);
  size_t taken = 0;
  while (const auto frame = reader.Take()) {
    FUZZ_CHECK(frame->payload.size() <= COMMAND_FRAME_PAYLOAD);
    FUZZ_CHECK(frame->type == COMMAND_INPUT ||
               frame->type == COMMAND_INPUT_END || frame->type == COMMAND_SIZE);
    taken += COMMAND_FRAME_HEADER + frame->payload.size();
  }
  FUZZ_CHECK(taken == bytes.size());
}

}  // namespace

FUZZ_TARGET(command_link) {
  const auto how = input.Take<uint8_t>();
  vmm::CommandLink in_pieces;
  if ((how & 1) != 0) in_pieces.SetSize(24, 80);
  vmm::CommandLink at_once = in_pieces;
  const auto piece = size_t{1} + (how >> 1);
  const auto bytes = input.TakeRest();
  const std::string all(bytes.begin(), bytes.end());
  vmm::CommandLink::Streams streams;
  for (size_t at = 0; at < all.size(); at += piece) {
    Append(in_pieces.Take(absl::string_view(all).substr(at, piece)), streams);
    FUZZ_CHECK(in_pieces.InputRoom() <= kMostCredit);
  }
  const auto whole = at_once.Take(all);
  FUZZ_CHECK(whole.standard_output == streams.standard_output &&
             whole.standard_error == streams.standard_error);
  FUZZ_CHECK(streams.standard_output.size() + streams.standard_error.size() <=
             all.size());
  FUZZ_CHECK(at_once.InputRoom() == in_pieces.InputRoom());
  FUZZ_CHECK(at_once.started() == in_pieces.started());
  FUZZ_CHECK(at_once.status() == in_pieces.status());
  FUZZ_CHECK(at_once.broken() == in_pieces.broken());
  FUZZ_CHECK(at_once.broken().size() <= kMostReason);
  FUZZ_CHECK(at_once.outgoing() == in_pieces.outgoing());
  const size_t room = at_once.InputRoom();
  at_once.SendInput(std::string(room, 'i'));
  FUZZ_CHECK(at_once.InputRoom() == 0);
  at_once.EndInput();
  FUZZ_CHECK(at_once.outgoing().size() <= room + room / 1000 + 100);
  CheckOutgoing(at_once.outgoing());
}
