// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stops all CPUs at once before kexec, on a kernel that has no patch of ours.
 *
 * Stock Linux takes CPUs down one after the other through CPU hotplug, right
 * after syscore_shutdown(). This module's shutdown hook runs there, before it,
 * and makes every other CPU call PSCI CPU_OFF at once. CPU hotplug then finds
 * one CPU online and has nothing to do. Until the moment when all CPUs have
 * agreed, every way out leads back to CPU hotplug; README.md says more.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/arm-smccc.h>
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqflags.h>
#include <linux/irqnr.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/psci.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/syscore_ops.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>

#include <uapi/linux/psci.h>

#include <asm/cputype.h>
#include <asm/daifflags.h>
#include <asm/sysreg.h>

/* For all CPUs to agree. Then nothing has happened yet, and hotplug runs. */
#define AGREE_TIMEOUT_NS	(100 * NSEC_PER_MSEC)
/* For all CPUs to be off. Then there is no way back. */
#define OFF_TIMEOUT_NS		NSEC_PER_SEC

enum decision { UNDECIDED, GO, STAY };

struct stopping {
	struct tasklet_struct tasklet;
	u64 mpidr;
};

static DEFINE_PER_CPU(struct stopping, stopping);
static enum decision decision = STAY;
static atomic_t arrived;
static bool kexec_comes;

static long psci(unsigned long function, unsigned long argument)
{
	struct arm_smccc_res result;

	arm_smccc_1_1_invoke(function, argument, 0, 0, &result);
	return (long)result.a0;
}

static bool psci_has(unsigned long function)
{
	return (int)psci(PSCI_1_0_FN_PSCI_FEATURES, function) >= 0;
}

/* What keeps this machine's CPUs from being stopped so, or NULL. */
static const char *obstacle(void)
{
	int trusted_os;

	/* Without SMCCC 1.1 there is no PSCI 1.0 either, and no conduit. */
	if (arm_smccc_1_1_get_conduit() == SMCCC_CONDUIT_NONE)
		return "the firmware has no PSCI 1.0 with SMCCC 1.1";
	if (!psci_has(PSCI_0_2_FN_CPU_OFF) ||
	    !psci_has(PSCI_0_2_FN64_AFFINITY_INFO))
		return "PSCI lacks CPU_OFF or AFFINITY_INFO";

	trusted_os = (int)psci(PSCI_0_2_FN_MIGRATE_INFO_TYPE, 0);
	if (trusted_os != PSCI_0_2_TOS_MP && trusted_os != PSCI_RET_NOT_SUPPORTED)
		return "a trusted OS lives on one of the CPUs";
	return NULL;
}

/*
 * Runs on every other CPU, as a softirq: the IPI that brought us is complete,
 * and the code that it interrupted had neither interrupts nor softirqs off.
 */
static void agree_and_leave(struct tasklet_struct *tasklet)
{
	unsigned long flags = local_daif_save();
	enum decision made;

	this_cpu_write(stopping.mpidr,
		       read_cpuid_mpidr() & MPIDR_HWID_BITMASK);
	smp_mb__before_atomic();	/* the address, then the arrival */
	atomic_inc(&arrived);

	while ((made = READ_ONCE(decision)) == UNDECIDED)
		cpu_relax();
	if (made == STAY) {
		local_daif_restore(flags);
		return;
	}

	write_sysreg(0, cntv_ctl_el0);
	write_sysreg(0, cntp_ctl_el0);
	isb();
	psci(PSCI_0_2_FN_CPU_OFF, PSCI_POWER_STATE_TYPE_POWER_DOWN
				  << PSCI_0_2_POWER_STATE_TYPE_SHIFT);

	/* Refused. The CPU that waits will not see us off, and says so. */
	for (;;)
		cpu_relax();
}

static void kick(void *unused)
{
	tasklet_hi_schedule(this_cpu_ptr(&stopping.tasklet));
}

static bool all_agree(int others)
{
	u64 deadline = ktime_get_mono_fast_ns() + AGREE_TIMEOUT_NS;

	atomic_set(&arrived, 0);
	WRITE_ONCE(decision, UNDECIDED);
	smp_call_function(kick, NULL, 0);
	while (atomic_read(&arrived) != others) {
		if (ktime_get_mono_fast_ns() > deadline) {
			WRITE_ONCE(decision, STAY);
			return false;
		}
		cpu_relax();
	}
	smp_mb();	/* the arrivals, then the addresses */
	return true;
}

/* PSCI wants interrupts migrated away from a CPU before it is turned off. */
static void migrate_interrupts(unsigned int here)
{
	unsigned int irq;

	for (irq = 0; irq < nr_irqs; irq++) {
		struct irq_data *data = irq_get_irq_data(irq);
		const struct cpumask *target;

		if (!data || irqd_is_per_cpu(data) || !irqd_is_started(data))
			continue;
		target = irq_data_get_effective_affinity_mask(data);
		if (!cpumask_equal(target, cpumask_of(here)))
			irq_set_affinity(irq, cpumask_of(here));
	}
}

static void wait_until_off(unsigned int cpu, u64 deadline)
{
	u64 mpidr = per_cpu(stopping.mpidr, cpu);

	while (psci(PSCI_0_2_FN64_AFFINITY_INFO, mpidr) !=
	       PSCI_0_2_AFFINITY_LEVEL_OFF) {
		if (ktime_get_mono_fast_ns() > deadline)
			panic("%s: CPU%u is not off; the next kernel cannot be entered",
			      KBUILD_MODNAME, cpu);
		cpu_relax();
	}

	/* What CPU hotplug would say of it. */
	cpumask_clear_cpu(cpu, &__cpu_online_mask);
	atomic_dec(&__num_online_cpus);
}

/* CPU hotplug is disabled by now: migrate_to_reboot_cpu() did it. */
static void stop_others(void *unused)
{
	int others = num_online_cpus() - 1;
	unsigned int cpu, here;
	const char *why;
	u64 deadline;

	if (!kexec_comes || others == 0)
		return;
	why = obstacle();
	if (why) {
		pr_warn("%s; CPU hotplug takes the CPUs down\n", why);
		return;
	}

	here = get_cpu();
	migrate_interrupts(here);
	if (!all_agree(others)) {
		put_cpu();
		pr_warn("only %d of %d CPUs came in time; CPU hotplug takes them down\n",
			atomic_read(&arrived), others);
		return;
	}

	/*
	 * From here to the next kernel nothing but kexec itself may run on this
	 * CPU: interrupts and preemption stay off.
	 */
	local_irq_disable();
	WRITE_ONCE(decision, GO);
	deadline = ktime_get_mono_fast_ns() + OFF_TIMEOUT_NS;
	for_each_online_cpu(cpu) {
		if (cpu != here)
			wait_until_off(cpu, deadline);
	}
	pr_info("%d CPUs are off\n", others);
}

static const struct syscore_ops stop_ops = {
	.shutdown = stop_others,
};

static struct syscore stop_syscore = {
	.ops = &stop_ops,
};

/* The hook runs before a reboot too, and there has nothing to do. */
static int before_reboot(struct notifier_block *block, unsigned long action,
			 void *command)
{
	kexec_comes = action == SYS_RESTART && command &&
		      !strcmp(command, "kexec reboot");
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {
	.notifier_call = before_reboot,
};

static int __init stop_init(void)
{
	const char *why = obstacle();
	unsigned int cpu;

	if (why) {
		pr_err("%s\n", why);
		return -ENODEV;
	}
	for_each_possible_cpu(cpu)
		tasklet_setup(&per_cpu(stopping.tasklet, cpu), agree_and_leave);
	register_reboot_notifier(&reboot_block);
	register_syscore(&stop_syscore);
	return 0;
}

static void __exit stop_exit(void)
{
	unsigned int cpu;

	unregister_syscore(&stop_syscore);
	unregister_reboot_notifier(&reboot_block);
	for_each_possible_cpu(cpu)
		tasklet_kill(&per_cpu(stopping.tasklet, cpu));
}

module_init(stop_init);
module_exit(stop_exit);

MODULE_DESCRIPTION("Stops all CPUs at once before kexec, by PSCI alone");
MODULE_AUTHOR("parkvmm");
MODULE_LICENSE("GPL");
