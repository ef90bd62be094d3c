// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_SEGMENTS_H_
#define PARKVMM_TOOLS_GUEST_INIT_SEGMENTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace guest_init {

inline constexpr size_t kMaxTreeBytes = size_t{2} << 20;

// Physical addresses from begin up to, not including, end.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;

  uint64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

// What the header of an arm64 Image says; see Linux's booting.rst.
struct ImageHeader {
  uint64_t text_offset = 0;  // From a 2 MiB boundary to its first byte.
  uint64_t image_size = 0;   // The memory it takes, bss included.
};

// Where the parts of the next kernel go; each begins on a page.
struct Layout {
  uint64_t kernel = 0;
  uint64_t trampoline = 0;
  uint64_t dtb = 0;
  uint64_t initrd = 0;

  bool operator==(const Layout&) const = default;
};

struct Sizes {
  ImageHeader kernel;
  uint64_t dtb = 0;  // At most kMaxTreeBytes.
  uint64_t initrd = 0;
  uint64_t page = 4096;
};

// The header of an uncompressed little-endian Image that says how much memory
// it takes (Linux 3.17 or later); else nothing. Pure, like all below.
std::optional<ImageHeader> ParseImageHeader(std::span<const uint8_t> image);

// The top-level "System RAM" lines of /proc/iomem, as they come.
std::vector<Range> ParseSystemRam(std::string_view iomem);

// The largest "Crash kernel" line of /proc/iomem: what crashkernel= reserved.
std::optional<Range> ParseCrashKernel(std::string_view iomem);

// What is left of `ranges` without `taken`.
std::vector<Range> Without(const std::vector<Range>& ranges,
                           const Range& taken);

// The lowest places by the rules of booting.rst. The running kernel need not
// be spared: the kernel copies the segments when nothing else runs any more.
// Nothing if there is no room.
std::optional<Layout> PlaceSegments(std::vector<Range> free,
                                    const Sizes& sizes);

// A64 code that enters the kernel as booting.rst wants it. kexec_load needs
// it: Linux jumps to a loaded image with X0 = 0 and not the devicetree there.
std::array<uint32_t, 10> MakeTrampoline(uint64_t kernel, uint64_t dtb);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_SEGMENTS_H_
