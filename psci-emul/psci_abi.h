/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSCI's numbers (DEN0022) as caller and callee both see them. Preprocessor
 * only: guest-stub's assembly includes it too.
 *
 * A function id is composed, never typed in: fast call (bit 31), SMC64
 * (bit 30), owner 4 "standard secure service" (bits 29:24), number (15:0).
 */
#ifndef PARKVMM_PSCI_EMUL_PSCI_ABI_H_
#define PARKVMM_PSCI_EMUL_PSCI_ABI_H_

#define SMCCC_FAST_CALL 0x80000000
#define SMCCC_SMC64 0x40000000
#define SMCCC_OWNER_STANDARD 0x04000000
#define SMCCC_VERSION_ID 0x80000000 /* Owner 0, "Arm architecture". */

#define PSCI_32(number) (SMCCC_FAST_CALL | SMCCC_OWNER_STANDARD | (number))
#define PSCI_64(number) (PSCI_32(number) | SMCCC_SMC64)
#define PSCI_NUMBERS 0x20 /* Function numbers reserved for PSCI. */

#define PSCI_VERSION PSCI_32(0x00)
#define PSCI_CPU_SUSPEND_32 PSCI_32(0x01)
#define PSCI_CPU_SUSPEND_64 PSCI_64(0x01)
#define PSCI_CPU_OFF PSCI_32(0x02)
#define PSCI_CPU_ON_32 PSCI_32(0x03)
#define PSCI_CPU_ON_64 PSCI_64(0x03)
#define PSCI_AFFINITY_INFO_32 PSCI_32(0x04)
#define PSCI_AFFINITY_INFO_64 PSCI_64(0x04)
#define PSCI_MIGRATE_32 PSCI_32(0x05)
#define PSCI_MIGRATE_64 PSCI_64(0x05)
#define PSCI_MIGRATE_INFO_TYPE PSCI_32(0x06)
#define PSCI_MIGRATE_INFO_UP_CPU_32 PSCI_32(0x07)
#define PSCI_MIGRATE_INFO_UP_CPU_64 PSCI_64(0x07)
#define PSCI_SYSTEM_OFF PSCI_32(0x08)
#define PSCI_SYSTEM_RESET PSCI_32(0x09)
#define PSCI_FEATURES PSCI_32(0x0a)
#define PSCI_CPU_FREEZE PSCI_32(0x0b)
#define PSCI_CPU_DEFAULT_SUSPEND_32 PSCI_32(0x0c)
#define PSCI_CPU_DEFAULT_SUSPEND_64 PSCI_64(0x0c)
#define PSCI_NODE_HW_STATE_32 PSCI_32(0x0d)
#define PSCI_NODE_HW_STATE_64 PSCI_64(0x0d)
#define PSCI_SYSTEM_SUSPEND_32 PSCI_32(0x0e)
#define PSCI_SYSTEM_SUSPEND_64 PSCI_64(0x0e)
#define PSCI_SET_SUSPEND_MODE PSCI_32(0x0f)
#define PSCI_STAT_RESIDENCY_32 PSCI_32(0x10)
#define PSCI_STAT_RESIDENCY_64 PSCI_64(0x10)
#define PSCI_STAT_COUNT_32 PSCI_32(0x11)
#define PSCI_STAT_COUNT_64 PSCI_64(0x11)
#define PSCI_SYSTEM_RESET2_32 PSCI_32(0x12)
#define PSCI_SYSTEM_RESET2_64 PSCI_64(0x12)

#define PSCI_VERSION_1_1 0x00010001

#define PSCI_RET_SUCCESS 0
#define PSCI_RET_NOT_SUPPORTED (-1)
#define PSCI_RET_INVALID_PARAMETERS (-2)
#define PSCI_RET_DENIED (-3)
#define PSCI_RET_ALREADY_ON (-4)
#define PSCI_RET_ON_PENDING (-5)
#define PSCI_RET_INTERNAL_FAILURE (-6)
#define PSCI_RET_INVALID_ADDRESS (-9)

#define PSCI_AFFINITY_ON 0
#define PSCI_AFFINITY_OFF 1
#define PSCI_AFFINITY_ON_PENDING 2

#define PSCI_MIGRATE_TYPE_NOT_REQUIRED 2

/* power_state of CPU_SUSPEND, original format. */
#define PSCI_POWER_STATE_ID_MASK 0x0000ffff
#define PSCI_POWER_STATE_TYPE_POWER_DOWN 0x00010000
#define PSCI_POWER_STATE_LEVEL_MASK 0x03000000
/* The one state that the devicetree describes: of a core, its context kept. */
#define PSCI_POWER_STATE_STANDBY 0x00000001

/* reset_type of SYSTEM_RESET2: 0 is a warm reset, bit 31 is the vendor's. */
#define PSCI_RESET2_WARM 0
#define PSCI_RESET2_VENDOR 0x80000000

/* The bits of an MPIDR that are affinity; all others must be 0 in a call. */
#define MPIDR_AFFINITY_MASK 0xff00ffffff

#endif /* PARKVMM_PSCI_EMUL_PSCI_ABI_H_ */
