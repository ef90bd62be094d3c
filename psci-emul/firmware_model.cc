// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/firmware_model.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace psci {
namespace {

constexpr absl::string_view kNoneName = "none";
constexpr absl::string_view kCustomName = "custom";
constexpr absl::Duration kMaxLatency = absl::Seconds(10);
constexpr uint32_t kMaxSocket = 512;

// In the words of the option. README.md says where the figures are from.
struct Named {
  absl::string_view name;
  absl::string_view settings;
};
constexpr Named kNamed[] = {
    {kNoneName, "parallel"},
    {"n1sdp", "off=14us,on=17us"},
    {"juno", "off=267us,on=34us,lock"},
    {"kunpeng920", "on=38ms"},
    {"thunderx2", "on=70ms,far-on=160ms,socket=128"},
};

// A model of which not everything has been said yet.
struct Draft {
  FirmwareModel model;
  std::optional<int64_t> far_on_ns;  // Else as near.
};

absl::Status ApplyLatency(absl::string_view key, absl::string_view value,
                          int64_t& ns) {
  absl::Duration latency;
  if (!absl::ParseDuration(value, &latency) || latency < absl::ZeroDuration() ||
      latency > kMaxLatency) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, "=", value, " is no duration from 0 to 10s; say ",
                     key, "=14us, for example"));
  }
  ns = absl::ToInt64Nanoseconds(latency);
  return absl::OkStatus();
}

absl::Status Apply(absl::string_view setting, Draft& draft) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(setting, absl::MaxSplits('=', 1));
  const auto& [key, value] = parts;
  FirmwareModel& model = draft.model;
  if (setting == "lock" || setting == "parallel") {
    model.serialised = setting == "lock";
    return absl::OkStatus();
  }
  if (key == "off") return ApplyLatency(key, value, model.off_ns);
  if (key == "on") return ApplyLatency(key, value, model.on_ns);
  if (key == "far-on") {
    return ApplyLatency(key, value, draft.far_on_ns.emplace());
  }
  if (key != "socket") {
    return absl::InvalidArgumentError(absl::StrCat(
        "firmware has no '", setting,
        "'; there are off=14us, on=17us, far-on=20us, socket=32, lock and "
        "parallel"));
  }
  if (!absl::SimpleAtoi(value, &model.cpus_per_socket) ||
      model.cpus_per_socket > kMaxSocket) {
    return absl::InvalidArgumentError(
        absl::StrCat(setting, " is no number of CPUs from 0 to ", kMaxSocket,
                     "; say socket=32, for example"));
  }
  return absl::OkStatus();
}

absl::Status ApplyAll(absl::Span<const absl::string_view> settings,
                      Draft& draft) {
  for (const absl::string_view setting : settings) {
    if (absl::Status status = Apply(setting, draft); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

bool IsSetting(absl::string_view word) {
  return word == "lock" || word == "parallel" ||
         word.find('=') != absl::string_view::npos;
}

}  // namespace

absl::StatusOr<FirmwareModel> ParseFirmwareModel(absl::string_view text) {
  std::vector<absl::string_view> settings = absl::StrSplit(text, ',');
  Draft draft = {.model = {.name = std::string(kCustomName)}};
  if (const absl::string_view first = settings.front(); !IsSetting(first)) {
    const auto* const named =
        std::find_if(std::begin(kNamed), std::end(kNamed),
                     [first](const Named& each) { return each.name == first; });
    if (named == std::end(kNamed)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no firmware is called '", first,
                       "'; there are none, n1sdp, juno, kunpeng920, thunderx2, "
                       "or numbers: off=14us,on=17us,lock"));
    }
    if (named->name != kNoneName || settings.size() == 1) {
      draft.model.name = std::string(named->name);
    }
    settings.erase(settings.begin());
    const std::vector<absl::string_view> its =
        absl::StrSplit(named->settings, ',');
    settings.insert(settings.begin(), its.begin(), its.end());
  }
  if (absl::Status status = ApplyAll(settings, draft); !status.ok()) {
    return status;
  }
  FirmwareModel& model = draft.model;
  if (draft.far_on_ns && model.cpus_per_socket == 0) {
    return absl::InvalidArgumentError(
        "far-on= is for CPUs of another socket, and there is one; say how many "
        "CPUs it has: socket=32");
  }
  model.far_on_ns = draft.far_on_ns.value_or(model.on_ns);
  return model;
}

std::string TextOf(const FirmwareModel& model) {
  if (model.name == kNoneName) return model.name;
  const auto duration = [](int64_t ns) {
    return absl::FormatDuration(absl::Nanoseconds(ns));
  };
  std::string text;
  if (model.name != kCustomName) absl::StrAppend(&text, model.name, ",");
  absl::StrAppend(&text, "off=", duration(model.off_ns),
                  ",on=", duration(model.on_ns));
  if (model.cpus_per_socket != 0) {
    absl::StrAppend(&text, ",far-on=", duration(model.far_on_ns),
                    ",socket=", model.cpus_per_socket);
  }
  return absl::StrCat(text, model.serialised ? ",lock" : ",parallel");
}

bool IsInstant(const FirmwareModel& model) {
  return model.off_ns == 0 && model.on_ns == 0 && model.far_on_ns == 0;
}

int64_t LatencyOf(const FirmwareModel& model, Transition transition,
                  VcpuId cpu) {
  if (transition == Transition::kOff) return model.off_ns;
  const bool near =
      model.cpus_per_socket == 0 || Index(cpu) < model.cpus_per_socket;
  return near ? model.on_ns : model.far_on_ns;
}

int64_t Firmware::CompletionOf(Transition transition, VcpuId cpu,
                               int64_t now_ns) {
  const int64_t latency = LatencyOf(model_, transition, cpu);
  if (!model_.serialised || latency == 0) return now_ns + latency;
  int64_t free = free_ns_.load(std::memory_order_relaxed);
  int64_t done = free;
  do {
    done = std::max(free, now_ns) + latency;
  } while (!free_ns_.compare_exchange_weak(
      free, done, std::memory_order_relaxed, std::memory_order_relaxed));
  return done;
}

}  // namespace psci
