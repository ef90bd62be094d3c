/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark device as guest and VMM both see it: one page through which a guest
 * tells the VMM where it is, stamped by the VMM's clock. Never the console: a
 * printk can tear any line. Device tree: compatible "parkvmm,mark-1".
 *
 * Preprocessor only: guest-stub's assembly includes it too.
 */
#ifndef PARKVMM_VMM_DEVICES_MARK_ABI_H_
#define PARKVMM_VMM_DEVICES_MARK_ABI_H_

#define MARK_COMPATIBLE "parkvmm,mark-1"
#define MARK_MAGIC 0x4b52414d /* "MARK", little endian. */

#define MARK_REG_MAGIC 0x00   /* u32, read-only. */
#define MARK_REG_VERSION 0x04 /* u32, read-only: 1. */
#define MARK_REG_CLOCK 0x08   /* u64, read-only: ns since the VM started. */
#define MARK_REG_MARK 0x10    /* u64, write-only: a code and its value. */
#define MARK_REG_VERDICT 0x18 /* u64, write-only: ends the run. */

/*
 * One 64-bit store carries it all, so that CPUs cannot mix their marks: the
 * code in bits 15:0, a value of the guest's in bits 63:16.
 */
#define MARK_CODE_MASK 0xffff
#define MARK_VALUE_SHIFT 16

#define MARK_CODE_UP 1    /* User space runs; value: CPUs online. */
#define MARK_CODE_KEXEC 2 /* About to call kexec; value: CPUs online. */
/*
 * A kernel that is made to (tools/guest-kernel, trace) says the steps of CPU
 * hotplug: the CPU it is done for in the value's bits 15:0, its number in
 * 31:16.
 */
#define MARK_CODE_STEP_ENTER 3
#define MARK_CODE_STEP_EXIT 4
/* The next 4 characters of a step's name; its number in the value's bits 15:0.
 */
#define MARK_CODE_STEP_NAME 5
#define MARK_STEP_NAME_CHARS 4
#define MARK_CODE_USER 16 /* From here on: the guest's own. */

#define MARK_VERDICT_PASS 0 /* Any other code: FAIL; value: e.g. the line. */

#endif /* PARKVMM_VMM_DEVICES_MARK_ABI_H_ */
