// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_KERNEL_IMAGE_H_
#define PARKVMM_VMM_BOOT_KERNEL_IMAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/base/content.h"

namespace vmm {

// More is no kernel, packed or unpacked.
inline constexpr uint64_t kMaxKernelBytes = uint64_t{1} << 30;

// A kernel, unpacked and ready to be placed in guest memory.
struct KernelImage {
  Content content;
  // From a 2 MiB boundary to the first byte, which is the entry point too.
  uint64_t text_offset = 0;
  // Bytes of memory it takes from its first byte on, bss included: at least
  // content.size(), at most kMaxKernelBytes. 0: it does not say.
  uint64_t image_size = 0;
  // The page size it was built for, in bytes: 4096, 16384 or 65536. 0: it does
  // not say.
  uint32_t page_size = 0;
  bool raw = false;    // A flat binary, of which nothing is known.
  std::string format;  // For a log line, such as "Image" or "zboot (gzip)".
  std::string note;    // A line for the user; empty: there is none.
};

// Takes what arm64 kernels come as: an Image, plain or packed with gzip or
// zstd, an EFI zboot file around one, or a systemd unified kernel image around
// any of them, of which the kernel alone is taken. `limit`, at most
// kMaxKernelBytes: how much a packed one may unpack to. kInvalidArgument for
// everything else: one line with `name`, what is wrong and what to do. A plain
// Image that was cut short is noticed only if it is an EFI application too.
// Errors as Content::ReadAt()'s, too. Any thread.
absl::StatusOr<KernelImage> ParseKernel(absl::string_view name,
                                        const Content& file,
                                        uint64_t limit = kMaxKernelBytes);

// Takes a flat binary as it is, for text_offset 0x80000. kInvalidArgument if
// it is empty or larger than kMaxKernelBytes.
absl::StatusOr<KernelImage> ParseRaw(absl::string_view name,
                                     const Content& file);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_KERNEL_IMAGE_H_
