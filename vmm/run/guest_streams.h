// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_GUEST_STREAMS_H_
#define PARKVMM_VMM_RUN_GUEST_STREAMS_H_

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "vmm/base/event_loop.h"
#include "vmm/command/link.h"
#include "vmm/machine/machine_control.h"
#include "vmm/run/console_output.h"
#include "vmm/run/terminal.h"

namespace vmm {

// Carries bytes between the process's streams and the guest: its console, or
// the streams of the command that it runs. Nothing waits, and little is kept:
// who does not read makes the other side wait. One thread.
class GuestStreams {
 public:
  // Not owned.
  struct Descriptors {
    int input = STDIN_FILENO;
    int output = STDOUT_FILENO;
    int error = STDERR_FILENO;
  };
  enum class Kind {
    kConsole,
    kCommand,         // And nobody sees the console.
    kCommandVerbose,  // The console goes to the error stream.
  };
  // What the guest gave.
  struct Heard {
    std::string console;
    bool command = false;  // It said something, too.
  };

  // `terminal`: if the input is one, each key goes to the guest.
  GuestStreams(const Descriptors& descriptors, Kind kind, bool terminal);

  // From here on, `machine` is the guest.
  void Attach(MachineControl& machine);
  // Adds what is waited for to a loop, which Move() belongs to. `quit` is
  // called when ctrl-a x was typed.
  void AddTo(EventLoop& loop, std::function<void()> quit);
  // At the end of each round of the loop: moves what can be moved.
  Heard Move();
  // Takes what there is, whoever reads it. Once the machine has ended.
  Heard TakeAll();
  // Writes what was taken, or as much as is read within ConsoleOutput's
  // patience.
  void WriteAll(const std::function<int64_t()>& now_ns);
  // Whether nothing is on its way; then the next byte of the guest's wakes the
  // loop up.
  bool Sleep();
  // The terminal has another size.
  void NoteSize();

  // Whether the process has a terminal, which belongs to the guest now.
  bool has_terminal() const { return terminal_.active(); }
  // Why something was not written, if so.
  absl::Status status() const;
  // The command's end of things; nullptr without one.
  const CommandLink* link() const { return link_ ? &*link_ : nullptr; }

 private:
  void TakeCommand(Heard& heard);
  void Read();
  void Send();
  void SetInterest();
  bool Pending() const { return output_.pending() || error_.pending(); }
  bool MayRead() const;

  const Descriptors descriptors_;
  const Kind kind_;
  RawTerminal terminal_;
  EscapeKeys keys_;
  ConsoleOutput output_;
  ConsoleOutput error_;
  bool input_open_;
  std::string input_;  // Typed, and not yet on its way.
  std::optional<CommandLink> link_;
  MachineControl* machine_ = nullptr;
  EventLoop* loop_ = nullptr;
  std::function<void()> quit_;
  EventLoop::Id from_console_{}, from_link_{}, to_output_{}, to_error_{},
      from_input_{};
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_GUEST_STREAMS_H_
