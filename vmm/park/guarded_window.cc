// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guarded_window.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cstring>
#include <utility>

#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

// A CPU whose MMU is off goes past the caches, unless KVM forces it not to:
// what we are about to read must come from memory, what we wrote must get
// there.
void SyncLine([[maybe_unused]] const void* address) {
#if defined(__aarch64__)
  asm volatile("dc civac, %0\n\tdsb sy" ::"r"(address) : "memory");
#endif
}

}  // namespace

uint64_t GuardedWindow::HostPage() {
  static const auto size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return size;
}

absl::StatusOr<GuardedWindow> GuardedWindow::Make(const GuestMemory& memory,
                                                  GuestRange range) {
  ASSIGN_OR_RETURN(void* const place, memory.HostRange(range));
  UniqueFd file(memfd_create("park", MFD_CLOEXEC));
  if (!file.valid() ||
      ftruncate(file.get(), static_cast<off_t>(range.size())) != 0) {
    return ErrnoStatus("memory for the park region");
  }
  void* const ours = mmap(nullptr, range.size(), PROT_READ | PROT_WRITE,
                          MAP_SHARED, file.get(), 0);
  if (ours == MAP_FAILED) return ErrnoStatus("mapping the park region");
  void* const theirs = mmap(place, range.size(), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_FIXED, file.get(), 0);
  if (theirs == MAP_FAILED) {
    absl::Status status = ErrnoStatus("mapping the park region");
    munmap(ours, range.size());
    return status;
  }
  return GuardedWindow(range, theirs, ours);
}

GuardedWindow::GuardedWindow(GuardedWindow&& other) noexcept
    : range_(other.range_),
      guest_side_(other.guest_side_),
      our_side_(std::exchange(other.our_side_, nullptr)) {}

GuardedWindow::~GuardedWindow() {
  if (our_side_ != nullptr) munmap(our_side_, range_.size());
}

absl::Status GuardedWindow::SetWritable(GuestRange part, bool writable) {
  assert(range_.Contains(part));
  const uint64_t offset = part.base().value() - range_.base().value();
  if (mprotect(static_cast<uint8_t*>(guest_side_) + offset, part.size(),
               writable ? PROT_READ | PROT_WRITE : PROT_READ) != 0) {
    return ErrnoStatus("protecting the park region");
  }
  return absl::OkStatus();
}

uint8_t* GuardedWindow::At(GuestAddress address) const {
  assert(range_.Contains(address));
  return static_cast<uint8_t*>(our_side_) +
         (address.value() - range_.base().value());
}

uint64_t GuardedWindow::Load(GuestAddress address) const {
  const uint8_t* const at = At(address);
  SyncLine(at);
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at),
                         __ATOMIC_SEQ_CST);
}

void GuardedWindow::Store(GuestAddress address, uint64_t value) {
  uint8_t* const at = At(address);
  __atomic_store_n(reinterpret_cast<uint64_t*>(at), value, __ATOMIC_SEQ_CST);
  SyncLine(at);
}

void GuardedWindow::Store(GuestAddress address, unsigned size, uint64_t value) {
  if (size == 8) return Store(address, value);
  uint8_t* const at = At(address);
  std::memcpy(at, &value, size);
  SyncLine(at);
}

std::vector<bool> GuardedWindow::Touched() const {
  std::vector<unsigned char> resident(range_.size() / HostPage());
  if (mincore(our_side_, range_.size(), resident.data()) != 0) return {};
  std::vector<bool> touched(resident.size());
  for (size_t i = 0; i < resident.size(); ++i) {
    touched[i] = (resident[i] & 1) != 0;
  }
  return touched;
}

}  // namespace vmm
