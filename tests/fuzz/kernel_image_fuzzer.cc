// SPDX-License-Identifier: Apache-2.0
// Any file as a kernel: it is taken within its bounds, or refused in one line.
#include "absl/strings/str_cat.h"
#include "tests/fuzz/fuzzer.h"
#include "vmm/boot/kernel_image.h"

namespace {

constexpr uint64_t kLimit = uint64_t{1} << 20;

void CheckImage(const vmm::KernelImage& image, uint64_t most) {
  FUZZ_CHECK(!image.content.empty() && image.content.size() <= most);
  FUZZ_CHECK(image.text_offset < uint64_t{2} << 20);
  FUZZ_CHECK(image.image_size == 0 ||
             (image.image_size >= image.content.size() &&
              image.image_size <= vmm::kMaxKernelBytes));
  FUZZ_CHECK(image.page_size == 0 || image.page_size == 4096 ||
             image.page_size == 16384 || image.page_size == 65536);
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(image.format, false), image.format);
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(image.note, false), image.note);
  FUZZ_CHECK(image.content.ReadAll().ok());
}

}  // namespace

FUZZ_TARGET(kernel_image) {
  const auto bytes = input.TakeRest();
  const vmm::Content file(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  const auto image = vmm::ParseKernel("the/file", file, kLimit);
  if (image.ok()) {
    CheckImage(*image, std::max<uint64_t>(file.size(), kLimit));
  } else {
    const std::string message(image.status().message());
    FUZZ_CHECK_TEXT(image.status().code() == absl::StatusCode::kInvalidArgument,
                    message);
    FUZZ_CHECK_TEXT(message.find("the/file") != std::string::npos, message);
    FUZZ_CHECK_TEXT(fuzz::IsPrintable(message, false), message);
  }
  const auto raw = vmm::ParseRaw("the/file", file);
  FUZZ_CHECK(raw.ok() == !file.empty());
  if (raw.ok()) CheckImage(*raw, file.size());
}
