/* SPDX-License-Identifier: Apache-2.0 */
/* [[noreturn]] void kexec_jump(uint64_t entry, const void* devicetree). */
  .text
  .globl kexec_jump
kexec_jump:
  msr daifset, #0xf
  mov x20, x0
  mov x21, x1
  bl disable_mmu
  mov x0, x21
  mov x1, xzr
  mov x2, xzr
  mov x3, xzr
  br x20
