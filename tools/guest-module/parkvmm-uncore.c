// SPDX-License-Identifier: GPL-2.0-only
/*
 * The uncore PMUs of a machine of four dies, as far as CPU hotplug has to do
 * with them, on a machine that has none.
 *
 * A PMU of a die is looked after by one of its CPUs. When that CPU goes, the
 * PMU moves to another of the same die, and until v6.3
 * perf_pmu_migrate_context() waited for an RCU grace period each time, whether
 * anybody had counted anything or not. A Kunpeng 920 die has 14 of them: 8 L3C,
 * 2 HHA and 4 DDRC (Documentation/admin-guide/perf/hisi-pmu.rst). kexec takes
 * CPUs down in ascending order, so each next CPU of a die inherits them all.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#define DIES		4
#define PMUS_OF_A_DIE	14
#define NOBODY		-1

static int owner[DIES][PMUS_OF_A_DIE];
static enum cpuhp_state state;

static unsigned int die_of(unsigned int cpu)
{
	return cpu / DIV_ROUND_UP(num_possible_cpus(), DIES);
}

/* Another CPU of its die, or NOBODY. */
static int another(unsigned int cpu)
{
	unsigned int other;

	for_each_online_cpu(other) {
		if (other != cpu && die_of(other) == die_of(cpu))
			return other;
	}
	return NOBODY;
}

static int uncore_online(unsigned int cpu)
{
	int pmu;

	for (pmu = 0; pmu < PMUS_OF_A_DIE; pmu++) {
		int *of = &owner[die_of(cpu)][pmu];

		if (*of == NOBODY)
			*of = cpu;
	}
	return 0;
}

static int uncore_offline(unsigned int cpu)
{
	int pmu;

	for (pmu = 0; pmu < PMUS_OF_A_DIE; pmu++) {
		int *of = &owner[die_of(cpu)][pmu];

		if (*of != cpu)
			continue;
		*of = another(cpu);
		/* As perf_pmu_migrate_context() did. */
		if (*of != NOBODY)
			synchronize_rcu();
	}
	return 0;
}

static int __init uncore_init(void)
{
	int die, pmu, result;

	for (die = 0; die < DIES; die++) {
		for (pmu = 0; pmu < PMUS_OF_A_DIE; pmu++)
			owner[die][pmu] = NOBODY;
	}
	result = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "parkvmm/uncore:online",
				   uncore_online, uncore_offline);
	if (result < 0)
		return result;
	state = result;
	return 0;
}

static void __exit uncore_exit(void)
{
	cpuhp_remove_state_nocalls(state);
}

module_init(uncore_init);
module_exit(uncore_exit);

MODULE_DESCRIPTION("Has CPU hotplug wait for uncore PMUs as Linux before 6.3 did");
MODULE_AUTHOR("parkvmm");
MODULE_LICENSE("GPL");
