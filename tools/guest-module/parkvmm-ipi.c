// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it takes to reach all other CPUs and have them do nothing: the share of
 * a stop of all CPUs that is not the stop's. When loaded, this module sends
 * them such an IPI a few times, and tells the hypervisor how long it was until
 * the last of them had it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

/* The mark device: a code in bits 15:0, a value of ours in 63:16. */
#define MARK_REG_MARK	0x10
#define MARK_IPI_NS	16	/* the first that is the guest's own */

#define ROUNDS		5
#define IDLE_MS		20	/* all sleep before it, and nobody spins after */

static DEFINE_PER_CPU(u64, taken);

static void take(void *unused)
{
	this_cpu_write(taken, ktime_get_mono_fast_ns());
}

static u64 measure(void)
{
	unsigned int cpu;
	u64 sent, last;

	cpus_read_lock();
	msleep(IDLE_MS);
	preempt_disable();
	last = sent = ktime_get_mono_fast_ns();
	smp_call_function(take, NULL, 0);
	preempt_enable();
	msleep(IDLE_MS);
	for_each_online_cpu(cpu)
		last = max(last, READ_ONCE(per_cpu(taken, cpu)));
	cpus_read_unlock();
	return last - sent;
}

static int __init ipi_init(void)
{
	struct device_node *node;
	void __iomem *marks;
	int round;

	node = of_find_compatible_node(NULL, NULL, "parkvmm,mark-1");
	marks = node ? of_iomap(node, 0) : NULL;
	of_node_put(node);
	if (!marks) {
		pr_err("no hypervisor to tell\n");
		return -ENODEV;
	}
	for (round = 0; round < ROUNDS; round++)
		writeq_relaxed(MARK_IPI_NS | measure() << 16, marks + MARK_REG_MARK);
	iounmap(marks);
	return 0;
}

module_init(ipi_init);

MODULE_DESCRIPTION("Measures an empty IPI to all other CPUs");
MODULE_AUTHOR("parkvmm");
MODULE_LICENSE("GPL");
