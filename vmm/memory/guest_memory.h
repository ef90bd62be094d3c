// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEMORY_GUEST_MEMORY_H_
#define PARKVMM_VMM_MEMORY_GUEST_MEMORY_H_

#include <cstdint>
#include <optional>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/base/content.h"
#include "vmm/base/guest_address.h"

namespace vmm {

// Guest RAM, one contiguous range, mapped into the host and zero until
// written. The only place a GuestAddress becomes a pointer; every access is
// bounds-checked and copies. Any thread; the guest writes concurrently.
class GuestMemory {
 public:
  // Asks the host for huge pages: without them a guest is half as fast.
  // kResourceExhausted if the host refuses the mapping.
  static absl::StatusOr<GuestMemory> Map(GuestRange range);
  GuestMemory(GuestMemory&& other) noexcept;
  GuestMemory& operator=(GuestMemory&& other) noexcept;
  ~GuestMemory();

  GuestRange range() const { return range_; }
  void* host_base() const { return host_; }  // For KVM's memory slot.

  // Where the host has mapped `part`; for who maps something else there.
  // kOutOfRange if not all of it is RAM.
  absl::StatusOr<void*> HostRange(GuestRange part) const;

  // kOutOfRange if not all of it is RAM; nothing is copied then.
  absl::Status Write(GuestAddress to, absl::Span<const uint8_t> bytes);
  // The same with all of `content`, which is read into its place. Errors as
  // Content::ReadAt()'s, too.
  absl::Status WriteContent(GuestAddress to, const Content& content);
  absl::Status Read(GuestAddress from, absl::Span<uint8_t> bytes) const;
  // nullopt if not all of it is RAM.
  template <typename T>
  std::optional<T> Load(GuestAddress from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    if (!Read(from, {reinterpret_cast<uint8_t*>(&value), sizeof(T)}).ok()) {
      return std::nullopt;
    }
    return value;
  }

 private:
  GuestMemory(GuestRange range, void* host) : range_(range), host_(host) {}
  absl::StatusOr<uint8_t*> HostPointer(GuestAddress base, uint64_t size) const;
  GuestRange range_;
  void* host_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEMORY_GUEST_MEMORY_H_
