// SPDX-License-Identifier: Apache-2.0
// Where nothing is: loads give 0, stores go nowhere, and what cannot be
// described by a syndrome takes an external abort, as on hardware.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/exception.h"
#include "guest-stub/mmio_access.h"
#include "guest-stub/report.h"

namespace stub {
namespace {

void CheckPlain(uint64_t address) {
  WriteMmio8(address, 0xff);
  WriteMmio16(address, 0xffff);
  WriteMmio32(address, ~0u);
  WriteMmio64(address, ~0ull);
  EXPECT_EQ(ReadMmio8(address), 0);
  EXPECT_EQ(ReadMmio16(address), 0);
  EXPECT_EQ(ReadMmio32(address), 0);
  EXPECT_EQ(ReadMmio64(address), 0);
  EXPECT_EQ(ReadMmio32(address + 0xffc), 0);
}

void CheckAborts(const char* name, void (*access)(uint64_t), uint64_t address) {
  const Caught caught = Catch([&] { access(address); });
  if (!caught.taken) FAIL(name, " at ", Hex{address}, " took no exception");
  if (ClassOf(caught) != kDataAbort ||
      FaultOf(caught) != kSynchronousExternal || caught.far != address) {
    FAIL(name, " at ", Hex{address}, ": ESR ", Hex{caught.esr}, ", FAR ",
         Hex{caught.far});
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(mmio_nowhere) {
  for (const uint64_t address :
       {uint64_t{0}, board::kNoDevice, board::kMarkDevice + 0x800,
        uint64_t{0x0a000000}, board::kNoRam}) {
    CheckPlain(address);
    CheckAborts("LDP", access_ldp, address);
    CheckAborts("STP", access_stp, address);
    CheckAborts("a SIMD load", access_simd_load, address);
    CheckAborts("a SIMD store", access_simd_store, address);
    CheckAborts("a load with writeback", access_writeback, address);
  }
  // On Device memory the CPU itself refuses it; this is Normal.
  CheckAborts("DC ZVA", access_dc_zva, board::kNoRam);
}
