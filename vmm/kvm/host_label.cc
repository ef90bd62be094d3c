// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_label.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

constexpr absl::string_view kLabels[] = {kLabelKvm, kLabelKvmOnVm,
                                         kLabelKvmOnTcg, kLabelKvmOnTcgIcount};

// Root nodes of devicetrees that no hardware has: by how their names begin.
struct VirtualTree {
  absl::string_view compatible;
  absl::string_view what;
};
constexpr VirtualTree kVirtualTrees[] = {
    // QEMU's virt board, kvmtool, crosvm, Firecracker, Cloud Hypervisor.
    {"linux,dummy-virt", "a virtual machine"},
    {"xen,", "Xen"},
    {"arm,fvp", "an Arm Fixed Virtual Platform"},
    {"arm,foundation", "Arm's Foundation Platform"},
    {"arm,rtsm", "an Arm Fast Model"},
};

// What hypervisors and clouds put into the DMI tables of their guests: how the
// vendor begins, and a part of the product's name.
struct VirtualProduct {
  absl::string_view vendor;
  absl::string_view product;
};
constexpr VirtualProduct kVirtualProducts[] = {
    {"QEMU", ""},
    {"KubeVirt", ""},
    {"OpenStack", ""},
    {"Red Hat", "KVM"},
    {"", "KVM Virtual Machine"},
    {"Amazon EC2", ""},
    // Chromebooks are Google's, too.
    {"Google", "Google Compute Engine"},
    {"Alibaba Cloud", ""},
    {"Huawei", "Cloud"},
    {"Hetzner", "vServer"},
    {"VMware", ""},
    {"Microsoft Corporation", "Virtual Machine"},
    {"Xen", ""},
    {"Parallels", ""},
    {"innotek GmbH", ""},
    {"Oracle Corporation", "VirtualBox"},
    {"Apple", "Virtualization"},
    {"BHYVE", ""},
};

constexpr uint64_t kMostBytes = 1 << 20;

// Returns nothing if there is no such file.
absl::StatusOr<std::string> Contents(const std::string& path) {
  const auto bytes = ReadFile(path, kMostBytes);
  if (absl::IsNotFound(bytes.status())) return std::string();
  if (!bytes.ok()) return bytes.status();
  return std::string(bytes->begin(), bytes->end());
}

absl::StatusOr<std::string> Line(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, Contents(path));
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::StatusOr<bool> IsThere(const std::string& path) {
  struct stat node;
  if (stat(path.c_str(), &node) == 0) return true;
  const absl::Status error = ErrnoStatus(absl::StrCat("cannot stat ", path));
  if (absl::IsNotFound(error)) return false;
  return error;
}

bool IsLabel(absl::string_view word) {
  return std::find(std::begin(kLabels), std::end(kLabels), word) !=
         std::end(kLabels);
}

// Returns what the command line says after parkvmm.label=, or nothing.
absl::string_view SaidAtBoot(absl::string_view command_line) {
  for (absl::string_view word :
       absl::StrSplit(command_line, absl::ByAnyChar(" \n"))) {
    if (absl::ConsumePrefix(&word, "parkvmm.label=") && IsLabel(word)) {
      return word;
    }
  }
  return "";
}

// EC2 names instances that have a whole machine c7g.metal or c7g.metal-24xl.
bool IsBareMetal(const HostSigns& signs) {
  return absl::StartsWith(signs.dmi_vendor, "Amazon EC2") &&
         absl::StrContains(signs.dmi_product, ".metal");
}

// Returns why this is no hardware of its own, or nothing.
std::string WhyVirtual(const HostSigns& signs) {
  for (const absl::string_view name :
       absl::StrSplit(signs.compatible, '\0', absl::SkipEmpty())) {
    for (const VirtualTree& tree : kVirtualTrees) {
      if (absl::StartsWith(name, tree.compatible)) {
        return absl::StrCat("the devicetree is that of ", tree.what, " (", name,
                            ")");
      }
    }
  }
  if (signs.hypervisor_node) return "the devicetree has a hypervisor node";
  if (!signs.hypervisor_type.empty()) {
    return absl::StrCat("/sys/hypervisor says ", signs.hypervisor_type);
  }
  if (IsBareMetal(signs)) return "";
  for (const VirtualProduct& known : kVirtualProducts) {
    if (absl::StartsWith(signs.dmi_vendor, known.vendor) &&
        absl::StrContains(signs.dmi_product, known.product)) {
      return absl::StrCat("DMI says ", signs.dmi_vendor, ", ",
                          signs.dmi_product);
    }
  }
  return "";
}

HostLabel Found(const HostSigns& signs) {
  if (const absl::string_view said = SaidAtBoot(signs.command_line);
      !said.empty()) {
    return {std::string(said), "the kernel command line says so"};
  }
  if (std::string why = WhyVirtual(signs); !why.empty()) {
    return {std::string(kLabelKvmOnVm), std::move(why)};
  }
  return {std::string(kLabelKvm),
          "neither devicetree nor DMI names a hypervisor"};
}

}  // namespace

std::vector<std::string> AllLabels() {
  return {std::begin(kLabels), std::end(kLabels)};
}

absl::StatusOr<HostSigns> ReadHostSigns(const std::string& root) {
  const std::string tree = root + "/sys/firmware/devicetree/base/";
  const std::string dmi = root + "/sys/class/dmi/id/";
  HostSigns signs;
  ASSIGN_OR_RETURN(signs.command_line, Contents(root + "/proc/cmdline"));
  ASSIGN_OR_RETURN(signs.compatible, Contents(tree + "compatible"));
  ASSIGN_OR_RETURN(signs.hypervisor_node, IsThere(tree + "hypervisor"));
  ASSIGN_OR_RETURN(signs.hypervisor_type, Line(root + "/sys/hypervisor/type"));
  ASSIGN_OR_RETURN(signs.dmi_vendor, Line(dmi + "sys_vendor"));
  ASSIGN_OR_RETURN(signs.dmi_product, Line(dmi + "product_name"));
  return signs;
}

HostLabel LabelOf(const HostSigns& signs, absl::string_view insisted_on) {
  HostLabel found = Found(signs);
  if (insisted_on.empty() || insisted_on == found.name) return found;
  return {std::string(insisted_on),
          absl::StrCat("insisted on by --label in place of ", found.name,
                       ", as ", found.reason),
          true};
}

absl::StatusOr<HostLabel> LabelOf(const absl::StatusOr<HostSigns>& signs,
                                  absl::string_view insisted_on) {
  if (signs.ok()) return LabelOf(*signs, insisted_on);
  const absl::string_view why = signs.status().message();
  if (!insisted_on.empty()) {
    return HostLabel{
        std::string(insisted_on),
        absl::StrCat(
            "insisted on by --label; what this host is, is not known: ", why),
        true};
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "what this host is, is not known: ", why, "; --label LABEL says it"));
}

}  // namespace vmm
