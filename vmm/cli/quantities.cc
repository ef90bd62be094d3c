// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/quantities.h"

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace vmm {
namespace {

constexpr absl::string_view kUnits = "kmgt";
constexpr double kLeastBareBytes = 65536;
constexpr double kMostBytes = 9e18;  // Fits an int64_t, too.

absl::Status Complain(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(text, what));
}

// Digits, perhaps with a point among them. By strtod(), which is there anyhow;
// Abseil's own has large tables.
std::optional<double> Number(absl::string_view text) {
  constexpr char kDigits[] = "0123456789";
  const bool is_plain = text.find_first_of(kDigits) != text.npos &&
                        text.find_first_not_of("0123456789.") == text.npos &&
                        text.find('.') == text.rfind('.');
  if (!is_plain) return std::nullopt;
  return std::strtod(std::string(text).c_str(), nullptr);
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  std::string lower = absl::AsciiStrToLower(text);
  absl::string_view number = lower;
  // "b", "ib", or neither; after a unit.
  const bool has_b = absl::ConsumeSuffix(&number, "b");
  const bool has_i = has_b && absl::ConsumeSuffix(&number, "i");
  double factor = 1;
  const size_t unit = number.empty() ? kUnits.npos : kUnits.find(number.back());
  if (unit != kUnits.npos) {
    factor = std::exp2(10.0 * static_cast<double>(unit + 1));
    number.remove_suffix(1);
  }
  const std::optional<double> value = Number(number);
  if (!value || (has_i && factor == 1)) {
    return Complain(text, " is no size; say 512M or 1.5G");
  }
  const double bytes = *value * factor;
  if (factor == 1 && !has_b && bytes < kLeastBareBytes) {
    return Complain(
        text, absl::StrCat(" of what? say ", number, "M or ", number, "G"));
  }
  if (bytes > kMostBytes) return Complain(text, " is more than there can be");
  if (bytes != std::floor(bytes)) {
    return Complain(text, " is no whole number of bytes");
  }
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  if (Number(text).value_or(0) > 0) {
    return Complain(text,
                    absl::StrCat(" of what? say ", text, "s or ", text, "m"));
  }
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) ||
      duration <= absl::ZeroDuration()) {
    return Complain(text, " is no duration; say 90s, 5m or 1h30m");
  }
  return duration;
}

absl::StatusOr<std::vector<Limit>> ParseLimits(absl::string_view text) {
  std::vector<Limit> limits;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> sides =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    absl::string_view what = sides.first;
    const bool per_cpu = absl::ConsumeSuffix(&what, "/cpu");
    if (!IsMeasure(what)) {
      return Complain(part,
                      " is no limit; say down=5ms or up/cpu=30ms; there are "
                      "prepare, down, jump, early, up, userspace, total and "
                      "teardown");
    }
    const auto duration = ParseDuration(sides.second);
    if (!duration.ok()) return duration.status();
    limits.push_back(
        {std::string(what), per_cpu, absl::ToInt64Nanoseconds(*duration)});
  }
  if (limits.empty() && !text.empty()) {
    return Complain(text, " is no limit; say down=5ms");
  }
  return limits;
}

}  // namespace vmm
