/* SPDX-License-Identifier: Apache-2.0 */
/* What parking takes that C++ has no word for (park.h). */
#include "psci-emul/park_abi.h"

  .text
/* [[noreturn]] void park_enter(uint64_t page): masked, MMU off, into its loop. */
  .globl park_enter
park_enter:
  msr daifset, #0xf
  bl disable_mmu
  add x9, x0, #PARK_PAGE_TEXT
  br x9

/*
 * Where a page releases to: x0 is the page. Which one says who it is, as it
 * does not in Linux, and stub_secondary() compares with MPIDR.
 */
  .globl park_page_entry
park_page_entry:
  mov x20, x0
  bl enable_mmu
  adrp x9, park_region
  ldr x9, [x9, :lo12:park_region]
  sub x9, x20, x9
  tst x9, #0xfff
  b.ne .                  /* No page: this CPU will be missed. */
  lsr x9, x9, #12
  cmp x9, #512
  b.hs .
  mov x11, #24            /* sizeof(Start) */
  adrp x10, park_starts
  add x10, x10, :lo12:park_starts
  madd x0, x9, x11, x10
  b secondary_entry

/* --- The loops: position-independent, x0 = the page, MMU off. --------------- */

/* As described: waits once even if exit is there already. */
  .balign 8
  .globl park_loop_proposed, park_loop_proposed_end
park_loop_proposed:
  ldr x1, 2f
  str x1, [x0, #PARK_PAGE_MAGIC]
1: ldr x1, [x0, #PARK_PAGE_EXIT]
  cmp x1, #0
  wfe
  b.eq 1b
  br x1
  .balign 8
2: .quad PARK_MAGIC
park_loop_proposed_end:

/* Looks before it waits. */
  .balign 8
  .globl park_loop_other, park_loop_other_end
park_loop_other:
  mov w13, #PARK_MAGIC & 0xffff
  movk w13, #PARK_MAGIC >> 16, lsl #16
  add x14, x0, #PARK_PAGE_MAGIC
  dsb sy
  str x13, [x14]
  dsb sy
1: ldur x15, [x14, #-8]
  cbnz x15, 2f
  wfe
  b 1b
2: isb
  br x15
park_loop_other_end:

/* A release that came before is lost with it, as the guest wants it. */
  .balign 8
  .globl park_loop_pair, park_loop_pair_end
park_loop_pair:
  nop
  mov x8, #PARK_MAGIC & 0xffff
  movk x8, #PARK_MAGIC >> 16, lsl #16
  stp xzr, x8, [x0]
1: wfe
  ldr x8, [x0]
  cbz x8, 1b
  br x8
park_loop_pair_end:

/* --- A page at a time ------------------------------------------------------- */

/* void park_copy_*(uint64_t to, const void* from). */
  .globl park_copy_words
park_copy_words:
  add x9, x0, #0x1000
1: ldr x10, [x1], #8
  str x10, [x0]
  add x0, x0, #8
  cmp x0, x9
  b.ne 1b
  ret

  .globl park_copy_pairs
park_copy_pairs:
  add x9, x0, #0x1000
1: ldp x10, x11, [x1], #16
  ldp x12, x13, [x1], #16
  ldp x14, x15, [x1], #16
  ldp x16, x17, [x1], #16
  stp x10, x11, [x0]
  stp x12, x13, [x0, #16]
  stp x14, x15, [x0, #32]
  stp x16, x17, [x0, #48]
  add x0, x0, #64
  cmp x0, x9
  b.ne 1b
  ret

  .globl park_copy_simd
park_copy_simd:
  mov x9, #3 << 20        /* CPACR_EL1.FPEN. */
  msr cpacr_el1, x9
  isb
  add x9, x0, #0x1000
1: ldp q0, q1, [x1], #32
  stp q0, q1, [x0], #32
  cmp x0, x9
  b.ne 1b
  ret

/* void park_wipe(uint64_t page). */
  .globl park_wipe
park_wipe:
  mrs x9, dczid_el0
  and x9, x9, #0xf
  mov x10, #4
  lsl x10, x10, x9        /* Bytes that a DC ZVA clears. */
  add x9, x0, #0x1000
1: dc zva, x0
  add x0, x0, x10
  cmp x0, x9
  b.ne 1b
  ret
