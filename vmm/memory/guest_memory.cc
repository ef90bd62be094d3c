// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"

namespace vmm {

namespace {

// Where a huge page begins, in the host and in the guest's second stage alike.
constexpr uint64_t kHugePage = uint64_t{2} << 20;

// Returns a mapping of `bytes` that begins as far from a huge page's boundary
// as `like` does, or MAP_FAILED.
void* MapLike(uint64_t like, uint64_t bytes) {
  void* const mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return mapped;
  auto* const all = static_cast<uint8_t*>(mapped);
  const uint64_t before =
      (like - reinterpret_cast<uintptr_t>(mapped)) % kHugePage;
  if (before != 0) munmap(all, before);
  munmap(all + before + bytes, kHugePage - before);
  return all + before;
}

}  // namespace

absl::StatusOr<GuestMemory> GuestMemory::Map(GuestRange range) {
  void* const host = MapLike(range.base().value(), range.size());
  if (host == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("cannot map %d MiB of guest RAM: %s; ask for less "
                        "with --memory",
                        range.size() >> 20, std::strerror(errno)));
  }
  madvise(host, range.size(), MADV_HUGEPAGE);  // Or small ones will do.
  // A crash of ours is not to publish what the guest has in memory.
  madvise(host, range.size(), MADV_DONTDUMP);
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

absl::Status GuestMemory::WriteContent(GuestAddress to,
                                       const Content& content) {
  if (content.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(uint8_t* const host, HostPointer(to, content.size()));
  return content.ReadAt(0, absl::MakeSpan(host, content.size()));
}

absl::Status GuestMemory::Read(GuestAddress from,
                               absl::Span<uint8_t> bytes) const {
  if (bytes.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint8_t* const host, HostPointer(from, bytes.size()));
  std::memcpy(bytes.data(), host, bytes.size());
  return absl::OkStatus();
}

}  // namespace vmm
