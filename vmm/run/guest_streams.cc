// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/guest_streams.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vmm/base/log.h"

namespace vmm {
namespace {

// Of what is typed while the guest does not read. More is lost, but keys are
// always looked at: ctrl-a x may come.
constexpr size_t kTypedLimit = 4096;

// Of a terminal whose size is not known.
constexpr uint16_t kRows = 24;
constexpr uint16_t kColumns = 80;

absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

GuestStreams::GuestStreams(const Descriptors& descriptors, Kind kind,
                           bool terminal)
    : descriptors_(descriptors),
      kind_(kind),
      terminal_(terminal ? descriptors.input : -1),
      output_(descriptors.output, kind == Kind::kConsole
                                      ? "the guest's console to stdout"
                                      : "the command's output to stdout"),
      error_(descriptors.error, "what the guest said to stderr"),
      input_open_(IsForUs(descriptors.input)) {
  if (kind == Kind::kConsole) return;
  link_.emplace();
  if (terminal) link_->SetSize(kRows, kColumns);
  NoteSize();
}

void GuestStreams::Attach(MachineControl& machine) { machine_ = &machine; }

void GuestStreams::AddTo(EventLoop& loop, std::function<void()> quit) {
  loop_ = &loop;
  quit_ = std::move(quit);
  const auto write = [](ConsoleOutput& output) {
    return [&output] {
      output.WriteSome();
      return absl::OkStatus();
    };
  };
  from_console_ =
      loop.Add("console", machine_->console().fd(), POLLIN, nullptr);
  to_output_ = loop.Add("stdout", descriptors_.output, POLLOUT, write(output_));
  from_input_ = loop.Add("stdin", descriptors_.input, POLLIN, [this] {
    Read();
    return absl::OkStatus();
  });
  if (link_) {
    from_link_ = loop.Add("command", machine_->link()->fd(), POLLIN, nullptr);
    to_error_ = loop.Add("stderr", descriptors_.error, POLLOUT, write(error_));
  }
  SetInterest();
}

GuestStreams::Heard GuestStreams::Move() {
  Heard heard;
  if (!Pending()) heard = TakeAll();
  Send();
  SetInterest();
  return heard;
}

GuestStreams::Heard GuestStreams::TakeAll() {
  Heard heard = {.console = machine_->console().Take()};
  switch (kind_) {
    case Kind::kConsole:
      output_.Append(heard.console);
      break;
    case Kind::kCommandVerbose:
      error_.Append(heard.console);
      break;
    case Kind::kCommand:
      break;
  }
  if (link_) TakeCommand(heard);
  return heard;
}

void GuestStreams::TakeCommand(Heard& heard) {
  const std::string bytes = machine_->link()->Take();
  heard.command = !bytes.empty();
  const CommandLink::Streams streams = link_->Take(bytes);
  output_.Append(streams.standard_output);
  error_.Append(streams.standard_error);
}

void GuestStreams::Read() {
  std::array<uint8_t, 256> typed;
  const ssize_t size = read(descriptors_.input, typed.data(), typed.size());
  if (size <= 0) {
    input_open_ = size < 0 && (errno == EINTR || errno == EAGAIN);
    return;
  }
  const auto bytes =
      absl::MakeConstSpan(typed.data(), static_cast<size_t>(size));
  if (!terminal_.active()) {
    input_.append(bytes.begin(), bytes.end());
    return;
  }
  const EscapeKeys::Result keys = keys_.Feed(bytes);
  if (input_.size() < kTypedLimit) {
    input_.append(keys.to_guest.begin(), keys.to_guest.end());
  }
  if (keys.help) LogInfo("ctrl-a x: end the run; ctrl-a ctrl-a: send ctrl-a");
  if (keys.quit) quit_();
}

void GuestStreams::Send() {
  if (!link_) {
    if (!input_.empty()) input_.erase(0, machine_->SendInput(BytesOf(input_)));
    return;
  }
  if (const size_t size = std::min(input_.size(), link_->InputRoom())) {
    link_->SendInput(absl::string_view(input_).substr(0, size));
    input_.erase(0, size);
  }
  if (!input_open_ && input_.empty()) link_->EndInput();
  std::string& outgoing = link_->outgoing();
  if (!outgoing.empty()) {
    outgoing.erase(0, machine_->SendToLink(BytesOf(outgoing)));
  }
}

bool GuestStreams::MayRead() const {
  return input_open_ && (terminal_.active() || input_.empty());
}

void GuestStreams::SetInterest() {
  loop_->Enable(from_console_, !Pending());
  loop_->Enable(to_output_, output_.pending());
  loop_->Enable(from_input_, MayRead());
  if (!link_) return;
  loop_->Enable(from_link_, !Pending());
  loop_->Enable(to_error_, error_.pending());
}

void GuestStreams::WriteAll(const std::function<int64_t()>& now_ns) {
  output_.WriteAll(now_ns);
  error_.WriteAll(now_ns);
}

bool GuestStreams::Sleep() {
  if (Pending() || !machine_->console().Sleep()) return false;
  if (!link_) return input_.empty();
  // Input waits for a command that may never read it.
  return link_->outgoing().empty() && machine_->link()->Sleep();
}

void GuestStreams::NoteSize() {
  winsize size = {};
  if (!link_ || !terminal_.active() ||
      ioctl(descriptors_.input, TIOCGWINSZ, &size) != 0) {
    return;
  }
  link_->SetSize(size.ws_row, size.ws_col);
}

absl::Status GuestStreams::status() const {
  return output_.status().ok() ? error_.status() : output_.status();
}

}  // namespace vmm
