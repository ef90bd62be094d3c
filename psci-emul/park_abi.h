/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CPUs park, as guest and VMM both see it. Two forms of the same page,
 * with exit and magic at the same offsets. Preprocessor only: guest-stub's
 * assembly and guest kernels include it too.
 *
 * The park page, as proposed for Linux in December 2020: a page of RAM for each
 * CPU but the first, CPU n's at START + PAGE_SIZE * (n - 1), n being the
 * kernel's logical number and PAGE_SIZE the kernel's own. START is what
 * cpuparkmem= names. The old kernel clears exit and magic and copies a loop to
 * PARK_PAGE_TEXT; a CPU that leaves enters it with the MMU off and x0 = its
 * page. The loop stores the magic and waits until exit is not 0.
 *
 * The park device, this VMM's own form: a slot of PARK_DEVICE_STRIDE bytes for
 * each CPU, in the order of the devicetree's cpu nodes, whatever the guest's
 * page size. It is no memory and holds no code. Accesses are single 64-bit
 * loads and stores. Devicetree: PARK_DEVICE_COMPATIBLE, reg = all slots; a
 * kernel that wants the next one not to use it removes the node.
 *
 *   to park      the CPU itself, interrupts masked, stores PARK_MAGIC to its
 *                own slot's magic. It does not come back: it is OFF for PSCI,
 *                as after CPU_OFF. If the store does come back, it was
 *                refused, STATUS says why, and CPU_OFF is what to do.
 *   to release   store what X0 is to hold to CONTEXT (0 at each park), then
 *                the entry's physical address to exit. STATUS says whether it
 *                was taken. The CPU starts as one that CPU_ON starts.
 *   to be sure   GENERATION counts the slot's parks; ACK is GENERATION once the
 *                CPU has entered.
 *
 * CPU_ON starts a CPU that is parked, in either form, and ends its parking.
 */
#ifndef PARKVMM_PSCI_EMUL_PARK_ABI_H_
#define PARKVMM_PSCI_EMUL_PARK_ABI_H_

#define PARK_MAGIC 0x7061726b /* "park". */

#define PARK_PAGE_EXIT 0x00  /* u64: 0 while parked, then where to go. */
#define PARK_PAGE_MAGIC 0x08 /* u64: PARK_MAGIC, stored by the CPU itself. */
#define PARK_PAGE_TEXT 0x10  /* The loop, to the end of the page. */

#define PARK_DEVICE_COMPATIBLE "parkvmm,park-1"
#define PARK_DEVICE_VERSION 1
#define PARK_DEVICE_STRIDE 0x1000

#define PARK_REG_EXIT 0x00       /* u64, write: release. Reads as 0. */
#define PARK_REG_MAGIC 0x08      /* u64, write: park. Reads: parked or 0. */
#define PARK_REG_VERSION 0x10    /* u64, read: PARK_DEVICE_VERSION. */
#define PARK_REG_MPIDR 0x18      /* u64, read: whose slot, affinity bits. */
#define PARK_REG_STATE 0x20      /* u64, read: PARK_STATE_*. */
#define PARK_REG_GENERATION 0x28 /* u64, read: how often parked. */
#define PARK_REG_ACK 0x30        /* u64, read: generation that has entered. */
#define PARK_REG_CONTEXT 0x38    /* u64, read and write: the next X0. */
#define PARK_REG_STATUS 0x40     /* u64, read: of the slot's last store. */

#define PARK_STATE_RUNNING 0  /* On, for all the VMM knows. */
#define PARK_STATE_OFF 1      /* Off, and not parked here: CPU_ON starts it. */
#define PARK_STATE_PARKED 2   /* Off, and parked in this slot. */
#define PARK_STATE_STARTING 3 /* Released or turned on, not yet entered. */

#define PARK_STATUS_OK 0
#define PARK_STATUS_FOREIGN_SLOT 1 /* Park: this is another CPU's slot. */
#define PARK_STATUS_BAD_MAGIC 2    /* Park: not PARK_MAGIC. */
#define PARK_STATUS_NOT_PARKED 3   /* Release: nobody is parked here. */
#define PARK_STATUS_BAD_ENTRY 4    /* Release: not 4-byte aligned RAM. */

#endif /* PARKVMM_PSCI_EMUL_PARK_ABI_H_ */
