// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_GUEST_ADDRESS_H_
#define PARKVMM_VMM_BASE_GUEST_ADDRESS_H_

#include <compare>
#include <cstdint>
#include <optional>

namespace vmm {

// An intermediate physical address: what the guest believes is physical.
// Never a host pointer; only GuestMemory turns one into the other.
class GuestAddress {
 public:
  constexpr explicit GuestAddress(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  friend constexpr auto operator<=>(GuestAddress, GuestAddress) = default;

 private:
  uint64_t value_;
};

// The half-open range [base, base + size) in bytes. Cannot be empty, cannot
// wrap.
class GuestRange {
 public:
  static constexpr std::optional<GuestRange> Make(GuestAddress base,
                                                  uint64_t size) {
    if (size == 0 || size - 1 > UINT64_MAX - base.value()) return std::nullopt;
    return GuestRange(base, size);
  }
  // For ranges known when the program is written; a bad one does not compile.
  static consteval GuestRange Fixed(uint64_t base, uint64_t size) {
    return Make(GuestAddress(base), size).value();
  }
  constexpr GuestAddress base() const { return base_; }
  constexpr GuestAddress last() const {
    return GuestAddress(base_.value() + (size_ - 1));
  }
  constexpr uint64_t size() const { return size_; }
  constexpr bool Contains(GuestAddress address) const {
    return base_ <= address && address <= last();
  }
  constexpr bool Contains(const GuestRange& other) const {
    return base_ <= other.base_ && other.last() <= last();
  }
  constexpr bool Overlaps(const GuestRange& other) const {
    return base_ <= other.last() && other.base_ <= last();
  }
  friend constexpr bool operator==(const GuestRange&,
                                   const GuestRange&) = default;

 private:
  constexpr GuestRange(GuestAddress base, uint64_t size)
      : base_(base), size_(size) {}
  GuestAddress base_;
  uint64_t size_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_GUEST_ADDRESS_H_
