// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/writable_blocks.h"

namespace vmm {
namespace {

// A window has room for 512 CPUs' pages. A page is the guest's and a multiple
// of 64 KiB at most, so this ends at 64 KiB or before.
uint64_t BlockBytes(GuestRange window, uint64_t host_page) {
  uint64_t bytes = host_page;
  while (window.size() / bytes > BlockMap::kMaxBlocks) bytes *= 2;
  return bytes;
}

}  // namespace

BlockMap::BlockMap(GuestRange window, uint64_t host_page)
    : window_(window),
      block_bytes_(BlockBytes(window, host_page)),
      count_(window.size() / block_bytes_) {
  for (size_t i = 0; i < count_; ++i) all_.set(i);
}

size_t BlockMap::BlockOf(GuestAddress address) const {
  return (address.value() - window_.base().value()) / block_bytes_;
}

absl::InlinedVector<GuestRange, 8> BlockMap::RangesOf(const Set& blocks) const {
  absl::InlinedVector<GuestRange, 8> ranges;
  size_t left = blocks.count();
  for (size_t first = 0; left != 0;) {
    while (!blocks[first]) ++first;
    size_t count = 1;
    while (first + count < blocks.size() && blocks[first + count]) ++count;
    ranges.push_back(*GuestRange::Make(
        GuestAddress(window_.base().value() + first * block_bytes_),
        count * block_bytes_));
    first += count;
    left -= count;
  }
  return ranges;
}

void WritableBlocks::Occupy(GuestAddress address) {
  const size_t block = map_.BlockOf(address);
  ++occupants_[block];
  occupied_.set(block);
}

void WritableBlocks::Vacate(GuestAddress address) {
  const size_t block = map_.BlockOf(address);
  if (--occupants_[block] == 0) occupied_.reset(block);
}

BlockMap::Set WritableBlocks::ToOpen(std::optional<GuestAddress> target) const {
  const BlockMap::Set vacant = NotWritable() & ~occupied_;
  if (occupied_.any() && NoneWritable() && target && map_.Contains(*target)) {
    const size_t block = map_.BlockOf(*target);
    if (vacant[block]) return BlockMap::Set().set(block);
  }
  return vacant;
}

}  // namespace vmm
