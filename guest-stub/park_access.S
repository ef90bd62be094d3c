/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uint64_t store_*(uint64_t address, uint64_t value): 64 bits of value to
 * address, by every kind of instruction; the result is 0 if it was done. Those
 * that store more store zeros besides.
 */
  .arch_extension lse

  .macro store name
  .globl store_\name
store_\name:
  .endm
  .macro done
  mov x0, #0
  ret
  .endm

  .text
store plain
  str x1, [x0]
  done
store unscaled
  add x0, x0, #3
  stur x1, [x0, #-3]
  done
store by_register
  mov x9, #-8
  add x0, x0, #8
  str x1, [x0, x9]
  done
store before
  sub x0, x0, #16
  str x1, [x0, #16]!
  done
store after
  str x1, [x0], #16
  done
store from_stack
  mov x9, sp
  mov sp, x0
  str x1, [sp]
  mov sp, x9
  done
store release
  stlr x1, [x0]
  done
store pair
  stp x1, xzr, [x0]
  done
store pair_nontemporal
  stnp x1, xzr, [x0]
  done
store exclusive
  mov w9, #100            /* The monitor may be lost, but not each time. */
1: ldxr x10, [x0]
  stxr w11, x1, [x0]
  cbz w11, 2f
  subs w9, w9, #1
  b.ne 1b
  mov x0, #1
  ret
2: done
store exclusive_pair
  mov w9, #100
1: ldxp x10, x12, [x0]
  stlxp w11, x1, xzr, [x0]
  cbz w11, 2f
  subs w9, w9, #1
  b.ne 1b
  mov x0, #1
  ret
2: done

  .macro simd
  mov x9, #3 << 20        /* CPACR_EL1.FPEN. */
  msr cpacr_el1, x9
  isb
  movi v0.2d, #0
  movi v1.2d, #0
  ins v0.d[0], x1
  .endm
store simd
  simd
  str q0, [x0]
  done
store simd_half
  simd
  str d0, [x0]
  done
store simd_pair
  simd
  stp q0, q1, [x0]
  done
store simd_one
  simd
  st1 {v0.2d}, [x0]
  done
store simd_lane
  simd
  st1 {v0.d}[0], [x0]
  done
store simd_two
  simd
  st2 {v0.2d, v1.2d}, [x0]
  done

/* FEAT_LSE. */
store swap
  swp x1, x9, [x0]
  done
store compare_and_swap
  ldr x9, [x0]
  casal x9, x1, [x0]
  done
store compare_and_swap_pair
  mov x2, x1
  mov x3, xzr
  ldp x4, x5, [x0]
  caspal x4, x5, x2, x3, [x0]
  done
store add
  ldr x9, [x0]
  sub x1, x1, x9
  stadd x1, [x0]
  done
store or
  stset x1, [x0]
  done
