// SPDX-License-Identifier: Apache-2.0
// Accesses whose syndrome says nothing: mmio_access.S.
#ifndef PARKVMM_GUEST_STUB_MMIO_ACCESS_H_
#define PARKVMM_GUEST_STUB_MMIO_ACCESS_H_

#include <cstdint>

extern "C" {
void access_ldp(uint64_t address);
void access_stp(uint64_t address);
void access_simd_load(uint64_t address);
void access_simd_store(uint64_t address);
void access_writeback(uint64_t address);
void access_dc_zva(uint64_t address);
}

#endif  // PARKVMM_GUEST_STUB_MMIO_ACCESS_H_
