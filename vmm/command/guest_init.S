// SPDX-License-Identifier: Apache-2.0
// guest-init as it was built, inside of vmm.
#if defined(__aarch64__)
  .section .rodata
  .balign 4096
  .global parkvmm_guest_init
parkvmm_guest_init:
  .incbin PARKVMM_GUEST_INIT
  .global parkvmm_guest_init_end
parkvmm_guest_init_end:
#endif
  .section .note.GNU-stack, "", %progbits
