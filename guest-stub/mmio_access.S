/* SPDX-License-Identifier: Apache-2.0 */
/* void access_*(uint64_t address): accesses whose syndrome says nothing. */
  .macro access name, instruction:vararg
  .globl access_\name
access_\name:
  mov x9, #3 << 20        /* CPACR_EL1.FPEN: SIMD is not trapped. */
  msr cpacr_el1, x9
  isb
  \instruction
  ret
  .endm

  .text
  access ldp, ldp x1, x2, [x0]
  access stp, stp xzr, xzr, [x0]
  access simd_load, ldr q0, [x0]
  access simd_store, str q0, [x0]
  access writeback, ldr x1, [x0], #8
  access dc_zva, dc zva, x0
