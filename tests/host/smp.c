// SPDX-License-Identifier: GPL-2.0-or-later
/* Two CPUs: machines and vCPUs at the same time, vCPUs that move between CPUs, CPUs that come and go, sleep. Every guest
 * computes the same thing, so whatever happens to it meanwhile its result and its instruction count are known.
 *
 * smp: all but these. smp --sleep: the machine suspends to RAM with vCPUs in it. smp --restart: and is restarted, with one
 * that runs; that doesn't come back. */
#include "tests/host/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LL(v) ((unsigned long long)(v))
#define LOOPS 2000u
#define CHUNK 500u

/* Seven instructions a loop, and two around it; sums and page writes. */
CODE(work, ".code64\n mov $2000, %ecx\n 1: add %ecx, %eax\n rol $3, %eax\n mov %eax, 0x50000\n"
	   " mov %ecx, %edx\n and $0x3ff000, %edx\n dec %ecx\n jnz 1b\n hlt\n");
CODE(spin, ".code64\n 1: jmp 1b\n");
CODE(store, ".code64\n 1: mov %eax, 0x50000\n jmp 1b\n");

static u32 result(void)
{
	u32 sum = 0;

	for (u32 n = LOOPS; n; n--) {
		sum += n;
		sum = sum << 3 | sum >> 29;
	}
	return sum;
}

/* --- a thread that runs the guest over and over --- */

struct runner {
	struct vm vm;
	pthread_t thread;
	u32 flags;
	volatile bool stop;
	volatile u64 chunks;
	u64 rounds, moves;
	bool good;
	char why[120];
};

static void pin_thread(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int n = 0; n < 2; n++)
		if (cpu < 0 || n == cpu)
			CPU_SET(n, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void pin(int cpu)
{
	pin_thread(pthread_self(), cpu);
}

static void restart_guest(struct vm *vm)
{
	vm->regs->rip = VM_CODE;
	vm->regs->gpr[0] = 0;
	vm->run->insns = vm->run->branches = 0;
}

/* One HLT is one result. */
static bool round_is_right(struct runner *r)
{
	const struct vmdbg_run *run = r->vm.run;
	bool counted = !(r->flags & VMDBG_RUN_STEP) || (run->insns == 1 + 7ull * LOOPS && run->branches == LOOPS);

	if (run->exit == VMDBG_EXIT_HARDWARE && run->hw_reason == 12 && (u32)r->vm.regs->gpr[0] == result() &&
	    counted && load32(r->vm.ram + VM_DATA) == result())
		return true;
	snprintf(r->why, sizeof(r->why), "exit %u reason %u eax %#llx insns %llu round %llu", run->exit, run->hw_reason,
		 LL(r->vm.regs->gpr[0]), LL(run->insns), LL(r->rounds));
	return false;
}

static void *run_on(void *arg)
{
	struct runner *r = arg;
	int cpu = sched_getcpu();

	r->good = true;
	while (r->good && (!r->stop || !r->rounds)) {
		int exit;

		r->vm.run->until = r->vm.run->insns + CHUNK;
		exit = vm_run_once(&r->vm, r->flags);
		r->chunks++;
		r->moves += sched_getcpu() != cpu;
		cpu = sched_getcpu();
		if (exit == VMDBG_EXIT_POSITION || exit == VMDBG_EXIT_KICK || exit == VMDBG_EXIT_DIRTY)
			continue;
		r->good = round_is_right(r);
		r->rounds++;
		restart_guest(&r->vm);
	}
	return NULL;
}

static void runner_start(struct runner *r, u32 flags, int cpu)
{
	memset(r, 0, sizeof(*r));
	r->flags = flags;
	vm_open(&r->vm, VM_LONG, work, work_end);
	pthread_create(&r->thread, NULL, run_on, r);
	pin_thread(r->thread, cpu);
}

/* Until it has done something more; it may have failed instead. */
static void runner_advance(struct runner *r, u64 chunks)
{
	for (u64 end = r->chunks + chunks; r->chunks < end && (r->good || !r->chunks);)
		usleep(1000);
}

static void runner_end(struct runner *r)
{
	r->stop = true;
	pthread_join(r->thread, NULL);
}

/* --- at the same time --- */

static void test_two_machines(void)
{
	struct runner r[2];

	for (int n = 0; n < 2; n++)
		runner_start(&r[n], n ? 0 : VMDBG_RUN_STEP, n);
	for (unsigned n = 0; n < 2; n++)
		runner_advance(&r[n], 100);
	for (unsigned n = 0; n < 2; n++)
		runner_end(&r[n]);
	check(r[0].good && r[1].good, "two machines at once, on two CPUs", "stepping: %s; freely: %s", r[0].why,
	      r[1].why);
	for (unsigned n = 0; n < 2; n++)
		vm_close(&r[n].vm);
}

struct second {
	struct vm *vm;
	struct vmdbg_run *run;
	int error;
};

static void *run_second(void *arg)
{
	struct second *s = arg;
	struct vmdbg_vcpu_arg which = {.size = sizeof(which), .vcpu = 1};

	pin(1);
	do {
		s->run->flags = VMDBG_RUN_STEP;
		s->run->until = 1 << 30;
		s->run->nr_dirty = 0;
		s->error = ioctl(s->vm->fd, VMDBG_IOC_RUN, &which) ? errno : 0;
	} while (!s->error && (s->run->exit == VMDBG_EXIT_KICK || s->run->exit == VMDBG_EXIT_DIRTY));
	return NULL;
}

/* Both run the same code on the same memory, so both pin the same pages. */
static void test_two_vcpus(void)
{
	struct vmdbg_vcpu_create create = {.size = sizeof(create), .id = 1};
	struct second s;
	pthread_t thread;
	struct vm vm;
	int exit;

	pin(0);
	vm_open(&vm, VM_LONG, work, work_end);
	s.vm = &vm;
	check(ioctl(vm.fd, VMDBG_IOC_VCPU, &create) == 0, "a second vCPU", "errno %d", errno);
	s.run = mmap(NULL, VMDBG_VCPU_PAGES << 12, PROT_READ | PROT_WRITE, MAP_SHARED, vm.fd,
		     VMDBG_MMAP(1, VMDBG_PAGE_RUN));
	if (s.run == MAP_FAILED)
		exit = -errno;
	s.run->regs = *vm.regs;
	pthread_create(&thread, NULL, run_second, &s);
	exit = vm_step(&vm, 1 << 30);
	pthread_join(thread, NULL);
	check(exit == VMDBG_EXIT_HARDWARE && s.run->exit == VMDBG_EXIT_HARDWARE && vm.run->insns == s.run->insns &&
		  (u32)vm.regs->gpr[0] == result() && (u32)s.run->regs.gpr[0] == result(),
	      "two vCPUs of a machine at once, on two CPUs", "exits %d and %u (errno %d), insns %llu and %llu", exit,
	      s.run->exit, s.error, LL(vm.run->insns), LL(s.run->insns));
	munmap(s.run, VMDBG_VCPU_PAGES << 12);
	vm_close(&vm);
	pin(-1);
}

static void *run_spinning(void *arg)
{
	struct runner *r = arg;

	while (!r->stop)
		vm_run_once(&r->vm, 0);
	return NULL;
}

static void test_one_twice(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct runner r = {.stop = false};
	bool busy = false;

	vm_open(&r.vm, VM_LONG, spin, spin_end);
	pthread_create(&r.thread, NULL, run_spinning, &r);
	while (!busy) {
		usleep(1000);
		busy = ioctl(r.vm.fd, VMDBG_IOC_RUN, &arg) && errno == EBUSY;
	}
	runner_end(&r);
	check(busy, "a vCPU that runs is busy for everybody else", "it isn't");
	vm_close(&r.vm);
}

/* --- moving --- */

/* What one CPU was told to forget, the other doesn't know. */
static void test_rights_elsewhere(void)
{
	struct vm vm;
	u64 inveps;
	int exit;

	vm_open(&vm, VM_LONG, store, store_end);
	pin(0);
	vm_step(&vm, 4);
	pin(1);
	vm_step(&vm, 4);
	vm_access(&vm, VM_DATA, 1, VMDBG_R | VMDBG_X, NULL);
	exit = vm_step(&vm, 4);
	check(exit == VMDBG_EXIT_EPT, "rights taken away, on this CPU", "exit %d", exit);
	inveps = vm.stats->inveps;
	pin(0);
	exit = vm_step(&vm, 4);
	/* In Bochs every VM entry forgets translations: only the count tells. */
	check(exit == VMDBG_EXIT_EPT && vm.stats->inveps > inveps, "and on the one where the vCPU had been before",
	      "exit %d, %llu INVEPT", exit, LL(vm.stats->inveps - inveps));
	vm_close(&vm);
	pin(-1);
}

static void test_moved(void)
{
	for (u32 flags = 0; flags <= VMDBG_RUN_STEP; flags++) {
		struct runner r;

		runner_start(&r, flags, 0);
		for (int n = 0; n < 20; n++) {
			pin_thread(r.thread, n & 1);
			runner_advance(&r, 2);
		}
		runner_end(&r);
		check(r.good && r.moves >= 10,
		      flags ? "a vCPU is moved between CPUs, stepping" : "a vCPU is moved between CPUs, running freely",
		      "%llu moves; %s", LL(r.moves), r.why);
		vm_close(&r.vm);
	}
}

/* --- CPUs come and go --- */

static bool put(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, what, strlen(what)) == (ssize_t)strlen(what);

	if (fd >= 0)
		close(fd);
	return good;
}

static bool online(bool on)
{
	return put("/sys/devices/system/cpu/cpu1/online", on ? "1" : "0");
}

static bool runs_on(struct vm *vm, int cpu)
{
	int exit;

	pin(cpu);
	exit = vm_step(vm, 10);
	cpu = sched_getcpu() == cpu;
	pin(-1);
	return exit == VMDBG_EXIT_POSITION && cpu;
}

static void test_hotplug_between(void)
{
	struct vm vm, other;

	check(online(false) && online(true), "a CPU goes and comes, with no vCPU anywhere", "errno %d", errno);
	vm_open(&vm, VM_LONG, spin, spin_end);
	check(runs_on(&vm, 1), "then a vCPU runs on it", "errno %d", errno);
	check(online(false) && runs_on(&vm, 0), "it goes, with a vCPU that doesn't run at the moment", "errno %d",
	      errno);
	vm_open(&other, VM_LONG, spin, spin_end);
	check(runs_on(&other, 0), "a vCPU is made while it is away", "errno %d", errno);
	check(online(true) && runs_on(&vm, 1) && runs_on(&other, 1), "it comes: both run there", "errno %d", errno);
	check(online(false), "it goes once more", "errno %d", errno);
	vm_close(&vm);
	vm_close(&other);
	check(online(true), "and comes when the last vCPU is gone", "errno %d", errno);
	vm_open(&vm, VM_LONG, spin, spin_end);
	check(runs_on(&vm, 1), "a new one runs there", "errno %d", errno);
	vm_close(&vm);
}

static void test_hotplug_running(void)
{
	for (u32 flags = 0; flags <= VMDBG_RUN_STEP; flags++) {
		struct runner r;
		bool good = true;

		runner_start(&r, flags, 1);
		for (unsigned n = 0; n < 4; n++) {
			runner_advance(&r, 2);
			good &= online(false);
			runner_advance(&r, 2);
			good &= online(true);
			pin_thread(r.thread, 1);
		}
		runner_advance(&r, 2);
		runner_end(&r);
		check(good && r.good && r.moves,
		      flags ? "... stepping" : "a CPU goes and comes under a running vCPU, running freely",
		      "hotplug %s, %llu moves; %s", good ? "good" : "failed", LL(r.moves), r.why);
		vm_close(&r.vm);
	}
}

static void test_unload(void)
{
	struct runner r;
	int fd = open("/dev/vmdbg", O_RDWR), ret;

	ret = (int)syscall(SYS_delete_module, "vmdbg", O_NONBLOCK);
	check(ret < 0 && errno == EWOULDBLOCK, "an open file keeps the module", "%d, errno %d", ret, errno);
	close(fd);
	runner_start(&r, 0, 1);
	runner_advance(&r, 2);
	ret = (int)syscall(SYS_delete_module, "vmdbg", O_NONBLOCK);
	check(ret < 0 && errno == EWOULDBLOCK, "so does a vCPU that runs on another CPU", "%d, errno %d", ret, errno);
	runner_advance(&r, 2);
	runner_end(&r);
	check(r.good, "which doesn't notice", "%s", r.why);
	vm_close(&r.vm);
}

/* --- sleep and restart --- */

static void test_sleep(void)
{
	struct runner r[2];
	bool good;

	runner_start(&r[0], VMDBG_RUN_STEP, 0);
	runner_start(&r[1], 0, 1);
	for (unsigned n = 0; n < 2; n++)
		runner_advance(&r[n], 2);
	good = put("/sys/power/state", "mem");
	for (unsigned n = 0; n < 2; n++) {
		pin_thread(r[n].thread, (int)n);
		runner_advance(&r[n], 100);
		runner_end(&r[n]);
	}
	check(good, "the machine sleeps and wakes up, with two vCPUs that run", "errno %d", errno);
	check(r[0].good && r[1].good, "and both go on as if nothing had been", "stepping: %s; freely: %s", r[0].why,
	      r[1].why);
	for (unsigned n = 0; n < 2; n++)
		vm_close(&r[n].vm);
}

static void restart(void)
{
	struct runner r[2];

	runner_start(&r[0], VMDBG_RUN_STEP, 0);
	runner_start(&r[1], 0, 1);
	for (unsigned n = 0; n < 2; n++)
		runner_advance(&r[n], 2);
	reboot(LINUX_REBOOT_CMD_RESTART);
	check(false, "a restart", "errno %d", errno);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--sleep")) {
		test_sleep();
	} else if (argc > 1) {
		restart();
	} else {
		test_two_machines();
		test_two_vcpus();
		test_one_twice();
		test_rights_elsewhere();
		test_moved();
		test_hotplug_between();
		test_hotplug_running();
		test_unload();
	}
	return failures != 0;
}
