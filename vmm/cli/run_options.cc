// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_options.h"

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "psci-emul/firmware_model.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"
#include "vmm/boot/memory_map.h"
#include "vmm/cli/formats.h"
#include "vmm/cli/option_definer.h"
#include "vmm/cli/quantities.h"
#include "vmm/kvm/host_label.h"

namespace vmm {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
// What --dry-run adds to the configuration; it follows from the rest.
constexpr absl::string_view kPlanKey = "plan";
// No option, but what stands behind `--`.
constexpr absl::string_view kCommandKey = "command";

// What the command line would have said. kInvalidArgument for what no word
// says: an object, or a list in a list.
absl::StatusOr<std::vector<std::string>> Words(const json& value) {
  std::vector<std::string> words;
  const auto add = [&words](const json& element) {
    if (element.is_structured()) return false;
    words.push_back(element.is_string() ? element.get<std::string>()
                                        : element.dump());
    return true;
  };
  if (value.is_array() ? absl::c_all_of(value, add) : add(value)) return words;
  return absl::InvalidArgumentError("say a word, or a list of words");
}

bool SaysNothing(const json& value) {
  return value.is_null() || value == "" || value == json::array() ||
         value == false;
}

CLI::Option* FindOption(CLI::App& command, const std::string& key) {
  return command.get_option_no_throw(key == "kernel" ? key : "--" + key);
}

// Checks, as Definition has them. This one writes the model out in full, so
// that
// --dry-run and the results hold its numbers.
std::string ExpandFirmware(std::string& text) {
  const auto model = psci::ParseFirmwareModel(text);
  if (!model.ok()) return std::string(model.status().message());
  text = psci::TextOf(*model);
  return "";
}

std::string CheckLabel(std::string& text) {
  const auto labels = AllLabels();
  if (absl::c_linear_search(labels, text)) return "";
  return absl::StrCat(text, " is not one of ", absl::StrJoin(labels, "|"));
}

std::string CheckFormat(std::string& text) {
  const auto format = ParseFormat(text);
  return format.ok() ? "" : std::string(format.status().message());
}

std::string CheckLimits(std::string& text) {
  const auto limits = ParseLimits(text);
  return limits.ok() ? "" : std::string(limits.status().message());
}

std::string CheckCpus(std::string& text) {
  uint32_t cpus = 0;
  if (absl::SimpleAtoi(text, &cpus) && cpus >= 1 && cpus <= kMaxCpus) return "";
  return absl::StrCat(text, " is not 1 to ", kMaxCpus);
}

std::string InBytes(std::string& text) {
  const auto bytes = ParseSize(text);
  if (!bytes.ok()) return std::string(bytes.status().message());
  text = absl::StrCat(*bytes);
  return "";
}

// --on-reset fail was called exit in version 0.1.
std::string CurrentName(std::string& text) {
  if (text == "exit") text = "fail";
  return "";
}

}  // namespace

void DefineRunOptions(CLI::App& app, RunOptions& options,
                      absl::Span<const char* const> words) {
  OptionDefiner command(app, words);
  command
      .add_option("kernel", options.kernel,
                  "arm64 Image (plain, gzip, zstd), EFI zboot file or UKI")
      .type_name("KERNEL");
  command.add_option("-i,--initrd", options.initrd, "initial RAM disk")
      .type_name("FILE");
  command
      .add_option("--rootfs", options.rootfs,
                  "in place of --initrd: the guest's root file system, a "
                  "folder or a tar or cpio archive")
      .type_name("DIR|TAR|CPIO");
  command
      .add_option("-p,--params,--append", options.params,
                  "appended to the kernel's command line; repeatable")
      .type_name("TEXT")
      .allow_extra_args(false)
      .take_all();
  command.add_option("-c,--cpus,--smp", options.cpus, "vCPUs, 1 to 512")
      .type_name("N")
      .check(CheckCpus);
  command.add_option("-m,--memory", options.memory, "RAM, such as 512M or 4G")
      .type_name("SIZE[KMGT]")
      .transform(InBytes);
  command
      .add_option("--psci", options.psci,
                  "who answers PSCI: this VMM, or KVM for comparison")
      .type_name("vmm|kvm")
      .one_of("vmm|kvm");
  command
      .add_option("--firmware", options.firmware,
                  "what CPU_OFF and CPU_ON cost besides: none, n1sdp, juno, "
                  "kunpeng920, thunderx2, or numbers: "
                  "off=14us,on=70ms,far-on=160ms,socket=32,lock")
      .type_name("MODEL")
      .transform(ExpandFirmware);
  command
      .add_option("--park", options.park,
                  "where CPUs may park besides CPU_OFF: nowhere, in RAM by the "
                  "guest's own loop, or in the VMM (default: host; off with "
                  "--psci kvm or --raw)")
      .type_name("off|guest|host")
      .one_of("off|guest|host")
      .default_str("");
  command
      .add_option("--park-base", options.park_base,
                  "where the park pages lie in RAM; else at its end")
      .type_name("ADDRESS");
  command
      .add_option("--park-node", options.park_node,
                  "how the devicetree reserves the park pages: no-map, or "
                  "reserved for a kernel of before 2021, whose no-map takes "
                  "memory away")
      .type_name("no-map|reserved")
      .one_of("no-map|reserved");
  command.add_flag("--idle-states", options.idle_states,
                   "the guest may idle by CPU_SUSPEND: the devicetree has a "
                   "standby state, which costs more than WFI");
  command.add_flag("--strict", options.strict,
                   "exit 66 if a parked CPU or its page was mistreated");
  command
      .add_option("--allow-splat", options.allow_splats,
                  "a complaint of the guest's kernel on its console that does "
                  "not fail the run, by a part of its line; repeatable")
      .type_name("TEXT")
      .allow_extra_args(false)
      .take_all();
  command
      .add_option("--symbols", options.symbols,
                  "the kernel's System.map or vmlinux: says in which function "
                  "each CPU of a guest that failed was")
      .type_name("FILE");
  command.add_flag("--raw", options.raw,
                   "KERNEL is a flat binary, loaded at RAM + 0x80000");
  command
      .add_option("--seed", options.seed,
                  "fixes the guest's rng-seed and kaslr-seed")
      .type_name("N");
  command
      .add_option("--timeout", options.timeout,
                  "the run ends by then, such as 90s or 5m")
      .type_name("DURATION");
  command
      .add_option("--on-reset", options.on_reset,
                  "what a guest's reset is: a failure (exit 67), as good as "
                  "a power-off, or the next boot")
      .transform(CurrentName)
      .type_name("fail|ok|reboot")
      .one_of("fail|ok|reboot");
  command
      .add_option("--panic-grace", options.panic_grace,
                  "how long after a panic's last sign of life the guest may "
                  "take to reset or to start a crash kernel")
      .type_name("DURATION");
  command
      .add_option("--expect-kexecs", options.expect_kexecs,
                  "exit 1 unless this many kexecs came up")
      .type_name("N");
  command
      .add_option("--kexec", options.kexec,
                  "after COMMAND kexec into the same kernel and run it again, "
                  "so often; exit 1 unless all of them came up")
      .type_name("N");
  command
      .add_option("--next", options.next,
                  "with --kexec: the kernel to kexec into in place of the "
                  "same; several take turns, KERNEL the last of them; "
                  "repeatable")
      .type_name("KERNEL")
      .default_str("")
      .allow_extra_args(false)
      .take_all();
  command
      .add_option("--max", options.max,
                  "exit 1 if a kexec takes longer: down=5ms,up=30ms, for any "
                  "phase, total and teardown; down/cpu=2ms for each CPU but "
                  "the first")
      .type_name("LIMITS")
      .check(CheckLimits);
  command.add_flag("--bisect", options.bisect,
                   "exit as `git bisect run` wants it: 0, 1 for what the guest "
                   "did wrong, 125 for what it did not");
  command
      .add_option("--tty", options.tty,
                  "whether COMMAND has a terminal; auto: if stdin and stdout "
                  "are one")
      .type_name("auto|on|off")
      .one_of("auto|on|off");
  command
      .add_option("--arm", options.arm,
                  "name in the results for what is being measured")
      .type_name("NAME");
  command
      .add_option("--label", options.label,
                  "insist on a label for the results, which say so; without "
                  "it they have the one that `vmm doctor` shows")
      .type_name("LABEL")
      .check(CheckLabel);
  command
      .add_option("--events", options.events,
                  "write every PSCI call, park, release and mark: JSON Lines")
      .type_name("FILE");
  command.add_option("--results", options.results, "write the results: JSON")
      .type_name("FILE");
  command
      .add_option("--dump-dtb", options.dump_dtb,
                  "write the guest's device tree blob")
      .type_name("FILE");
  command
      .add_option("--format", options.formats,
                  "how the run went, as text, json, junit, ktap, tap or "
                  "github: in a file, or on stdout once the guest has ended; "
                  "repeatable")
      .type_name("FORMAT[:FILE]")
      .default_str("")
      .allow_extra_args(false)
      .take_all()
      .check(CheckFormat);
  command
      .add_option("--seccomp", options.seccomp,
                  "what becomes of a system call that the VMM never makes: it "
                  "ends with 72, or the kernel's log has it, or nothing")
      .type_name("on|log|off")
      .one_of("on|log|off");
  command
      .add_option("--config", options.config,
                  "options from a JSON file, as --dry-run prints them; the "
                  "command line wins")
      .type_name("FILE");
  command.add_flag(
      "--dry-run", options.dry_run,
      "print the effective configuration and the machine's plan as "
      "JSON, run nothing");
  command.add_flag("--skip-if-no-kvm", options.skip_if_no_kvm,
                   "exit 77, not 69, where this host cannot run it");
  command.add_flag("-v,--verbose", options.verbose,
                   "after each kexec, where each CPU's time went; with "
                   "COMMAND the guest's console, on stderr");
}

absl::Status ApplyConfigFile(CLI::App& command, RunOptions& options) {
  if (options.config.empty()) return absl::OkStatus();
  const auto complain = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config ", options.config, ": ", what));
  };
  ASSIGN_OR_RETURN(const std::vector<uint8_t> text,
                   ReadFile(options.config, kMaxConfigBytes));
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return complain("not a JSON object");
  for (const auto& [key, value] : config.items()) {
    if (key == kPlanKey) continue;
    CLI::Option* const option = FindOption(command, key);
    if (option == nullptr && key != kCommandKey) {
      return complain(absl::StrCat("unknown key ", key));
    }
    const bool said =
        option == nullptr ? !options.command.empty() : option->count() > 0;
    if (said || SaysNothing(value)) continue;
    auto words = Words(value);
    if (!words.ok()) {
      return complain(absl::StrCat(key, ": ", words.status().message()));
    }
    if (option == nullptr) {
      options.command = *std::move(words);
      continue;
    }
    try {
      option->add_result(*std::move(words));
      option->run_callback();
    } catch (const CLI::Error& error) {
      return complain(absl::StrCat(key, ": ", error.what()));
    }
  }
  return absl::OkStatus();
}

std::string ParkOf(const RunOptions& options) {
  if (!options.park.empty()) return options.park;
  const bool unasked = options.raw && options.park_base.empty();
  return options.psci == "kvm" || unasked ? "off" : "host";
}

json ToJson(const RunOptions& options) {
  json config = {
      {"kernel", options.kernel},
      {"command", options.command},
      {"initrd", options.initrd},
      {"rootfs", options.rootfs},
      {"params", options.params},
      {"cpus", options.cpus},
      {"memory", options.memory},
      {"psci", options.psci},
      {"firmware", options.firmware},
      {"park", ParkOf(options)},
      {"park-base", options.park_base},
      {"park-node", options.park_node},
      {"idle-states", options.idle_states},
      {"strict", options.strict},
      {"allow-splat", options.allow_splats},
      {"symbols", options.symbols},
      {"raw", options.raw},
      {"seed", nullptr},
      {"timeout", options.timeout},
      {"on-reset", options.on_reset},
      {"panic-grace", options.panic_grace},
      {"expect-kexecs", nullptr},
      {"kexec", nullptr},
      {"next", options.next},
      {"max", options.max},
      {"bisect", options.bisect},
      {"tty", options.tty},
      {"arm", options.arm},
      {"label", options.label},
      {"events", options.events},
      {"results", options.results},
      {"dump-dtb", options.dump_dtb},
      {"format", options.formats},
      {"seccomp", options.seccomp},
      {"skip-if-no-kvm", options.skip_if_no_kvm},
      {"verbose", options.verbose},
  };
  if (options.seed) config["seed"] = *options.seed;
  if (options.expect_kexecs) config["expect-kexecs"] = *options.expect_kexecs;
  if (options.kexec) config["kexec"] = *options.kexec;
  return config;
}

}  // namespace vmm
