// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_RUN_OPTIONS_H_
#define PARKVMM_VMM_CLI_RUN_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"

namespace vmm {

// What the user said to `vmm run`, as said.
struct RunOptions {
  std::string kernel;
  std::vector<std::string> command;  // What stood behind `--`.
  std::string initrd;
  std::string rootfs;
  std::vector<std::string> params;
  uint32_t cpus = 1;
  uint64_t memory = uint64_t{1} << 30;
  std::string psci = "vmm";
  std::string firmware = "none";  // Parsed: with all its numbers.
  std::string park;               // Empty: see ParkOf().
  std::string park_base;
  std::string park_node = "no-map";
  bool idle_states = false;
  bool strict = false;
  std::vector<std::string> allow_splats;
  std::string symbols;
  bool raw = false;
  std::optional<uint64_t> seed;
  std::string timeout = "5m";
  std::string on_reset = "fail";
  std::string panic_grace = "5s";
  std::optional<uint32_t> expect_kexecs;
  std::optional<uint32_t> kexec;
  std::vector<std::string> next;  // What to kexec into; empty: the same kernel.
  std::string max;                // As said; ParseLimits() reads it.
  bool bisect = false;
  std::string tty = "auto";
  std::string arm = "stock";
  std::string label;  // Empty: what the host is found to be.
  std::string events;
  std::string results;
  std::string dump_dtb;
  std::vector<std::string> formats;
  std::string seccomp = "on";
  std::string config;
  bool dry_run = false;
  bool skip_if_no_kvm = false;
  bool verbose = false;
};

// Adds `vmm run`'s options to `app`; parsing fills `options`. Options that no
// one of `words` can mean may be left out, if there are words; they outlive the
// call only.
void DefineRunOptions(CLI::App& app, RunOptions& options,
                      absl::Span<const char* const> words = {});

// Fills in what --config FILE says and the command line does not; call it after
// parsing. The file holds a JSON object whose keys are the long option names,
// as
// --dry-run prints it; the key "plan" is ignored. kInvalidArgument names the
// file and the key.
absl::Status ApplyConfigFile(CLI::App& command, RunOptions& options);

// What --park means: "off", "guest" or "host".
std::string ParkOf(const RunOptions& options);

// The effective configuration.
nlohmann::json ToJson(const RunOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_RUN_OPTIONS_H_
