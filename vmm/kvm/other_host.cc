// SPDX-License-Identifier: Apache-2.0
// What the seam answers on a machine that is not arm64.
#include <sys/utsname.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "vmm/kvm/host_report.h"
#include "vmm/kvm/vm.h"

namespace vmm {
namespace {

constexpr absl::string_view kRemedy =
    "run it in the emulated arm64 host: tools/arm64-host -- vmm ...";

std::string MachineName() {
  utsname name = {};
  uname(&name);
  return name.machine;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Vm>> OpenKvm(const VmSpec&) {
  return absl::FailedPreconditionError(
      absl::StrCat("this machine is ", MachineName(),
                   ", AArch64 guests need an arm64 host with KVM; ", kRemedy));
}

HostReport ExamineHost() {
  return {{{"machine", "Machine", MachineName(), std::string(kRemedy)}}};
}

}  // namespace vmm
