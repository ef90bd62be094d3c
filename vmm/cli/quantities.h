// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_QUANTITIES_H_
#define PARKVMM_VMM_CLI_QUANTITIES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vmm/run/limits.h"

namespace vmm {

// What the user may say of sizes and times, in every option. kInvalidArgument
// says what is wrong with `text`, with an example: "5 of what? say 5s or 5m".

// "512M", "1.5G", "64MiB", "2T": units of 1024, in bytes. A number alone is
// bytes, from 64K on; below, somebody forgot the unit.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// "90s", "5m", "1h30m", "500ms": more than nothing.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// "down=5ms,up/cpu=30ms": in the order in which they stand; empty for none.
absl::StatusOr<std::vector<Limit>> ParseLimits(absl::string_view text);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_QUANTITIES_H_
