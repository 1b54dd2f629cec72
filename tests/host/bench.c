// SPDX-License-Identifier: GPL-2.0-or-later
/* What exits cost, in ticks of the host's TSC. In Bochs a tick is an instruction of the host, those that VM entry and exit
 * take in hardware not counted: so these are path lengths, of which docs/vtx.md argues. */
#include "tests/host/vm.h"

#include <stdio.h>
#include <sys/ioctl.h>

#define ROUNDS 200

static u64 now(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static void figure(const char *name, u64 ticks, u64 rounds)
{
	printf("= %-62s %8llu ticks\n", name, (unsigned long long)(ticks / rounds));
	fflush(stdout);
}

CODE(tsc, ".code64\n 1: rdtsc\n jmp 1b\n");
CODE(out, ".code64\n 1: out %al, $0x80\n jmp 1b\n");
CODE(cpuid, ".code64\n 1: xor %eax, %eax\n xor %ecx, %ecx\n cpuid\n jmp 1b\n");
CODE(store, ".code64\n 1: mov %eax, 0x50000\n jmp 1b\n");
CODE(plain, ".code64\n 1: inc %rax\n jmp 1b\n");
CODE(iret, ".code64\n iretq\n");
CODE(spin, ".code64\n 1: jmp 1b\n");

static void tsc_in_kernel(void)
{
	struct vm vm;

	vm_open(&vm, VM_LONG, tsc, tsc_end);
	for (unsigned n = 0; n < 4; n++) {
		vm.run->nr_tsc = 0;
		vm_run(&vm, VMDBG_RUN_TSC_HERE);
	}
	figure("RDTSC answered in the kernel, into the ring", vm.stats->reason[16].cycles, vm.stats->reason[16].count);
	vm_close(&vm);
}

static void dirty_reset(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	u64 begin, ticks = 0;
	struct vm vm;

	vm_open(&vm, VM_LONG, store, store_end);
	for (unsigned n = 0; n < ROUNDS; n++) {
		vm_step(&vm, 1);
		begin = now();
		ioctl(vm.fd, VMDBG_IOC_DIRTY_RESET, &arg);
		ticks += now() - begin;
	}
	figure("DIRTY_RESET after a page was written", ticks, ROUNDS);
	vm_close(&vm);
}

static void break_passed(void)
{
	const u64 la = VM_CODE;
	struct vmdbg_breaks b = {.size = sizeof(b), .count = 1, .entries = (u64)(uintptr_t)&la};
	struct vm vm;
	u64 begin;

	vm_open(&vm, VM_LONG, plain, plain_end);
	ioctl(vm.fd, VMDBG_IOC_BREAKS, &b);
	vm_run(&vm, VMDBG_RUN_PASS);
	begin = now();
	for (unsigned n = 0; n < ROUNDS; n++)
		vm_run(&vm, VMDBG_RUN_PASS);
	figure("a breakpoint in a debug register, told and passed", now() - begin, ROUNDS);
	vm_close(&vm);
}

static void tsc_to_user(void)
{
	struct vm vm;

	vm_open(&vm, VM_LONG, tsc, tsc_end);
	for (unsigned n = 0; n < ROUNDS; n++) {
		vm_run(&vm, 0);
		vm_skip(&vm);
	}
	figure("RDTSC answered in user space", vm.stats->reason[16].cycles, vm.stats->reason[16].count);
	vm_close(&vm);
}

static void port_out(void)
{
	struct vm vm;

	vm_open(&vm, VM_LONG, out, out_end);
	for (unsigned n = 0; n < ROUNDS; n++) {
		vm_run(&vm, 0);
		vm_skip(&vm);
	}
	figure("OUT answered in user space", vm.stats->reason[30].cycles, vm.stats->reason[30].count);
	vm_close(&vm);
}

static void watch_hit(void)
{
	struct vm vm;
	u64 begin;

	vm_open(&vm, VM_LONG, store, store_end);
	vm_access(&vm, VM_DATA, 1, VMDBG_R | VMDBG_X, NULL);
	vm_run(&vm, 0);
	begin = now();
	for (unsigned n = 0; n < ROUNDS; n++) {
		vm.run->nr_open = 1;
		vm.run->open_gfn[0] = VM_DATA >> 12;
		vm_step(&vm, 1);
		vm_run(&vm, 0);
	}
	figure("EPT violation on a watched page, stepped over with it open", now() - begin, ROUNDS);
	vm_close(&vm);
}

static void injection(void)
{
	struct vm vm;
	u64 begin, ticks = 0;

	vm_open(&vm, VM_LONG, spin, spin_end);
	vm_gate(&vm, 0x40, VM_CODE + 0x100);
	memcpy(vm.ram + VM_CODE + 0x100, iret, (size_t)(iret_end - iret));
	vm.regs->rflags |= 0x200;
	for (unsigned n = 0; n < ROUNDS; n++) {
		vm.run->inject_info = 0x80000040;
		begin = now();
		vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_DELIVER);
		ticks += now() - begin;
		vm.run->inject_info = 0;
		vm_step(&vm, 1);
	}
	figure("an interrupt delivered, stopped before its handler", ticks, ROUNDS);
	vm_close(&vm);
}

static void cpuid_in_kernel(void)
{
	struct vmdbg_cpuid_entry e = {.eax = 1};
	struct vmdbg_cpuid table = {.size = sizeof(table), .count = 1, .entries = (u64)(uintptr_t)&e};
	struct vm vm;

	vm_open(&vm, VM_LONG, cpuid, cpuid_end);
	vm_cpuid(&vm, &table);
	vm_step(&vm, 4 * ROUNDS);
	figure("CPUID answered in the kernel", vm.stats->reason[10].cycles, vm.stats->reason[10].count);
	vm_close(&vm);
}

static void step_cost(void)
{
	struct vm vm;
	u64 begin;

	vm_open(&vm, VM_LONG, plain, plain_end);
	vm_step(&vm, 100);
	begin = now();
	vm_step(&vm, 50 * ROUNDS);
	figure("an instruction stepped and counted", now() - begin, 50 * ROUNDS);
	vm_close(&vm);
}

static void host_interrupt(void)
{
	struct vm vm;
	unsigned count;

	vm_open(&vm, VM_LONG, spin, spin_end);
	vm.regs->rflags |= 0x200;
	for (unsigned n = 0; n < 3; n++)
		vm_run_once(&vm, 0);
	count = vm.stats->reason[1].count;
	if (count)
		figure("an interrupt of the host, its handler included", vm.stats->reason[1].cycles, count);
	vm_close(&vm);
}

CODE(sweep,
     ".code64\n mov $0x1000000, %edi\n mov $16384, %ecx\n 1: mov (%rdi), %eax\n add $4096, %edi\n dec %ecx\n jnz 1b\n"
     " hlt\n");

/* The guest reads 64 MiB, a word of each page; its own tables map 2 MiB at a time. */
static void reading(bool large)
{
	struct vm vm;
	u64 *pd, begin;
	int exit;

	vm_open_sized(&vm, VM_LONG, sweep, sweep_end, 80ull << 20, large);
	pd = (u64 *)(vm.ram + VM_TABLES + 0x2000);
	for (u64 n = 8; n < 40; n++)
		pd[n] = n << 21 | 0x87;
	/* So that the host has the memory already. */
	for (u64 n = 0; n < vm.bytes; n += 4096)
		*(volatile u8 *)(vm.ram + n) = vm.ram[n];
	begin = now();
	exit = vm_run(&vm, 0);
	printf("= 64 MiB read for the first time, %s pages of the host: %u EPT violations, %llu large entries %12llu "
	       "ticks\n",
	       large ? "huge " : "small", vm.stats->reason[48].count, (unsigned long long)vm.stats->large_pages,
	       (unsigned long long)(now() - begin));
	if (exit != VMDBG_EXIT_HARDWARE)
		printf("not ok 64 MiB read: exit %d\n", exit);
	vm_close(&vm);
}

/* --- EPT and shadow page tables: the same guests --- */

#define TIMES 100

CODE(steady, ".code64\n mov $100, %ecx\n 1: incb 0x300000\n incb 0x301000\n dec %ecx\n jnz 1b\n hlt\n");
CODE(map, ".code64\n mov $100, %ecx\n 1: movq $0x300007, 0x34800\n incb 0x300000\n movq $0, 0x34800\n"
	  " invlpg 0x300000\n dec %ecx\n jnz 1b\n hlt\n");
CODE(own, ".code64\n mov $100, %ecx\n 1: movq $0x60007, 0x33300\n incb 0x60000\n dec %ecx\n jnz 1b\n hlt\n");
CODE(spaces, ".code64\n mov $100, %ecx\n 1: mov %rax, %cr3\n incb 0x300000\n incb 0x301000\n mov %rbx, %cr3\n"
	     " incb 0x300000\n incb 0x301000\n dec %ecx\n jnz 1b\n hlt\n");

/* Another address space at 0x70000, with the first's lower 2 MiB and a table of its own. */
static void second_space(struct vm *vm)
{
	u64 *t = (u64 *)(vm->ram + 0x70000);

	t[0] = 0x71007;
	t[512] = 0x72007;
	t[1024] = (VM_TABLES + 0x3000) | 7;
	t[1025] = 0x73007;
	t[1536 + 0x100] = 0x310007;
	t[1536 + 0x101] = 0x311007;
	vm->regs->gpr[0] = 0x70000;
	vm->regs->gpr[3] = VM_TABLES;
}

/* To the HLT: what would be the engine's part is done here. */
static void to_hlt(struct vm *vm, u32 step)
{
	for (;;) {
		vm->run->until = ~0ull;
		switch (vm_run(vm, step)) {
		case VMDBG_EXIT_TABLE:
			vm_step(vm, 1);
			break;
		case VMDBG_EXIT_HARDWARE:
			if (vm->run->hw_reason != 28)
				return;
			vm->regs->cr3 = vm->regs->gpr[vm->run->qualification >> 8 & 15];
			vm_skip(vm);
			break;
		default:
			return;
		}
	}
}

static u64 exits(const struct vm *vm)
{
	u64 sum = 0;

	for (unsigned n = 0; n < VMDBG_MAX_REASONS; n++)
		sum += vm->stats->reason[n].count;
	return sum;
}

static void both(const char *name, const u8 *code, const u8 *end)
{
	for (u32 step = 0; step <= VMDBG_RUN_STEP; step += VMDBG_RUN_STEP)
		for (vm_create_flags = 0; vm_create_flags <= VMDBG_VCPU_SHADOW; vm_create_flags++) {
			u64 begin, before;
			struct vm vm;

			vm_open(&vm, VM_LONG, code, end);
			second_space(&vm);
			to_hlt(&vm, step);
			vm.regs->rip = VM_CODE;
			before = exits(&vm);
			begin = now();
			to_hlt(&vm, step);
			begin = now() - begin;
			printf("= %-38s %-8s %-6s %5llu.%02llu exits %8llu ticks\n", name, step ? "stepping" : "freely",
			       vm_create_flags ? "shadow" : "ept", (unsigned long long)((exits(&vm) - before) / TIMES),
			       (unsigned long long)((exits(&vm) - before) % TIMES),
			       (unsigned long long)(begin / TIMES));
			fflush(stdout);
			vm_close(&vm);
		}
	vm_create_flags = 0;
}

int main(void)
{
	tsc_in_kernel();
	tsc_to_user();
	dirty_reset();
	break_passed();
	port_out();
	cpuid_in_kernel();
	watch_hit();
	injection();
	step_cost();
	host_interrupt();
	reading(false);
	reading(true);
	both("two pages touched", steady, steady_end);
	both("a page mapped, touched, unmapped", map, map_end);
	both("a page mapped in the code's own table", own, own_end);
	both("two switches of CR3, two pages each", spaces, spaces_end);
	return 0;
}
