// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.h"

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace vmm {
namespace {

std::shared_ptr<spdlog::logger> MakeLogger(const char* name,
                                           const char* pattern) {
  auto logger = spdlog::stderr_logger_mt(name);
  logger->set_pattern(pattern);
  return logger;
}

spdlog::logger& Prefixed() {
  static const auto logger = MakeLogger("vmm", "vmm: %v");
  return *logger;
}

spdlog::string_view_t View(absl::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

void LogInfo(absl::string_view line) { Prefixed().info(View(line)); }
void LogWarning(absl::string_view line) {
  Prefixed().warn("warning: {}", View(line));
}
void LogError(absl::string_view line) {
  Prefixed().error("error: {}", View(line));
}

void LogPlain(absl::string_view text) {
  static const auto logger = MakeLogger("plain", "%v");
  logger->info(View(text));
}

}  // namespace vmm
