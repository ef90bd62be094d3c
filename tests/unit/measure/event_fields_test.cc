// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/event_fields.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "psci-emul/psci_abi.h"
#include "psci-emul/smccc.h"

namespace vmm {
namespace {

using Kind = Event::Kind;

// 32-bit and 64-bit calls, and one that is no call of PSCI's.
TEST(EventFieldsTest, EveryArgumentOfACallHasAName) {
  size_t implemented = 0;
  for (const uint32_t base : {0x84000000u, 0xc4000000u}) {
    for (uint32_t function = base; function < base + 0x40; ++function) {
      implemented += psci::IsImplemented(function);
      EXPECT_EQ(FieldsOf({.function = function}).size(),
                psci::ArgumentCount(function))
          << psci::FunctionName(function);
    }
  }
  EXPECT_EQ(implemented, 14u);
  EXPECT_TRUE(FieldsOf({.function = 0xdeadbeef}).empty());
}

TEST(EventFieldsTest, EveryKindHasANameOfItsOwn) {
  std::set<std::string> names;
  for (int kind = 0; kind <= static_cast<int>(Kind::kPowerOff); ++kind) {
    names.emplace(NameOf(static_cast<Kind>(kind)));
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"psci", "park", "release", "off", "start",
                                   "mark", "verdict", "reset", "power-off"}));
}

}  // namespace
}  // namespace vmm
