// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/segments.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tools/guest/init/text.h"

namespace guest_init {
namespace {

constexpr uint64_t kTwoMiB = uint64_t{2} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kInitrdWindow = 32 * kGiB;
constexpr uint64_t kMaxImageBytes = kGiB;
constexpr std::string_view kSystemRam = " : System RAM";
constexpr std::string_view kCrashKernel = " : Crash kernel";

// Fields of the Image header, in bytes from its beginning.
constexpr size_t kTextOffset = 8;
constexpr size_t kImageSize = 16;
constexpr size_t kFlags = 24;
constexpr size_t kMagic = 56;
constexpr size_t kHeaderBytes = 64;
constexpr uint64_t kBigEndianFlag = 1;

uint64_t Up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

uint64_t FieldAt(std::span<const uint8_t> image, size_t offset) {
  uint64_t field;  // Guest and test machines are both little-endian.
  std::memcpy(&field, image.data() + offset, sizeof(field));
  return field;
}

// A line of /proc/iomem, if it ends so.
std::optional<Range> ParseLine(std::string_view line, std::string_view name) {
  if (!line.ends_with(name)) return std::nullopt;
  line.remove_suffix(name.size());
  const size_t dash = line.find('-');
  if (dash == line.npos) return std::nullopt;
  const auto first = ParseNumber(line.substr(0, dash), 16);
  const auto last = ParseNumber(line.substr(dash + 1), 16);
  if (!first || !last || *first >= *last || *last == UINT64_MAX) {
    return std::nullopt;
  }
  return Range{*first, *last + 1};
}

enum class Depth { kTop, kAny };

// The ranges of /proc/iomem with this name. Nested lines begin with spaces,
// which no number does.
std::vector<Range> ParseLines(std::string_view iomem, Depth depth,
                              std::string_view name) {
  std::vector<Range> ranges;
  while (!iomem.empty()) {
    const size_t end = std::min(iomem.find('\n'), iomem.size());
    std::string_view line = iomem.substr(0, end);
    if (depth == Depth::kAny) {
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    }
    if (const auto range = ParseLine(line, name)) ranges.push_back(*range);
    iomem.remove_prefix(std::min(end + 1, iomem.size()));
  }
  return ranges;
}

// Takes the lowest place of `size` bytes that lies `offset` bytes after a
// multiple of `unit`.
std::optional<uint64_t> Take(std::vector<Range>& free, uint64_t size,
                             uint64_t unit, uint64_t offset) {
  for (const Range& range : free) {
    uint64_t place = range.begin / unit * unit + offset;
    if (place < range.begin) place += unit;
    if (place > range.end || range.end - place < size) continue;
    free = Without(free, {place, place + size});
    return place;
  }
  return std::nullopt;
}

// The initrd has to lie in one window with the kernel, which begins on 1 GiB.
bool KernelReaches(const Layout& layout, const Sizes& sizes) {
  const uint64_t begin = std::min(layout.kernel, layout.initrd) / kGiB * kGiB;
  const uint64_t end = std::max(layout.kernel + sizes.kernel.image_size,
                                layout.initrd + sizes.initrd);
  return end - begin <= kInitrdWindow;
}

}  // namespace

std::optional<ImageHeader> ParseImageHeader(std::span<const uint8_t> image) {
  if (image.size() < kHeaderBytes) return std::nullopt;
  if (std::memcmp(image.data() + kMagic, "ARMd", 4) != 0) return std::nullopt;
  const ImageHeader header = {.text_offset = FieldAt(image, kTextOffset),
                              .image_size = FieldAt(image, kImageSize)};
  if ((FieldAt(image, kFlags) & kBigEndianFlag) != 0 ||
      header.text_offset >= kTwoMiB || header.image_size < image.size() ||
      header.image_size > kMaxImageBytes) {
    return std::nullopt;
  }
  return header;
}

std::vector<Range> ParseSystemRam(std::string_view iomem) {
  return ParseLines(iomem, Depth::kTop, kSystemRam);
}

std::optional<Range> ParseCrashKernel(std::string_view iomem) {
  const auto ranges = ParseLines(iomem, Depth::kAny, kCrashKernel);
  const auto largest = std::max_element(
      ranges.begin(), ranges.end(),
      [](const Range& a, const Range& b) { return a.size() < b.size(); });
  if (largest == ranges.end()) return std::nullopt;
  return *largest;
}

std::vector<Range> Without(const std::vector<Range>& ranges,
                           const Range& taken) {
  std::vector<Range> left;
  for (const Range& range : ranges) {
    const Range below = {range.begin, std::min(range.end, taken.begin)};
    const Range above = {std::max(range.begin, taken.end), range.end};
    if (below.begin < below.end) left.push_back(below);
    if (above.begin < above.end) left.push_back(above);
  }
  return left;
}

std::optional<Layout> PlaceSegments(std::vector<Range> free,
                                    const Sizes& sizes) {
  std::sort(free.begin(), free.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  const uint64_t kernel_bytes = Up(sizes.kernel.image_size, sizes.page);
  // The devicetree is mapped as one block: whole 2 MiB keep it apart.
  const auto kernel =
      Take(free, kernel_bytes, kTwoMiB, sizes.kernel.text_offset);
  const auto dtb = Take(free, kMaxTreeBytes, kTwoMiB, 0);
  const auto trampoline = Take(free, sizes.page, sizes.page, 0);
  const auto initrd = Take(free, Up(sizes.initrd, sizes.page), sizes.page, 0);
  if (!kernel || !dtb || !trampoline || !initrd) return std::nullopt;
  const Layout layout = {*kernel, *trampoline, *dtb, *initrd};
  if (!KernelReaches(layout, sizes)) return std::nullopt;
  return layout;
}

std::array<uint32_t, 10> MakeTrampoline(uint64_t kernel, uint64_t dtb) {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) {
    return static_cast<uint32_t>(value >> 32);
  };
  return {
      0x580000c4,                 // ldr x4, . + 24: kernel
      0x580000e0,                 // ldr x0, . + 28: dtb
      0xaa1f03e1,                 // mov x1, xzr
      0xaa1f03e2,                 // mov x2, xzr
      0xaa1f03e3,                 // mov x3, xzr
      0xd61f0080,                 // br x4
      low(kernel), high(kernel),  // 24
      low(dtb),    high(dtb),     // 32
  };
}

}  // namespace guest_init
