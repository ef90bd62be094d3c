/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-stub/entry_registers.h"
#include "psci-emul/park_abi.h"
#include "psci-emul/psci_abi.h"

/*
 * CPU_ON starts here: everything into entry_record, then on as any other CPU.
 * The stores bypass the cache; entry_state.cc deals with that.
 */
  .text
  .globl entry_state_entry
entry_state_entry:
  msr elr_el1, x1
  adrp x1, entry_record
  add x1, x1, :lo12:entry_record
  str x0, [x1]
  stp x2, x3, [x1, #16]
  stp x4, x5, [x1, #32]
  stp x6, x7, [x1, #48]
  stp x8, x9, [x1, #64]
  stp x10, x11, [x1, #80]
  stp x12, x13, [x1, #96]
  stp x14, x15, [x1, #112]
  stp x16, x17, [x1, #128]
  stp x18, x19, [x1, #144]
  stp x20, x21, [x1, #160]
  stp x22, x23, [x1, #176]
  stp x24, x25, [x1, #192]
  stp x26, x27, [x1, #208]
  stp x28, x29, [x1, #224]
  mov x2, sp
  stp x30, x2, [x1, #240]
  mrs x2, elr_el1
  str x2, [x1, #8]
  add x3, x1, #ENTRY_REST * 8
#define CAPTURE(name) mrs x2, name; str x2, [x3], #8;
  ENTRY_SYSTEM_REGISTERS(CAPTURE)
  mov x2, #3 << 20
  msr cpacr_el1, x2
  isb
  ENTRY_FP_REGISTERS(CAPTURE)
  add x3, x1, #ENTRY_V * 8
  .irp number, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  str q\number, [x3], #16
  .endr
  dsb sy
  bl enable_mmu
  adrp x0, entry_start
  ldr x0, [x0, :lo12:entry_start]
  b secondary_entry

/* Every register full of garbage, then entry_leave(entry_where). */
  .globl entry_state_poison
entry_state_poison:
  ldr x0, =0x5555aaaa5555aaaa
  mov x1, #3 << 20
  msr cpacr_el1, x1
  isb
  .irp number, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  dup v\number\().2d, x0
  .endr
  mov x1, #0x03c00000     /* Rounding and flush modes. */
  msr fpcr, x1
  mov x1, #0x9f
  msr fpsr, x1
  .irp number, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
  mov x\number, x0
  .endr
  mov sp, x0
  msr spsr_el1, x0
  msr elr_el1, x0
  msr nzcv, x0
  msr sp_el0, x0
  adrp x9, entry_leave
  ldr x9, [x9, :lo12:entry_leave]
  adrp x0, entry_where
  ldr x0, [x0, :lo12:entry_where]
  br x9

  .globl entry_state_turn_off
entry_state_turn_off:
  ldr w0, =PSCI_CPU_OFF
  hvc #0
  b .

  .globl entry_state_enter_slot
entry_state_enter_slot:
  ldr x9, =PARK_MAGIC
  str x9, [x0, #PARK_REG_MAGIC]
  b .
