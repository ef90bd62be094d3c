// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console_buffer.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

namespace vmm {
namespace {

constexpr size_t kWakeAt = 256;
constexpr size_t kMuch = ConsoleBuffer::kCapacity / 4;

}  // namespace

ConsoleBuffer::ConsoleBuffer(Wake wake)
    : wake_(wake), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  MutexLock lock(mutex_);
  bytes_.reserve(kCapacity);
}

void ConsoleBuffer::Put(uint8_t byte) {
  MutexLock lock(mutex_);
  if (bytes_.size() == kCapacity) return;
  bytes_.push_back(static_cast<char>(byte));
  const bool first = wake_ == Wake::kByByte && bytes_.size() == 1;
  if (first || byte == '\n' || bytes_.size() == kWakeAt ||
      std::exchange(asleep_, false)) {
    eventfd_write(event_.get(), 1);
  }
}

void ConsoleBuffer::PutMore(absl::Span<const uint8_t> bytes) {
  MutexLock lock(mutex_);
  const size_t before = bytes_.size();
  const auto put = bytes.first(std::min(bytes.size(), kCapacity - before));
  bytes_.append(put.begin(), put.end());
  if (before < kMuch && bytes_.size() >= kMuch) {
    asleep_ = false;
    eventfd_write(event_.get(), 1);
  }
}

void ConsoleBuffer::End() {
  MutexLock lock(mutex_);
  if (bytes_.empty()) return;
  asleep_ = false;
  eventfd_write(event_.get(), 1);
}

bool ConsoleBuffer::Sleep() {
  MutexLock lock(mutex_);
  asleep_ = bytes_.empty();
  return asleep_;
}

size_t ConsoleBuffer::Room() const {
  MutexLock lock(mutex_);
  return kCapacity - bytes_.size();
}

std::string ConsoleBuffer::Take() {
  eventfd_t ignored;
  eventfd_read(event_.get(), &ignored);
  MutexLock lock(mutex_);
  asleep_ = false;
  std::string taken = bytes_;
  bytes_.clear();
  return taken;
}

}  // namespace vmm
