/* SPDX-License-Identifier: Apache-2.0 */
/* uint64_t smccc_*(function, x1, x2, x3): the conduits. */

  .macro conduit name, instruction:vararg
  .globl \name
\name:
  \instruction
  ret
  .endm

  .text
  conduit smccc_hvc, hvc #0
  conduit smccc_smc, smc #0
  conduit smccc_hvc_immediate, hvc #0x1234
  conduit smccc_smc_immediate, smc #0x1234

/*
 * The same as smccc_hvc, with x4 to x28 full of patterns; the result is how
 * many of them the call changed (SMCCC 1.1: none).
 */
  .globl smccc_count_changed
smccc_count_changed:
  stp x29, x30, [sp, #-96]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  .irp number, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28
  movz x\number, #0x5a00 + \number, lsl #48
  movk x\number, #0xa500 + \number
  .endr
  hvc #0
  mov x0, #0
  .irp number, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28
  movz x1, #0x5a00 + \number, lsl #48
  movk x1, #0xa500 + \number
  cmp x1, x\number
  cinc x0, x0, ne
  .endr
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp x29, x30, [sp], #96
  ret
