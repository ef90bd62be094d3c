// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_WRITABLE_BLOCKS_H_
#define PARKVMM_VMM_PARK_WRITABLE_BLOCKS_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "vmm/base/guest_address.h"

namespace vmm {

// How a park window is cut into blocks: what is opened and closed as one. A
// block is a page of the host, or several where a guest with larger pages has
// a large window. Constant, so any thread.
class BlockMap {
 public:
  // Sets of blocks are copied under a lock, so they are a few words.
  static constexpr size_t kMaxBlocks = 1024;
  using Set = std::bitset<kMaxBlocks>;

  // `host_page`: bytes. `window`: whole pages of the host.
  BlockMap(GuestRange window, uint64_t host_page);

  size_t count() const { return count_; }
  const Set& all() const { return all_; }
  bool Contains(GuestAddress address) const {
    return window_.Contains(address);
  }
  // `address` is in the window.
  size_t BlockOf(GuestAddress address) const;
  // Returns each run of neighbours in `blocks`, in order: changing a range
  // costs as much as changing a block.
  absl::InlinedVector<GuestRange, 8> RangesOf(const Set& blocks) const;

 private:
  const GuestRange window_;
  const uint64_t block_bytes_;
  const size_t count_;
  Set all_;
};

// Which blocks of a park window the guest can write to, and in which CPUs are
// parked. A value that says what to open next; the caller opens it. Not
// thread-safe.
class WritableBlocks {
 public:
  // Nothing is writable.
  explicit WritableBlocks(const BlockMap& map)
      : map_(map), occupants_(map.count()) {}

  bool NoneWritable() const { return writable_.none(); }
  const BlockMap::Set& writable() const { return writable_; }
  BlockMap::Set NotWritable() const { return map_.all() & ~writable_; }
  void Open(const BlockMap::Set& blocks) { writable_ |= blocks; }
  void Close(const BlockMap::Set& blocks) { writable_ &= ~blocks; }

  // A CPU comes to, or leaves, the park page at `address`.
  void Occupy(GuestAddress address);
  void Vacate(GuestAddress address);

  // Returns what to open for a store to `target`, if that is known: vacant
  // blocks, of which there may be none. Whoever stores to one page only while
  // others are parked wipes it; whoever stores to two, or while nobody is
  // parked, will fill them all.
  BlockMap::Set ToOpen(std::optional<GuestAddress> target) const;

 private:
  const BlockMap& map_;
  BlockMap::Set writable_;
  BlockMap::Set occupied_;
  std::vector<uint32_t> occupants_;  // By block.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_WRITABLE_BLOCKS_H_
