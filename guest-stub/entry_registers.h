/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What entry_state.S captures of a CPU that comes out of CPU_ON, in this order.
 * Preprocessor only: assembly and C++ include it.
 */
#ifndef PARKVMM_GUEST_STUB_ENTRY_REGISTERS_H_
#define PARKVMM_GUEST_STUB_ENTRY_REGISTERS_H_

/* clang-format off */
/*
 * Before anything else, with the MMU still off. ELR_EL1 is the scratch.
 * Not MDCCINT_EL1: QEMU has none, and what KVM saves of it is whatever some
 * register of the host held.
 */
#define ENTRY_SYSTEM_REGISTERS(R)                                             \
  R(currentel) R(daif) R(spsel) R(sctlr_el1) R(cpacr_el1) R(mdscr_el1)        \
  R(cntv_ctl_el0) R(cntp_ctl_el0) R(mpidr_el1) R(actlr_el1) R(ttbr0_el1)      \
  R(ttbr1_el1) R(tcr_el1) R(mair_el1) R(amair_el1) R(vbar_el1)                \
  R(contextidr_el1) R(tpidr_el0) R(tpidrro_el0) R(tpidr_el1) R(cntkctl_el1)   \
  R(csselr_el1) R(esr_el1) R(far_el1) R(afsr0_el1) R(afsr1_el1) R(par_el1)    \
  R(spsr_el1) R(sp_el0) R(oslsr_el1) R(osdlr_el1)                             \
  R(dbgbvr0_el1) R(dbgbcr0_el1) R(dbgwvr0_el1) R(dbgwcr0_el1)                 \
  R(cntv_cval_el0) R(cntp_cval_el0)
/* clang-format on */

/* After CPACR_EL1 lets them be read. */
#define ENTRY_FP_REGISTERS(R) R(fpcr) R(fpsr)

/* x0 to x30, SP, V0 to V31. */
#define ENTRY_X 0
#define ENTRY_SP 31
#define ENTRY_V 32
#define ENTRY_REST 96

#endif /* PARKVMM_GUEST_STUB_ENTRY_REGISTERS_H_ */
