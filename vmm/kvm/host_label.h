// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_HOST_LABEL_H_
#define PARKVMM_VMM_KVM_HOST_LABEL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vmm {

// Every label there is. Results with different labels are never compared.
inline constexpr absl::string_view kLabelKvm = "kvm";
inline constexpr absl::string_view kLabelKvmOnVm = "kvm-on-vm";
inline constexpr absl::string_view kLabelKvmOnTcg = "kvm-on-tcg";
inline constexpr absl::string_view kLabelKvmOnTcgIcount = "kvm-on-tcg-icount";
std::vector<std::string> AllLabels();

// What tells a machine from a virtual or emulated one: contents of files, empty
// where there is no such file.
struct HostSigns {
  std::string command_line;      // /proc/cmdline
  std::string compatible;        // The devicetree's, with a NUL after each.
  bool hypervisor_node = false;  // The devicetree has /hypervisor.
  std::string hypervisor_type;   // /sys/hypervisor/type
  std::string dmi_vendor;        // /sys/class/dmi/id/sys_vendor
  std::string dmi_product;       // /sys/class/dmi/id/product_name
};

// Reads them. `root` precedes each path; it is not empty in tests only. A file
// that is there and cannot be read is an error, as of ReadFile(): without it an
// emulated host might pass for hardware.
absl::StatusOr<HostSigns> ReadHostSigns(const std::string& root = "");

struct HostLabel {
  std::string name;    // One of AllLabels().
  std::string reason;  // A clause, for people.
  // The user named a label that is not the one found.
  bool insisted = false;
};

// Returns the label of results made on a host with these signs. The kernel
// command line decides if it has parkvmm.label=, as that of an emulated host of
// tools/arm64-host does. A label that the user insists on replaces what was
// found, and the reason says so; empty stands for none.
HostLabel LabelOf(const HostSigns& signs, absl::string_view insisted_on);
// The same for signs that may not have been read: then a label is only what is
// insisted on, and without that kResourceExhausted says what was not read.
absl::StatusOr<HostLabel> LabelOf(const absl::StatusOr<HostSigns>& signs,
                                  absl::string_view insisted_on);

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_HOST_LABEL_H_
