// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/link.h"

#include <dirent.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "tools/guest/init/report.h"
#include "tools/guest/init/system.h"
#include "vmm/command/command_abi.h"
#include "vmm/devices/stream_abi.h"

namespace guest_init {
namespace {

constexpr useconds_t kPauseUs = 1'000;  // While the VMM's reader is slow.
constexpr char kTerminals[] = "/sys/class/tty";

// The label of the UART behind a terminal. Which folder above the terminal's is
// the UART's depends on the kernel.
std::string LabelOf(const std::string& name) {
  const std::unique_ptr<char, decltype(&free)> real(
      realpath((std::string(kTerminals) + "/" + name).c_str(), nullptr), free);
  std::string folder = real ? real.get() : "";
  while (folder.starts_with("/sys/devices/")) {
    if (const auto label = ReadFile(folder + "/of_node/label")) {
      return label->c_str();
    }
    folder.resize(folder.rfind('/'));
  }
  return "";
}

std::string FindTerminal() {
  const std::unique_ptr<DIR, int (*)(DIR*)> terminals(opendir(kTerminals),
                                                      closedir);
  while (const dirent* entry = terminals ? readdir(terminals.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.starts_with("ttyAMA") && LabelOf(name) == COMMAND_LINK_LABEL) {
      return "/dev/" + name;
    }
  }
  Fail(
      "no terminal for the command: this kernel needs CONFIG_SERIAL_AMBA_PL011"
      " and a VMM that runs a command");
}

}  // namespace

Link::Link() {
  const std::string path = FindTerminal();
  port_ = vmm::UniqueFd(open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios mode = {};
  if (!port_.valid() || tcgetattr(port_.get(), &mode) != 0) {
    FailErrno("cannot open " + path);
  }
  cfmakeraw(&mode);
  mode.c_cflag |= CLOCAL | CREAD;
  if (tcsetattr(port_.get(), TCSANOW, &mode) != 0) {
    FailErrno("cannot set up " + path);
  }
  stream_ = Registers::Map("stream", STREAM_COMPATIBLE);
  if (stream_ && stream_->Load32(STREAM_REG_MAGIC) != STREAM_MAGIC) {
    stream_.reset();
  }
}

void Link::Send(char type, std::string_view payload) {
  SendAll(MakeFrame(type, payload));
}

void Link::Send(char type, uint16_t value) { SendAll(MakeFrame(type, value)); }

void Link::SendAll(std::string_view bytes) {
  if (stream_) return SendWide(bytes);
  while (!bytes.empty()) {
    const ssize_t sent = write(port_.get(), bytes.data(), bytes.size());
    if (sent < 0 && errno != EINTR) FailErrno("cannot write to the link");
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void Link::SendWide(std::string_view bytes) {
  while (!bytes.empty()) {
    const uint64_t room = stream_->Load64(STREAM_REG_ROOM);
    if (room == 0) usleep(kPauseUs);
    const size_t size = std::min<uint64_t>(room, bytes.size());
    size_t sent = 0;
    for (uint64_t word; size - sent >= sizeof(word); sent += sizeof(word)) {
      std::memcpy(&word, bytes.data() + sent, sizeof(word));
      stream_->Store64(STREAM_REG_WORD, word);
    }
    for (; sent < size; ++sent) {
      stream_->Store8(STREAM_REG_BYTE, static_cast<uint8_t>(bytes[sent]));
    }
    bytes.remove_prefix(size);
  }
  stream_->Store32(STREAM_REG_END, 0);
}

void Link::Read() {
  std::array<char, COMMAND_FRAME_PAYLOAD> buffer;
  const ssize_t got = read(port_.get(), buffer.data(), buffer.size());
  if (got < 0 && errno != EINTR) FailErrno("cannot read from the link");
  if (got > 0) frames_.Add({buffer.data(), static_cast<size_t>(got)});
}

void Link::Drain() { tcdrain(port_.get()); }

}  // namespace guest_init
