// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/limits.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/measure/report.h"

namespace vmm {
namespace {

using Field = std::optional<int64_t> (*)(const Boot& boot);

constexpr std::pair<absl::string_view, Field> kMeasures[] = {
    {"prepare", [](const Boot& boot) { return boot.phases.prepare; }},
    {"down", [](const Boot& boot) { return boot.phases.down; }},
    {"jump", [](const Boot& boot) { return boot.phases.jump; }},
    {"early", [](const Boot& boot) { return boot.phases.early; }},
    {"up", [](const Boot& boot) { return boot.phases.up; }},
    {"userspace", [](const Boot& boot) { return boot.phases.userspace; }},
    {"total", [](const Boot& boot) { return boot.total; }},
    {"teardown", [](const Boot& boot) { return boot.teardown; }},
};

std::optional<int64_t> TimeOf(const Boot& boot, const Limit& limit) {
  for (const auto& [name, field] : kMeasures) {
    if (name != limit.what) continue;
    const std::optional<int64_t> ns = field(boot);
    if (!ns || !limit.per_cpu) return ns;
    if (boot.cpus < 2) return std::nullopt;
    return *ns / (int64_t{boot.cpus} - 1);
  }
  return std::nullopt;
}

}  // namespace

bool IsMeasure(absl::string_view what) {
  for (const auto& [name, field] : kMeasures) {
    if (name == what) return true;
  }
  return false;
}

std::string NameOf(const Limit& limit) {
  return absl::StrCat(limit.what, limit.per_cpu ? "/cpu" : "");
}

std::string Excess::Sentence(const Boot& boot) const {
  const std::string name = NameOf(*limit);
  if (!ns) {
    return absl::StrFormat(
        "kexec %d: %s was not seen, so nobody knows whether it kept --max",
        boot.number, name);
  }
  return absl::StrFormat(
      "kexec %d: %s took %s ms, %s ms more than the %s ms of --max",
      boot.number, name, Milliseconds(*ns), Milliseconds(*ns - limit->ns),
      Milliseconds(limit->ns));
}

std::optional<Excess> FirstExcess(const Boot& boot,
                                  absl::Span<const Limit> limits) {
  if (!boot.kexec || !boot.came_up || boot.crash) return std::nullopt;
  for (const Limit& limit : limits) {
    const std::optional<int64_t> ns = TimeOf(boot, limit);
    if (!ns || *ns > limit.ns) return Excess{&limit, ns};
  }
  return std::nullopt;
}

}  // namespace vmm
