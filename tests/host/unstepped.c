// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's free running, one thing at a time: where a run ends and where it must not, the host's clock as the guest's TSC,
 * breakpoints in debug registers, what of the guest's own debugging is told. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "tests/host/vm.h"

#define LL(v)       ((unsigned long long)(v))
#define RFLAGS_TF   0x100
#define RFLAGS_IF   0x200
#define PTE(vm, la) (((u64 *)((vm).ram + VM_TABLES + 0x3000))[(la) >> 12])
#define PTE_A       0x20

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static bool hardware(const struct vm *vm, int exit, u32 reason)
{
	return exit == VMDBG_EXIT_HARDWARE && vm->run->hw_reason == reason;
}

/* --- time --- */

CODE(busy, ".code64\n 1: inc %rax\n jmp 1b\n");

static void test_alarm(void)
{
	struct vm vm;
	int exit;

	for (u64 flag = 0; flag < 2; flag++) {
		vm_open(&vm, VM_LONG, busy, busy_end);
		vm.regs->rflags = 2 | flag * RFLAGS_IF;
		vm.run->alarm = now() + 3000000;
		do
			exit = vm_run_once(&vm, 0);
		while (exit == VMDBG_EXIT_KICK && now() < vm.run->alarm);
		check(exit == VMDBG_EXIT_KICK && vm.run->moved && vm.regs->gpr[0] > 1000,
		      flag ? "the alarm ends a run" : "... with IF clear too", "exit %d rax %llu", exit,
		      LL(vm.regs->gpr[0]));
		vm_close(&vm);
	}
	vm_open(&vm, VM_LONG, busy, busy_end);
	for (u64 n = 0, last = 0; n < 20; n++, last = vm.regs->gpr[0] * 2 + (vm.regs->rip != VM_CODE)) {
		vm.run->alarm = 0;
		exit = vm_run_once(&vm, 0);
		if (exit == VMDBG_EXIT_KICK && vm.run->moved && vm.regs->gpr[0] * 2 + (vm.regs->rip != VM_CODE) > last)
			continue;
		check(false, "an alarm that is over", "exit %d rax %llu", exit, LL(vm.regs->gpr[0]));
		break;
	}
	check(true, "a run gets on, though its alarm is over already", " ");
	vm_close(&vm);
}

CODE(touch_all, ".code64\n 1: mov (%rdi), %al\n mov $3000, %ebx\n 2: dec %ebx\n jnz 2b\n add $0x1000, %rdi\n dec "
		"%ecx\n jnz 1b\n hlt\n");

/* The first touch of a page: EPT violations for it, but never seen begun and not done. */
static void test_half_begun(void)
{
	unsigned stops = 0, bad = 0;
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, touch_all, touch_all_end);
	vm.regs->gpr[7] = 0x100000;
	vm.regs->gpr[1] = 300;
	for (;;) {
		vm.run->alarm = 0;
		exit = vm_run_once(&vm, 0);
		if (exit != VMDBG_EXIT_KICK)
			break;
		stops++;
		bad += vm.regs->rip == VM_CODE && PTE(vm, vm.regs->gpr[7]) & PTE_A;
	}
	check(hardware(&vm, exit, 12) && stops > 20 && !bad && vm.regs->gpr[1] == 0,
	      "no run ends where an instruction has marked tables and not run", "exit %d, %u stops, %u bad", exit,
	      stops, bad);
	vm_close(&vm);
}

CODE(trapping, ".code64\n 1: mov %rdi, %rsp\n ud2\n add $0x1000, %rdi\n dec %ecx\n jnz 1b\n hlt\n");
CODE(counting, ".code64\n incl 0x50000\n addq $2, (%rsp)\n iretq\n");

/* Deliveries by hardware that an EPT violation cuts short, the stack's page being new. */
static void test_half_delivered(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, trapping, trapping_end);
	memcpy(vm.ram + VM_CODE + 0x100, counting, (size_t)(counting_end - counting));
	vm_gate(&vm, 6, VM_CODE + 0x100);
	vm.regs->gpr[7] = 0x100800;
	vm.regs->gpr[1] = 200;
	do {
		vm.run->alarm = 0;
		exit = vm_run_once(&vm, 0);
	} while (exit == VMDBG_EXIT_KICK);
	check(hardware(&vm, exit, 12) && load32(vm.ram + VM_DATA) == 200 && vm.stats->reason[0].count == 0,
	      "exceptions reach the guest by themselves, over new pages too", "exit %d, %u of 200", exit,
	      load32(vm.ram + VM_DATA));
	check(load64(vm.ram + 0x100800 - 24) >> 16 & 1, "and push RF", "rflags %#llx",
	      LL(load64(vm.ram + 0x100800 - 24)));
	vm_close(&vm);
}

/* --- the TSC --- */

CODE(tsc_store,
     ".code64\n 1: rdtsc\n mov %eax, (%rdi)\n mov %edx, 4(%rdi)\n add $8, %rdi\n dec %ebx\n jnz 1b\n rdtscp\n hlt\n");

static void open_tsc(struct vm *vm, u64 reads)
{
	vm_open(vm, VM_LONG, tsc_store, tsc_store_end);
	vm->regs->gpr[7] = VM_DATA;
	vm->regs->gpr[3] = reads;
	vm->run->nr_tsc = 0;
	vm->run->tsc_aux = 0x1234;
}

static void test_tsc(void)
{
	const struct vmdbg_tsc_read *ring;
	unsigned wrong = 0;
	struct vm vm;
	u64 begin;
	int exit;

	open_tsc(&vm, 100);
	ring = (void *)((u8 *)vm.stats + VMDBG_TSC_RING_OFFSET);
	begin = now();
	exit = vm_run(&vm, VMDBG_RUN_TSC_HERE);
	for (unsigned n = 0; n < 100; n++)
		wrong += ring[n].value != load64(vm.ram + VM_DATA + 8 * n) || (n && ring[n].value < ring[n - 1].value);
	check(hardware(&vm, exit, 12) && vm.run->nr_tsc == 101 && !wrong && ring[0].value >= begin &&
		  ring[100].value <= now(),
	      "the host's clock as TSC: the ring has what the guest read, in order", "exit %d, %u reads, %u wrong",
	      exit, vm.run->nr_tsc, wrong);
	check(vm.regs->gpr[1] == 0x1234, "RDTSCP gives TSC_AUX", "rcx %#llx", LL(vm.regs->gpr[1]));
	vm_close(&vm);

	open_tsc(&vm, 10);
	vm.run->tsc_floor = ~0ull >> 2;
	exit = vm_run(&vm, VMDBG_RUN_TSC_HERE);
	check(hardware(&vm, exit, 12) && load64(vm.ram + VM_DATA) == ~0ull >> 2, "it is never below its floor", "%#llx",
	      LL(load64(vm.ram + VM_DATA)));
	vm_close(&vm);

	open_tsc(&vm, 10);
	vm.run->tsc_limit = 1;
	exit = vm_run(&vm, VMDBG_RUN_TSC_HERE);
	check(hardware(&vm, exit, 16) && !vm.run->nr_tsc && vm.regs->rip == VM_CODE, "nor beyond its limit",
	      "exit %d nr %u", exit, vm.run->nr_tsc);
	vm_close(&vm);

	open_tsc(&vm, 10);
	vm.run->tsc_room = 5;
	exit = vm_run(&vm, VMDBG_RUN_TSC_HERE);
	check(hardware(&vm, exit, 16) && vm.run->nr_tsc == 5 && vm.regs->gpr[3] == 5, "nor given more often than asked",
	      "exit %d nr %u", exit, vm.run->nr_tsc);
	vm_close(&vm);
}

/* --- interrupts --- */

CODE(windows, ".code64\n nop\n sti\n nop\n nop\n cli\n push $0x202\n popf\n nop\n hlt\n");

static void test_window(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, windows, windows_end);
	exit = vm_run(&vm, VMDBG_RUN_WINDOW);
	check(exit == VMDBG_EXIT_WINDOW && vm.regs->rip == VM_CODE + 3 && !vm.regs->interruptibility,
	      "the window opens one instruction after STI", "exit %d rip %#llx", exit, LL(vm.regs->rip));
	vm.regs->rip = VM_CODE + 4;
	vm.regs->rflags &= ~(u64)RFLAGS_IF;
	exit = vm_run(&vm, VMDBG_RUN_WINDOW);
	check(exit == VMDBG_EXIT_WINDOW && vm.regs->rip == VM_CODE + 11, "and right behind POPF", "exit %d rip %#llx",
	      exit, LL(vm.regs->rip));
	exit = vm_run(&vm, 0);
	check(hardware(&vm, exit, 12), "nobody asked: no window", "exit %d", exit);
	vm_close(&vm);
}

/* --- breakpoints, ours and the guest's --- */

CODE(rounds, ".code64\n 1: inc %rax\n inc %rbx\n cmp $10, %rax\n jb 1b\n hlt\n");

static int set_breaks(struct vm *vm, const u64 *la, u32 n)
{
	struct vmdbg_breaks b = {.size = sizeof(b), .count = n, .entries = (u64)(uintptr_t)la};

	return ioctl(vm->fd, VMDBG_IOC_BREAKS, &b);
}

static void test_breaks(void)
{
	const u64 la[4] = {VM_CODE, VM_CODE + 3, VM_CODE + 6, VM_CODE + 12};
	unsigned arrivals = 0, bad = 0;
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, rounds, rounds_end);
	set_breaks(&vm, la + 1, 1);
	for (;;) {
		exit = vm_run(&vm, VMDBG_RUN_PASS);
		if (exit != VMDBG_EXIT_BREAK || arrivals == 20)
			break;
		arrivals++;
		bad += vm.regs->rip != la[1] || vm.regs->gpr[0] != arrivals || vm.regs->gpr[3] != arrivals - 1 ||
		       vm.regs->rflags & 0x10000 || !vm.run->moved;
	}
	check(hardware(&vm, exit, 12) && arrivals == 10 && !bad, "a breakpoint meets each arrival, once",
	      "exit %d, %u arrivals, %u bad", exit, arrivals, bad);
	vm.regs->rip = VM_CODE;
	set_breaks(&vm, la, 4);
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_BREAK && vm.regs->rip == la[0] && !vm.run->moved, "also where the run begins",
	      "exit %d rip %#llx", exit, LL(vm.regs->rip));
	exit = vm_run(&vm, VMDBG_RUN_PASS);
	check(exit == VMDBG_EXIT_BREAK && vm.regs->rip == la[1], "four of them", "exit %d rip %#llx", exit,
	      LL(vm.regs->rip));
	vm.regs->dr7 |= 1;
	check(vm_run(&vm, 0) == -EINVAL, "but not more than the guest leaves registers", "exit %u", vm.run->exit);
	set_breaks(&vm, la, 3);
	vm.regs->dr[0] = VM_CODE + 3;
	vm.regs->rip = VM_CODE + 3;
	exit = vm_run(&vm, VMDBG_RUN_PASS);
	check(exit == VMDBG_EXIT_BREAK && vm.regs->rip == VM_CODE + 6, "PASS passes the guest's own there too",
	      "exit %d rip %#llx", exit, LL(vm.regs->rip));
	set_breaks(&vm, la, 0);
	vm.regs->rip = VM_CODE;
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_DEBUG && vm.run->debug_bits == 1 && !vm.run->retired && vm.regs->rip == VM_CODE + 3,
	      "the guest's own breakpoint is told", "exit %d bits %#llx", exit, LL(vm.run->debug_bits));
	vm_close(&vm);
}

CODE(debugs, ".code64\n int3\n .byte 0xf1\n push $0x102\n popf\n nop\n nop\n hlt\n");

static void test_debug(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, debugs, debugs_end);
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0x7ff) == (6 << 8 | 3) && vm.run->insn_len == 1,
	      "INT3 is told", "exit %d info %#x", exit, vm.run->intr_info);
	vm.regs->rip = VM_CODE + 1;
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0x7ff) == (5 << 8 | 1) && vm.run->insn_len == 1,
	      "ICEBP is told", "exit %d info %#x", exit, vm.run->intr_info);
	vm.regs->rip = VM_CODE + 2;
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_DEBUG && vm.run->debug_bits == 1 << 14 && vm.run->retired &&
		  vm.regs->rip == (u64)(VM_CODE + (debugs_end - debugs) - 2) && vm.regs->rflags & RFLAGS_TF,
	      "a TF of the guest's own traps behind the next instruction", "exit %d bits %#llx rip %#llx", exit,
	      LL(vm.run->debug_bits), LL(vm.regs->rip));
	vm_close(&vm);
}

/* --- descriptor tables --- */

CODE(store_gdtr, ".code64\n sgdt (%rdi)\n hlt\n");

static void test_umip(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, store_gdtr, store_gdtr_end);
	vm.regs->gpr[7] = VM_DATA;
	vm.regs->cr4 |= 1 << 11;
	for (u32 cpl = 1; cpl <= 3; cpl++) {
		vm.regs->seg[1].ar = 0xa09b | cpl << 5;
		vm.regs->seg[2].ar = 0xc093 | cpl << 5;
		vm.regs->seg[1].selector = (u16)(8 | cpl);
		vm.regs->seg[2].selector = (u16)(16 | cpl);
		exit = vm_run(&vm, VMDBG_RUN_TABLES);
		check(hardware(&vm, exit, 46) || (exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0xff) == 13) ||
			  exit == VMDBG_EXIT_SHUTDOWN,
		      "SGDT exits where that is asked", "exit %d reason %u", exit, vm.run->hw_reason);
		exit = vm_step(&vm, 1);
		check(exit == VMDBG_EXIT_SPECIAL || (exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0xff) == 13),
		      "stepped, it is forbidden by CR4.UMIP, whatever processor this is", "exit %d info %#x insns %llu",
		      exit, vm.run->intr_info, LL(vm.run->insns));
	}
	vm_close(&vm);
}

int main(void)
{
	test_alarm();
	test_half_begun();
	test_half_delivered();
	test_tsc();
	test_window();
	test_breaks();
	test_debug();
	test_umip();
	return failures != 0;
}
