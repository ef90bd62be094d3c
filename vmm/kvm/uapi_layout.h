// SPDX-License-Identifier: Apache-2.0
// Checks <linux/kvm.h> against KVM's ABI, for every compiler: size and members
// of each structure that is handed to KVM or read from it, and each constant
// that is sent or compared. A header that differs does not compile.
//
// The numbers are those of arm64 Linux 6.4, from Documentation/virt/kvm/. They
// never change: the kernel's ABI is kept for programs that were built before.
#ifndef PARKVMM_VMM_KVM_UAPI_LAYOUT_H_
#define PARKVMM_VMM_KVM_UAPI_LAYOUT_H_

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>

// Whether <asm/kvm.h> is arm64's. Another machine's build defines this where it
// brings a copy of arm64's headers: its structures have fixed widths.
#if defined(__aarch64__) && !defined(PARKVMM_ARM64_UAPI)
#define PARKVMM_ARM64_UAPI 1
#endif

// A structure's size; then each of its members by offset and size.
#define PARKVMM_SIZE(structure, size) static_assert(sizeof(structure) == (size))
#define PARKVMM_MEMBER(structure, member, offset, size)    \
  static_assert(offsetof(structure, member) == (offset) && \
                sizeof(structure::member) == (size))
// A member of one of kvm_run's exits, which have no names of their own.
#define PARKVMM_EXIT(exit, member, offset, size)                     \
  static_assert(offsetof(kvm_run, exit) +                            \
                        offsetof(decltype(kvm_run::exit), member) == \
                    (offset) &&                                      \
                sizeof(decltype(kvm_run::exit)::member) == (size))

// The page that KVM_RUN shares. KVM_GET_VCPU_MMAP_SIZE tells its size.
PARKVMM_MEMBER(kvm_run, immediate_exit, 1, 1);
PARKVMM_MEMBER(kvm_run, exit_reason, 8, 4);
PARKVMM_EXIT(fail_entry, hardware_entry_failure_reason, 32, 8);
PARKVMM_EXIT(mmio, phys_addr, 32, 8);
PARKVMM_EXIT(mmio, data, 40, 8);
PARKVMM_EXIT(mmio, len, 48, 4);
PARKVMM_EXIT(mmio, is_write, 52, 1);
PARKVMM_EXIT(hypercall, nr, 32, 8);
PARKVMM_EXIT(hypercall, longmode, 96, 4);  // The low half of `flags`.
PARKVMM_EXIT(internal, suberror, 32, 4);
PARKVMM_EXIT(system_event, type, 32, 4);
PARKVMM_EXIT(system_event, ndata, 36, 4);
PARKVMM_EXIT(system_event, data, 40, 128);
PARKVMM_EXIT(arm_nisv, fault_ipa, 40, 8);

PARKVMM_SIZE(kvm_userspace_memory_region, 32);
PARKVMM_MEMBER(kvm_userspace_memory_region, slot, 0, 4);
PARKVMM_MEMBER(kvm_userspace_memory_region, flags, 4, 4);
PARKVMM_MEMBER(kvm_userspace_memory_region, guest_phys_addr, 8, 8);
PARKVMM_MEMBER(kvm_userspace_memory_region, memory_size, 16, 8);
PARKVMM_MEMBER(kvm_userspace_memory_region, userspace_addr, 24, 8);

PARKVMM_SIZE(kvm_irq_level, 8);
PARKVMM_MEMBER(kvm_irq_level, irq, 0, 4);
PARKVMM_MEMBER(kvm_irq_level, level, 4, 4);

PARKVMM_SIZE(kvm_enable_cap, 104);
PARKVMM_MEMBER(kvm_enable_cap, cap, 0, 4);
PARKVMM_MEMBER(kvm_enable_cap, flags, 4, 4);
PARKVMM_MEMBER(kvm_enable_cap, args, 8, 32);

PARKVMM_SIZE(kvm_create_device, 12);
PARKVMM_MEMBER(kvm_create_device, type, 0, 4);
PARKVMM_MEMBER(kvm_create_device, fd, 4, 4);
PARKVMM_MEMBER(kvm_create_device, flags, 8, 4);

PARKVMM_SIZE(kvm_device_attr, 24);
PARKVMM_MEMBER(kvm_device_attr, flags, 0, 4);
PARKVMM_MEMBER(kvm_device_attr, group, 4, 4);
PARKVMM_MEMBER(kvm_device_attr, attr, 8, 8);
PARKVMM_MEMBER(kvm_device_attr, addr, 16, 8);

PARKVMM_SIZE(kvm_mp_state, 4);
PARKVMM_MEMBER(kvm_mp_state, mp_state, 0, 4);

PARKVMM_SIZE(kvm_one_reg, 16);
PARKVMM_MEMBER(kvm_one_reg, id, 0, 8);
PARKVMM_MEMBER(kvm_one_reg, addr, 8, 8);

static_assert(KVM_API_VERSION == 12);

static_assert(KVM_CAP_MAX_VCPUS == 66);
static_assert(KVM_CAP_GUEST_DEBUG_HW_BPS == 119);
static_assert(KVM_CAP_GUEST_DEBUG_HW_WPS == 120);
static_assert(KVM_CAP_ARM_VM_IPA_SIZE == 165);
static_assert(KVM_CAP_ARM_SVE == 170);
static_assert(KVM_CAP_ARM_PTRAUTH_ADDRESS == 171);
static_assert(KVM_CAP_ARM_PTRAUTH_GENERIC == 172);
static_assert(KVM_CAP_ARM_NISV_TO_USER == 177);

static_assert(KVM_EXIT_HYPERCALL == 3);
static_assert(KVM_EXIT_DEBUG == 4);
static_assert(KVM_EXIT_MMIO == 6);
static_assert(KVM_EXIT_FAIL_ENTRY == 9);
static_assert(KVM_EXIT_INTR == 10);
static_assert(KVM_EXIT_INTERNAL_ERROR == 17);
static_assert(KVM_EXIT_SYSTEM_EVENT == 24);
static_assert(KVM_EXIT_ARM_NISV == 28);

static_assert(KVM_SYSTEM_EVENT_SHUTDOWN == 1);
static_assert(KVM_SYSTEM_EVENT_RESET == 2);
static_assert(KVM_SYSTEM_EVENT_CRASH == 3);
static_assert(KVM_SYSTEM_EVENT_WAKEUP == 4);
static_assert(KVM_SYSTEM_EVENT_SUSPEND == 5);

static_assert(KVM_MP_STATE_RUNNABLE == 0);
static_assert(KVM_MP_STATE_SUSPENDED == 10);

static_assert(KVM_MEM_READONLY == 1 << 1);
static_assert(KVM_CREATE_DEVICE_TEST == 1);
static_assert(KVM_DEV_TYPE_ARM_VGIC_V2 == 5);
static_assert(KVM_DEV_TYPE_ARM_VGIC_V3 == 7);

static_assert(KVM_GUESTDBG_ENABLE == 1 << 0);
static_assert(KVM_GUESTDBG_SINGLESTEP == 1 << 1);

static_assert(KVM_REG_ARM64 == 0x6000000000000000);
static_assert(KVM_REG_SIZE_SHIFT == 52);
static_assert(KVM_REG_ARCH_MASK == 0xff00000000000000);
static_assert(KVM_REG_SIZE_MASK == 0x00f0000000000000);
static_assert(KVM_REG_SIZE_U64 == 0x0030000000000000);

// What <asm/kvm.h> has on arm64 alone.
#if defined(PARKVMM_ARM64_UAPI)

PARKVMM_EXIT(debug, arch, 32, 16);
PARKVMM_MEMBER(kvm_debug_exit_arch, hsr, 0, 4);
PARKVMM_MEMBER(kvm_debug_exit_arch, far, 8, 8);

PARKVMM_SIZE(kvm_vcpu_init, 32);
PARKVMM_MEMBER(kvm_vcpu_init, target, 0, 4);
PARKVMM_MEMBER(kvm_vcpu_init, features, 4, 28);

PARKVMM_SIZE(kvm_vcpu_events, 64);
PARKVMM_MEMBER(kvm_vcpu_events, exception, 0, 16);
static_assert(offsetof(decltype(kvm_vcpu_events::exception), serror_pending) ==
              0);
static_assert(offsetof(decltype(kvm_vcpu_events::exception), serror_has_esr) ==
              1);
static_assert(offsetof(decltype(kvm_vcpu_events::exception),
                       ext_dabt_pending) == 2);
static_assert(offsetof(decltype(kvm_vcpu_events::exception), serror_esr) == 8);

PARKVMM_SIZE(kvm_guest_debug, 520);
PARKVMM_MEMBER(kvm_guest_debug, control, 0, 4);
PARKVMM_MEMBER(kvm_guest_debug, arch, 8, 512);
PARKVMM_MEMBER(kvm_guest_debug_arch, dbg_bcr, 0, 128);
PARKVMM_MEMBER(kvm_guest_debug_arch, dbg_bvr, 128, 128);
PARKVMM_MEMBER(kvm_guest_debug_arch, dbg_wcr, 256, 128);
PARKVMM_MEMBER(kvm_guest_debug_arch, dbg_wvr, 384, 128);

// Never handed over; offsets in them are in the ids of core registers.
PARKVMM_MEMBER(kvm_regs, regs, 0, 272);
PARKVMM_MEMBER(kvm_regs, fp_regs, 336, 528);
PARKVMM_MEMBER(user_fpsimd_state, vregs, 0, 512);
PARKVMM_MEMBER(user_pt_regs, regs, 0, 248);
PARKVMM_MEMBER(user_pt_regs, sp, 248, 8);
PARKVMM_MEMBER(user_pt_regs, pc, 256, 8);
PARKVMM_MEMBER(user_pt_regs, pstate, 264, 8);

static_assert(KVM_GUESTDBG_USE_HW == 0x20000);

static_assert(KVM_ARM_VCPU_POWER_OFF == 0);
static_assert(KVM_ARM_VCPU_PSCI_0_2 == 2);
static_assert(KVM_ARM_VCPU_SVE == 4);
static_assert(KVM_ARM_VCPU_PTRAUTH_ADDRESS == 5);
static_assert(KVM_ARM_VCPU_PTRAUTH_GENERIC == 6);

static_assert(KVM_ARM_IRQ_TYPE_SHIFT == 24);
static_assert(KVM_ARM_IRQ_TYPE_SPI == 1);
static_assert(KVM_DEV_ARM_VGIC_GRP_ADDR == 0);
static_assert(KVM_DEV_ARM_VGIC_GRP_NR_IRQS == 3);
static_assert(KVM_DEV_ARM_VGIC_GRP_CTRL == 4);
static_assert(KVM_DEV_ARM_VGIC_CTRL_INIT == 0);
static_assert(KVM_VGIC_V2_ADDR_TYPE_DIST == 0);
static_assert(KVM_VGIC_V2_ADDR_TYPE_CPU == 1);
static_assert(KVM_VGIC_V3_ADDR_TYPE_DIST == 2);
static_assert(KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION == 5);

static_assert(KVM_REG_ARM_COPROC_MASK == 0x0fff0000);
static_assert(KVM_REG_ARM_CORE == 0x00100000);
static_assert(KVM_REG_ARM64_SYSREG == 0x00130000);
static_assert(KVM_REG_ARM64_SVE == 0x00150000);
static_assert(KVM_REG_ARM64_SYSREG_OP0_SHIFT == 14);
static_assert(KVM_REG_ARM64_SYSREG_OP0_MASK == 0xc000);
static_assert(KVM_REG_ARM64_SYSREG_OP1_SHIFT == 11);
static_assert(KVM_REG_ARM64_SYSREG_OP1_MASK == 0x3800);
static_assert(KVM_REG_ARM64_SYSREG_CRN_SHIFT == 7);
static_assert(KVM_REG_ARM64_SYSREG_CRN_MASK == 0x0780);
static_assert(KVM_REG_ARM64_SYSREG_CRM_SHIFT == 3);
static_assert(KVM_REG_ARM64_SYSREG_OP2_SHIFT == 0);
static_assert(KVM_REG_ARM64_SVE_VLS == 0x606000000015ffff);
// Virtual count CNTVCT_EL0 and physical count CNTPCT_EL0, as KVM names them.
static_assert(KVM_REG_ARM_TIMER_CNT == 0x603000000013df1a);
static_assert(KVM_REG_ARM_PTIMER_CNT == 0x603000000013df01);

#endif  // defined(PARKVMM_ARM64_UAPI)

#undef PARKVMM_SIZE
#undef PARKVMM_MEMBER
#undef PARKVMM_EXIT

#endif  // PARKVMM_VMM_KVM_UAPI_LAYOUT_H_
