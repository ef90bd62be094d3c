// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"

namespace vmm {

absl::StatusOr<GuestMemory> GuestMemory::Map(GuestRange range) {
  void* host = mmap(nullptr, range.size(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (host == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("cannot map %d MiB of guest RAM: %s; ask for less "
                        "with --memory",
                        range.size() >> 20, std::strerror(errno)));
  }
  return GuestMemory(range, host);
}

GuestMemory::GuestMemory(GuestMemory&& other) noexcept
    : range_(other.range_), host_(std::exchange(other.host_, nullptr)) {}

GuestMemory& GuestMemory::operator=(GuestMemory&& other) noexcept {
  std::swap(range_, other.range_);
  std::swap(host_, other.host_);
  return *this;
}

GuestMemory::~GuestMemory() {
  if (host_ != nullptr) munmap(host_, range_.size());
}

absl::StatusOr<uint8_t*> GuestMemory::HostPointer(GuestAddress base,
                                                  uint64_t size) const {
  const auto wanted = GuestRange::Make(base, size);
  if (!wanted || !range_.Contains(*wanted)) {
    return absl::OutOfRangeError(
        absl::StrFormat("%#x+%#x is not guest RAM", base.value(), size));
  }
  return static_cast<uint8_t*>(host_) + (base.value() - range_.base().value());
}

absl::StatusOr<void*> GuestMemory::HostRange(GuestRange part) const {
  return HostPointer(part.base(), part.size());
}

absl::Status GuestMemory::Write(GuestAddress to,
                                absl::Span<const uint8_t> bytes) {
  if (bytes.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(uint8_t* const host, HostPointer(to, bytes.size()));
  std::memcpy(host, bytes.data(), bytes.size());
  return absl::OkStatus();
}

absl::Status GuestMemory::Read(GuestAddress from,
                               absl::Span<uint8_t> bytes) const {
  if (bytes.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint8_t* const host, HostPointer(from, bytes.size()));
  std::memcpy(bytes.data(), host, bytes.size());
  return absl::OkStatus();
}

}  // namespace vmm
