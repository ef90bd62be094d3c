// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tally.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vmm {

void KexecTally::Add(const Boot& boot) {
  if (!boot.kexec) return;
  ++came_up_;
  if (boot.phases.down) down_ns_.push_back(*boot.phases.down);
  if (boot.crash) return;
  const std::string back = vmm::CpusBack(boot);
  if (++asked_ == 1) first_back_ = back;
  all_alike_ = all_alike_ && back == first_back_;
  const int64_t lost = int64_t{boot.cpus} - boot.cpus_back;
  if (lost > worst_.lost) worst_ = {boot.number, lost, back};
}

std::string KexecTally::Summary(uint32_t begun,
                                std::optional<uint32_t> expected, Times times,
                                absl::string_view label) const {
  const uint32_t wanted = std::max(begun, expected.value_or(0));
  if (wanted == 0) return "";
  std::string line =
      absl::StrFormat("parkvmm: %d of %d kexec%s%s", came_up_, wanted,
                      wanted == 1 ? "" : "s", CpusBack());
  if (times == Times::kShown && !down_ns_.empty()) {
    absl::StrAppend(&line, Down(), ", ", label);
  }
  return line;
}

std::string KexecTally::CpusBack() const {
  if (asked_ == 0) return "";
  if (worst_.lost > 0) {
    return absl::StrFormat(", kexec %d brought back %s CPUs", worst_.number,
                           worst_.back);
  }
  return absl::StrCat(", ", all_alike_ ? first_back_ : "all", " CPUs back",
                      asked_ > 1 ? " each time" : "");
}

std::string KexecTally::Down() const {
  std::vector<int64_t> down = down_ns_;
  std::sort(down.begin(), down.end());
  const size_t half = down.size() / 2;
  if (down.size() == 1) {
    return absl::StrFormat("; down %s ms", Milliseconds(down[0]));
  }
  const int64_t median =
      down.size() % 2 ? down[half] : (down[half - 1] + down[half]) / 2;
  return absl::StrFormat("; down median %s ms (%s to %s)", Milliseconds(median),
                         Milliseconds(down.front()), Milliseconds(down.back()));
}

}  // namespace vmm
