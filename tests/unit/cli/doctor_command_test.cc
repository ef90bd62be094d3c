// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/doctor_command.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace vmm {
namespace {

using nlohmann::json;

const HostReport kGood = {{{"machine", "Machine", "aarch64", ""},
                           {"max_vcpus", "vCPUs at most", "512", ""}}};
const HostReport kBad = {{{"machine", "Machine", "aarch64", ""},
                          {"kvm", "KVM", "no", "load the module kvm"}}};

std::string Printed(const HostReport& report, bool as_json, ExitCode expected) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(DoctorCommand(report, as_json), expected);
  return testing::internal::GetCapturedStdout();
}

TEST(DoctorCommandTest, AGoodHostIsALinePerCheck) {
  EXPECT_EQ(Printed(kGood, false, ExitCode::kOk),
            "ok       Machine          aarch64\n"
            "ok       vCPUs at most    512\n");
}

TEST(DoctorCommandTest, WhatIsMissingHasItsRemedyBelow) {
  EXPECT_EQ(Printed(kBad, false, ExitCode::kHostCannot),
            "ok       Machine          aarch64\n"
            "MISSING  KVM              no\n"
            "                          -> load the module kvm\n");
}

TEST(DoctorCommandTest, JsonSaysTheSame) {
  const std::string printed = Printed(kBad, true, ExitCode::kHostCannot);
  EXPECT_EQ(json::parse(printed, nullptr, false), json::parse(R"({
    "schema_version": 1,
    "usable": false,
    "checks": [
      {"id": "machine", "title": "Machine", "value": "aarch64", "ok": true,
       "remedy": ""},
      {"id": "kvm", "title": "KVM", "value": "no", "ok": false,
       "remedy": "load the module kvm"}]})"));
  // For people, too: indented by two.
  EXPECT_EQ(printed.substr(0, 5), "{\n  \"");
  EXPECT_EQ(printed.back(), '\n');
  EXPECT_EQ(json::parse(Printed(kGood, true, ExitCode::kOk))["usable"], true);
}

}  // namespace
}  // namespace vmm
