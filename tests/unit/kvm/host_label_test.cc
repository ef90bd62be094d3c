// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_label.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch.h"

namespace vmm {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string NameOf(const HostSigns& signs) { return LabelOf(signs, "").name; }

TEST(HostLabelTest, AMachineWithoutSignsIsHardware) {
  EXPECT_EQ(NameOf({}), "kvm");
  HostSigns board;
  board.compatible = std::string("raspberrypi,4-model-b\0brcm,bcm2711\0", 36);
  EXPECT_EQ(NameOf(board), "kvm");
}

TEST(HostLabelTest, AVirtualDevicetreeIsSeenWhereverItStandsInTheList) {
  HostSigns signs;
  signs.compatible = std::string("acme,vm\0linux,dummy-virt\0", 25);
  const HostLabel label = LabelOf(signs, "");
  EXPECT_EQ(label.name, "kvm-on-vm");
  EXPECT_THAT(label.reason, HasSubstr("linux,dummy-virt"));
  EXPECT_FALSE(label.insisted);
  signs.compatible = std::string("arm,fvp-base-revc\0arm,vexpress\0", 31);
  EXPECT_EQ(NameOf(signs), "kvm-on-vm");
}

TEST(HostLabelTest, AHypervisorsNodeOrTypeIsSeen) {
  HostSigns signs;
  signs.hypervisor_node = true;
  EXPECT_EQ(NameOf(signs), "kvm-on-vm");
  signs = {};
  signs.hypervisor_type = "xen";
  EXPECT_EQ(NameOf(signs), "kvm-on-vm");
}

struct Dmi {
  const char* vendor;
  const char* product;
  const char* label;
};

TEST(HostLabelTest, DmiTellsGuestsFromMachinesOfTheSameVendor) {
  constexpr Dmi kKnown[] = {
      {"QEMU", "QEMU Virtual Machine", "kvm-on-vm"},
      {"QEMU", "KVM Virtual Machine", "kvm-on-vm"},
      {"Amazon EC2", "c7g.2xlarge", "kvm-on-vm"},
      {"Amazon EC2", "c7g.metal", "kvm"},
      {"Amazon EC2", "c8g.metal-24xl", "kvm"},
      {"Google", "Google Compute Engine", "kvm-on-vm"},
      {"Google", "Kingoftown", "kvm"},
      {"VMware, Inc.", "VMware20,1", "kvm-on-vm"},
      {"Microsoft Corporation", "Virtual Machine", "kvm-on-vm"},
      {"Microsoft Corporation", "Surface Pro X", "kvm"},
      {"Xen", "HVM domU", "kvm-on-vm"},
      {"Parallels International GmbH.", "Parallels ARM Virtual Machine",
       "kvm-on-vm"},
      {"innotek GmbH", "VirtualBox", "kvm-on-vm"},
      {"Oracle Corporation", "VirtualBox", "kvm-on-vm"},
      {"Oracle Corporation", "ORACLE SERVER A1-2c", "kvm"},
      {"Apple Inc.", "Apple Virtualization Generic Platform", "kvm-on-vm"},
      {"Apple Inc.", "Apple Mac mini (M1, 2020)", "kvm"},
      {"Alibaba Cloud", "Alibaba Cloud ECS", "kvm-on-vm"},
      {"GIGABYTE", "R272-P30-JG", "kvm"},
      {"", "", "kvm"},
  };
  for (const Dmi& known : kKnown) {
    HostSigns signs;
    signs.dmi_vendor = known.vendor;
    signs.dmi_product = known.product;
    EXPECT_EQ(NameOf(signs), known.label)
        << known.vendor << ", " << known.product;
  }
}

TEST(HostLabelTest, AMachineOfEc2sOwnIsStillAGuestIfItsTreeSaysSo) {
  HostSigns signs;
  signs.dmi_vendor = "Amazon EC2";
  signs.dmi_product = "c7g.metal";
  signs.hypervisor_node = true;
  EXPECT_EQ(NameOf(signs), "kvm-on-vm");
}

TEST(HostLabelTest, TheEmulatedHostsCommandLineGoesFirst) {
  HostSigns signs;
  signs.compatible = "linux,dummy-virt";
  signs.command_line = "quiet parkvmm.label=kvm-on-tcg-icount panic=-1\n";
  EXPECT_EQ(NameOf(signs), "kvm-on-tcg-icount");
  signs.command_line = "xparkvmm.label=kvm parkvmm.label=metal\n";
  EXPECT_EQ(NameOf(signs), "kvm-on-vm");
}

TEST(HostLabelTest, WhoInsistsIsToldOfInTheReason) {
  HostSigns signs;
  signs.dmi_vendor = "Google";
  signs.dmi_product = "Google Compute Engine";
  const HostLabel label = LabelOf(signs, "kvm");
  EXPECT_EQ(label.name, "kvm");
  EXPECT_TRUE(label.insisted);
  EXPECT_THAT(label.reason, HasSubstr("in place of kvm-on-vm"));
  EXPECT_THAT(label.reason, HasSubstr("Google Compute Engine"));
  EXPECT_FALSE(LabelOf(signs, "kvm-on-vm").insisted);
}

TEST(HostLabelTest, SignsAreReadFromTheirFiles) {
  const std::string root = ScratchPath("root");
  const std::string tree = root + "/sys/firmware/devicetree/base";
  std::filesystem::remove_all(root);
  for (const std::string& folder :
       {tree + "/hypervisor", root + "/proc", root + "/sys/hypervisor",
        root + "/sys/class/dmi/id"}) {
    std::filesystem::create_directories(folder);
  }
  std::ofstream(root + "/proc/cmdline") << "quiet\n";
  std::ofstream(tree + "/compatible") << std::string("a,b\0c,d\0", 8);
  std::ofstream(root + "/sys/hypervisor/type") << "xen\n";
  std::ofstream(root + "/sys/class/dmi/id/sys_vendor") << "Xen\n";
  std::ofstream(root + "/sys/class/dmi/id/product_name") << "HVM domU\n";
  const HostSigns signs = *ReadHostSigns(root);
  EXPECT_EQ(signs.command_line, "quiet\n");
  EXPECT_EQ(signs.compatible, std::string("a,b\0c,d\0", 8));
  EXPECT_TRUE(signs.hypervisor_node);
  EXPECT_EQ(signs.hypervisor_type, "xen");
  EXPECT_EQ(signs.dmi_vendor, "Xen");
  EXPECT_EQ(signs.dmi_product, "HVM domU");
  EXPECT_FALSE(ReadHostSigns(root + "/nothing")->hypervisor_node);
}

// Each sign could be the one that tells an emulated host from hardware.
TEST(HostLabelTest, ASignThatIsThereAndCannotBeReadIsAnError) {
  const std::string root = ScratchPath("unreadable");
  for (const char* sign :
       {"/proc/cmdline", "/sys/firmware/devicetree/base/compatible",
        "/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor",
        "/sys/class/dmi/id/product_name"}) {
    std::filesystem::remove_all(root);
    std::filesystem::create_directories(root + sign);  // A folder.
    const auto signs = ReadHostSigns(root);
    ASSERT_FALSE(signs.ok()) << sign;
    EXPECT_THAT(std::string(signs.status().message()), HasSubstr(sign));
    const auto label = LabelOf(signs, "");
    EXPECT_EQ(label.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(label.status().message()),
                AllOf(StartsWith("what this host is, is not known: "),
                      HasSubstr(sign), EndsWith("; --label LABEL says it")));
    const auto insisted = LabelOf(signs, "kvm-on-tcg");
    ASSERT_TRUE(insisted.ok());
    EXPECT_EQ(insisted->name, "kvm-on-tcg");
    EXPECT_TRUE(insisted->insisted);
    EXPECT_THAT(insisted->reason, HasSubstr(sign));
  }
}

}  // namespace
}  // namespace vmm
