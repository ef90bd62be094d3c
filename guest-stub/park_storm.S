/* SPDX-License-Identifier: Apache-2.0 */
#include "psci-emul/psci_abi.h"

/*
 * Out of a slot: x0 is a Start, or 0 if somebody wrote CONTEXT, the CPU came
 * and parked again by another's doing, and only then he wrote exit.
 */
  .text
  .globl park_storm_slot_entry
park_storm_slot_entry:
  cbnz x0, secondary_entry
  ldr w0, =PSCI_CPU_OFF
  hvc #0
  b .
