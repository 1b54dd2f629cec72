// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's exits, stepping and EPT permissions, one by one, on guests of a few instructions; then what it must refuse. */
#include "tests/host/vm.h"
#include "vmm/vtx/module/insn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HW(vm)      ((vm).run->hw_reason)
#define LL(v)       ((unsigned long long)(v))
#define RFLAGS_TF   0x100
#define RFLAGS_IF   0x200
#define INFO_VALID  0x80000000u
#define DEVICE_PAGE 0x300000ull /* mapped by the guest, and no RAM there in the tests that say so */

static bool hardware(struct vm *vm, int exit, u32 reason)
{
	return exit == VMDBG_EXIT_HARDWARE && vm->run->hw_reason == reason;
}

static void expect(struct vm *vm, int exit, int want, const char *name)
{
	check(exit == want, name, "exit %d, not %d; reason %u rip %#llx insns %llu vm_error %u intr %#x qual %#llx",
	      exit, want, vm->run->hw_reason, LL(vm->regs->rip), LL(vm->run->insns), vm->run->vm_error,
	      vm->run->intr_info, LL(vm->run->qualification));
}

/* --- real mode --- */

CODE(real_out, ".code16\n mov $0x42, %al\n out %al, $0x10\n hlt\n");

static void test_real(u32 step)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_REAL, real_out, real_out_end);
	vm.run->until = 100;
	exit = vm_run(&vm, step);
	check(hardware(&vm, exit, 30) && (vm.regs->gpr[0] & 0xff) == 0x42 && vm.run->qualification >> 16 == 0x10 &&
		  (!step || vm.run->insns == 1),
	      step ? "real mode: OUT, stepping" : "real mode: OUT", "exit %d reason %u qualification %llx insns %llu",
	      exit, HW(vm), LL(vm.run->qualification), LL(vm.run->insns));
	vm_skip(&vm);
	exit = vm_run(&vm, step);
	check(hardware(&vm, exit, 12), step ? "real mode: then HLT, stepping" : "real mode: then HLT", "exit %d", exit);
	vm_close(&vm);
}

/* --- what must exit, does --- */

static const struct {
	const char *name;
	u32 reason;
	const char *code;
	unsigned len;
} exits[] = {
#define EXIT(name, reason, code)                     \
	{                                            \
		name, reason, code, sizeof(code) - 1 \
	}
    EXIT("CPUID without a table", 10, "\x0f\xa2"),
    EXIT("HLT", 12, "\xf4"),
    EXIT("INVD", 13, "\x0f\x08"),
    EXIT("RDPMC", 15, "\x0f\x33"),
    EXIT("RDTSC", 16, "\x0f\x31"),
    EXIT("VMCALL", 18, "\x0f\x01\xc1"),
    EXIT("VMXOFF", 26, "\x0f\x01\xc4"),
    EXIT("MOV to CR0", 28, "\x0f\x22\xc0"),
    EXIT("MOV to CR3", 28, "\x0f\x22\xd8"),
    EXIT("MOV to CR4", 28, "\x0f\x22\xe0"),
    EXIT("MOV to CR8", 28, "\x44\x0f\x22\xc0"),
    EXIT("MOV from CR8", 28, "\x44\x0f\x20\xc0"),
    EXIT("MOV to DR7", 29, "\x0f\x23\xf8"),
    EXIT("MOV from DR6", 29, "\x0f\x21\xf0"),
    EXIT("IN", 30, "\xec"),
    EXIT("OUT", 30, "\xe6\x80"),
    EXIT("OUTS", 30, "\x6e"),
    EXIT("INS", 30, "\x6c"),
    EXIT("RDMSR", 31, "\x0f\x32"),
    EXIT("WRMSR", 32, "\x0f\x30"),
    EXIT("MWAIT", 36, "\x0f\x01\xc9"),
    EXIT("MONITOR", 39, "\x0f\x01\xc8"),
    EXIT("RDTSCP", 51, "\x0f\x01\xf9"),
    EXIT("WBINVD", 54, "\x0f\x09"),
    EXIT("XSETBV", 55, "\x0f\x01\xd1"),
    EXIT("RDRAND", 57, "\x0f\xc7\xf0"),
    EXIT("RDSEED", 61, "\x0f\xc7\xf8"),
};

static void test_exits(void)
{
	for (unsigned n = 0; n < ARRAY_SIZE(exits); n++)
		for (u32 step = 0; step < 2; step++) {
			const u8 *code = (const u8 *)exits[n].code;
			char name[64];
			struct vm vm;
			int exit;

			vm_open(&vm, VM_LONG, code, code + exits[n].len);
			vm.regs->gpr[0] = vm.regs->cr4;
			vm.regs->gpr[1] = 0; /* XCR0, MSR 0 */
			vm.regs->gpr[6] = vm.regs->gpr[7] = VM_DATA;
			vm.regs->cr4 |= 1 << 18;
			vm.run->until = 10;
			if (exits[n].reason == 28 && (code[2] == 0xc0 && code[0] == 0x0f))
				vm.regs->gpr[0] = vm.regs->cr0 ^ 8;
			if (exits[n].reason == 28 && code[2] == 0xe0)
				vm.regs->gpr[0] = vm.regs->cr4 ^ 4;
			exit = vm_run(&vm, (step ? VMDBG_RUN_STEP : 0) | VMDBG_RUN_CR3);
			snprintf(name, sizeof(name), "%s exits%s", exits[n].name, step ? ", stepping" : "");
			check(hardware(&vm, exit, exits[n].reason) && vm.regs->rip == VM_CODE, name,
			      "exit %d reason %u rip %#llx", exit, HW(vm), LL(vm.regs->rip));
			vm_close(&vm);
		}
}

/* --- stepping --- */

CODE(count_loop, ".code64\n mov $1000, %ecx\n 1: dec %ecx\n jnz 1b\n hlt\n");

static void test_count(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, count_loop, count_loop_end);
	exit = vm_step(&vm, 501);
	check(exit == VMDBG_EXIT_POSITION && vm.run->insns == 501 && vm.run->branches == 250 && vm.regs->gpr[1] == 750,
	      "stepping: 501 instructions, 250 branches", "exit %d insns %llu branches %llu rcx %llu", exit,
	      LL(vm.run->insns), LL(vm.run->branches), LL(vm.regs->gpr[1]));
	exit = vm_step(&vm, 10000);
	check(hardware(&vm, exit, 12) && vm.run->insns == 2001 && vm.run->branches == 1000, "stepping: to the HLT",
	      "exit %d insns %llu branches %llu", exit, LL(vm.run->insns), LL(vm.run->branches));
	vm_close(&vm);
}

CODE(flags, ".code64\n pushf\n pop %rax\n push $0x102\n popf\n nop\n nop\n hlt\n");

static void test_flags(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, flags, flags_end);
	exit = vm_step(&vm, 2);
	check(exit == VMDBG_EXIT_POSITION && vm.regs->gpr[0] == 2, "stepping: PUSHF shows no TF", "exit %d rax %#llx",
	      exit, LL(vm.regs->gpr[0]));
	exit = vm_step(&vm, 100);
	check(exit == VMDBG_EXIT_DEBUG && vm.run->debug_bits == 1 << 14 && vm.run->retired && vm.run->insns == 5,
	      "stepping: a TF of the guest's own traps after the next instruction", "exit %d bits %#llx insns %llu",
	      exit, LL(vm.run->debug_bits), LL(vm.run->insns));
	check(vm.regs->rflags & RFLAGS_TF, "stepping: and stays set", "rflags %#llx", LL(vm.regs->rflags));
	vm_close(&vm);
}

CODE(rep, ".code64\n mov $3000, %ecx\n mov $0x50000, %edi\n mov $0x60000, %esi\n rep movsb\n hlt\n");

static void test_rep(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, rep, rep_end);
	memset(vm.ram + 0x60000, 0x5a, 3000);
	exit = vm_step(&vm, 4);
	check(exit == VMDBG_EXIT_POSITION && vm.regs->gpr[1] == 0 && vm.ram[0x50000 + 2999] == 0x5a,
	      "stepping: a REP string instruction is one", "exit %d rcx %llu insns %llu", exit, LL(vm.regs->gpr[1]),
	      LL(vm.run->insns));
	check(vm.stats->steps - vm.stats->table_fills < 20, "stepping: and costs one step", "%llu, %llu",
	      LL(vm.stats->steps), LL(vm.stats->table_fills));
	vm_close(&vm);
	vm_open(&vm, VM_LONG, rep, rep_end);
	vm_access(&vm, VM_DATA, 1, VMDBG_R | VMDBG_X, NULL);
	vm_step(&vm, 10);
	vm.run->nr_open = 1;
	vm.run->open_gfn[0] = VM_DATA >> 12;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_OPENED && !vm.run->retired && vm.run->insns == 3 && vm.regs->gpr[1] == 2999,
	      "stepping: with a page open it goes by iterations, which don't count", "exit %d insns %llu rcx %llu",
	      exit, LL(vm.run->insns), LL(vm.regs->gpr[1]));
	vm_close(&vm);
}

CODE(sti, ".code64\n sti\n nop\n nop\n mov %ax, %ss\n nop\n int $0x30\n");

static void test_shadows(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, sti, sti_end);
	vm.regs->gpr[0] = 0x10;
	vm.run->until = 100;
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_WINDOW);
	check(exit == VMDBG_EXIT_WINDOW && vm.run->insns == 2, "the window opens one instruction after STI",
	      "exit %d insns %llu", exit, LL(vm.run->insns));
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_SPECIAL && vm.run->insn_class == INSN_LOADS_SS && vm.run->insns == 3,
	      "MOV SS is left to the user", "exit %d class %u insns %llu", exit, vm.run->insn_class, LL(vm.run->insns));
	vm.regs->rip += 3;
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_SPECIAL && vm.run->insn_class == INSN_INT && vm.run->insn_len == 2,
	      "INT n is left to the user", "exit %d class %u", exit, vm.run->insn_class);
	vm_close(&vm);
}

CODE(syscall_code, ".code64\n syscall\n nop\n");
CODE(fault_code, ".code64\n ud2\n mov 0x500000, %eax\n");

static void test_exceptions(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, syscall_code, syscall_code_end);
	vm.regs->lstar = VM_CODE + 0x100;
	vm.regs->star = 8ull << 32;
	memset(vm.ram + VM_CODE + 0x100, 0x90, 16);
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_POSITION && vm.regs->rip == VM_CODE + 0x100 && vm.regs->gpr[11] == 2,
	      "stepping: SYSCALL's R11 shows no TF", "exit %d rip %#llx r11 %#llx", exit, LL(vm.regs->rip),
	      LL(vm.regs->gpr[11]));
	vm_close(&vm);
	vm_open(&vm, VM_LONG, fault_code, fault_code_end);
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0x7ff) == (3 << 8 | 6), "#UD is told, not delivered",
	      "exit %d info %#x", exit, vm.run->intr_info);
	vm.regs->rip += 2;
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0xff) == 14 && vm.run->qualification == 0x500000 &&
		  vm.run->intr_error == 0,
	      "#PF is told with its address", "exit %d info %#x address %#llx", exit, vm.run->intr_info,
	      LL(vm.run->qualification));
	vm_close(&vm);
}

CODE(spin, ".code64\n 1: jmp 1b\n");

static void test_inject(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, spin, spin_end);
	vm_gate(&vm, 0x40, VM_CODE + 0x200);
	vm.regs->rflags |= RFLAGS_IF;
	vm.run->inject_info = INFO_VALID | 0x40;
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_DELIVER);
	vm.run->inject_info = 0;
	check(exit == VMDBG_EXIT_DELIVERED && vm.regs->rip == VM_CODE + 0x200 && vm.run->insns == 0 &&
		  !(vm.regs->rflags & (RFLAGS_IF | RFLAGS_TF)),
	      "an interrupt is delivered and nothing else runs", "exit %d rip %#llx insns %llu rflags %#llx", exit,
	      LL(vm.regs->rip), LL(vm.run->insns), LL(vm.regs->rflags));
	check(load64(vm.ram + VM_STACK - 24) == (RFLAGS_IF | 2) && load64(vm.ram + VM_STACK - 40) == VM_CODE,
	      "the frame shows no TF", "rflags %#llx rip %#llx", LL(load64(vm.ram + VM_STACK - 24)),
	      LL(load64(vm.ram + VM_STACK - 40)));
	vm.regs->rflags |= RFLAGS_IF;
	vm.run->inject_info = INFO_VALID | 0x41; /* no gate there */
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_DELIVER);
	vm.run->inject_info = 0;
	check(exit == VMDBG_EXIT_EXCEPTION && vm.run->vectoring_info & INFO_VALID,
	      "a fault during delivery is told with what was delivered", "exit %d info %#x vectoring %#x", exit,
	      vm.run->intr_info, vm.run->vectoring_info);
	vm_close(&vm);
}

/* --- EPT --- */

CODE(touch, ".code64\n mov 0x50008, %eax\n movl $7, 0x50010\n incl 0x50020\n mov 0x51000, %eax\n hlt\n");

static void test_limits(void)
{
	struct vm vm;
	u64 inveps;
	int exit;

	vm_open(&vm, VM_LONG, touch, touch_end);
	check(vm_access(&vm, VM_DATA, 1, VMDBG_R | VMDBG_X, NULL) == 0, "a page can be write-protected", "%d", errno);
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_EPT && vm.run->insns == 1 && vm.run->gpa == 0x50010 && vm.run->qualification & 2,
	      "a read passes, a write exits with its address", "exit %d insns %llu gpa %#llx qual %#llx", exit,
	      LL(vm.run->insns), LL(vm.run->gpa), LL(vm.run->qualification));
	vm.run->nr_open = 1;
	vm.run->open_gfn[0] = VM_DATA >> 12;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_OPENED && vm.run->insns == 2 && load32(vm.ram + 0x50010) == 7,
	      "opened for one instruction, the write is made", "exit %d insns %llu", exit, LL(vm.run->insns));
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_EPT && vm.run->insns == 2 && vm.run->gpa == 0x50020, "and the page is closed again",
	      "exit %d insns %llu gpa %#llx", exit, LL(vm.run->insns), LL(vm.run->gpa));
	vm_access(&vm, VM_DATA, 1, VMDBG_RWX, NULL);
	vm_access(&vm, 0x51000, 1, VMDBG_X, NULL);
	exit = vm_step(&vm, 10);
	check(exit == VMDBG_EXIT_EPT && vm.run->insns == 3 && vm.run->gpa == 0x51000 && vm.run->qualification & 1,
	      "a page that may not be read exits", "exit %d insns %llu gpa %#llx", exit, LL(vm.run->insns),
	      LL(vm.run->gpa));
	vm_access(&vm, 0x51000, 1, VMDBG_RWX, NULL);
	vm_access(&vm, VM_CODE, 1, VMDBG_R | VMDBG_W, NULL);
	inveps = vm.stats->inveps;
	exit = vm_step(&vm, 10);
	/* Bochs forgets all translations at every VM entry, so only the count tells that they were to be forgotten. */
	check(vm.stats->inveps > inveps, "rights that were taken away are followed by INVEPT", "%llu",
	      LL(vm.stats->inveps));
	check(exit == VMDBG_EXIT_EPT && vm.run->qualification & 4 && vm.run->insns == 3,
	      "a page that may not be executed exits", "exit %d qual %#llx", exit, LL(vm.run->qualification));
	vm_close(&vm);
}

CODE(self_read, ".code64\n nop\n nop\n mov 0x10001, %al\n hlt\n");

static void test_hidden(void)
{
	u8 *twin = aligned_alloc(4096, 4096);
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, self_read, self_read_end);
	memcpy(twin, vm.ram + VM_CODE, 4096);
	twin[1] = 0xcc;
	if (vm_access(&vm, VM_CODE, 1, VMDBG_X, twin)) {
		check(false, "hidden breakpoint: a twin can be set", "errno %d", errno);
		return;
	}
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0xff) == 3 && vm.regs->rip == VM_CODE + 1,
	      "hidden breakpoint: the twin's INT3 is met", "exit %d info %#x rip %#llx", exit, vm.run->intr_info,
	      LL(vm.regs->rip));
	vm.regs->rip = VM_CODE + 2;
	exit = vm_run(&vm, 0);
	check(exit == VMDBG_EXIT_EPT && vm.run->gpa == VM_CODE + 1 && vm.run->qualification & 1,
	      "hidden breakpoint: reading the text exits", "exit %d gpa %#llx", exit, LL(vm.run->gpa));
	vm.run->nr_open = 1;
	vm.run->open_gfn[0] = VM_CODE >> 12;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_OPENED && (vm.regs->gpr[0] & 0xff) == 0x90,
	      "hidden breakpoint: and shows the guest's byte", "exit %d al %#llx", exit, LL(vm.regs->gpr[0] & 0xff));
	vm_close(&vm);
	free(twin);
}

CODE(stride, ".code64\n mov $0x100000, %edi\n mov $200, %ecx\n 1: incl (%rdi)\n add $64, %rdi\n dec %ecx\n jnz 1b\n"
	     " incl 0x200000\n hlt\n");

static u32 ept_exits(u64 watched)
{
	struct vm vm;
	u32 count;
	int exit;

	vm_open(&vm, VM_LONG, stride, stride_end);
	for (u64 n = 0; n < watched; n++)
		vm_access(&vm, 0x110000 + n * 4096 % 0x2e0000, 1, VMDBG_R | VMDBG_X, NULL);
	exit = vm_run(&vm, 0);
	count = vm.stats->reason[48].count;
	if (watched)
		check(exit == VMDBG_EXIT_EPT && vm.run->gpa == 0x200000, "many watchpoints: the watched page exits",
		      "exit %d gpa %#llx", exit, LL(vm.run->gpa));
	vm_close(&vm);
	return count;
}

static void test_many_watched(void)
{
	u32 none = ept_exits(0), many = ept_exits(1000);

	check(many == none, "1,000 watchpoints cost no exit on pages not watched", "%u EPT violations with, %u without",
	      many, none);
}

static bool written(const struct vm *vm, u64 gpa)
{
	for (u32 n = 0; n < vm->run->nr_dirty; n++)
		if (vm->run->dirty[n] == gpa >> 12)
			return true;
	return false;
}

static void test_dirty(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct vm vm;

	vm_open(&vm, VM_LONG, touch, touch_end);
	vm_step(&vm, 1);
	check(!written(&vm, VM_DATA), "reading a page isn't writing it", "%u", vm.run->nr_dirty);
	vm_step(&vm, 1);
	check(written(&vm, VM_DATA), "a page's first write is told", "%u pages", vm.run->nr_dirty);
	vm_step(&vm, 1);
	check(vm.run->nr_dirty == 0, "the second isn't", "%u", vm.run->nr_dirty);
	vm.regs->rip -= 7;
	ioctl(vm.fd, VMDBG_IOC_DIRTY_RESET, &arg);
	vm_step(&vm, 1);
	check(written(&vm, VM_DATA), "after DIRTY_RESET it is told again", "%u", vm.run->nr_dirty);
	vm_close(&vm);
}

CODE(device, ".code64\n mov 0x350004, %eax\n mov %ebx, 0x350008\n hlt\n");

/* A region that ends at 3 MiB, so that the guest's tables lead beyond RAM. */
static void test_device(void)
{
	struct vm vm;
	u64 *pte;
	int exit;

	vm_open(&vm, VM_LONG, device, device_end);
	pte = (u64 *)(vm.ram + VM_TABLES + 0x3000) + 0x350;
	*pte = 0xfe000000ull | 7;
	vm.regs->gpr[3] = 0x11223344;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_EPT && vm.run->gpa == 0xfe000004 && vm.run->gla == 0x350004,
	      "a device's address exits", "exit %d gpa %#llx gla %#llx", exit, LL(vm.run->gpa), LL(vm.run->gla));
	store32(vm.bounce + 4, 0xcafe);
	vm.run->bounce_gpa[0] = 0xfe000000;
	vm.run->nr_bounce = 1;
	vm.run->until = vm.run->insns + 1;
	exit = vm_run(&vm, VMDBG_RUN_STEP);
	check(exit == VMDBG_EXIT_OPENED && vm.regs->gpr[0] == 0xcafe && vm.run->insns == 1,
	      "through the bounce page it reads what was put there", "exit %d rax %#llx", exit, LL(vm.regs->gpr[0]));
	vm.run->until = vm.run->insns + 1;
	vm.run->nr_bounce = 1;
	exit = vm_run(&vm, VMDBG_RUN_STEP);
	check(exit == VMDBG_EXIT_OPENED && load32(vm.bounce + 8) == 0x11223344, "and what it writes is found there",
	      "exit %d %#x", exit, load32(vm.bounce + 8));
	vm_close(&vm);
}

/* --- 2 MiB at once --- */

CODE(large,
     ".code64\n mov $0x200000, %edi\n mov $512, %ecx\n 1: mov (%rdi), %eax\n add $4096, %edi\n dec %ecx\n jnz 1b\n"
     " movl $7, 0x280010\n mov 0x281008, %ebx\n incl 0x280010\n mov 0x2a0000, %eax\n hlt\n");
#define LARGE_LOOP (2 + 4 * 512)

/* Pages told as written among those that the test maps at once: not the guest's tables. */
static unsigned written_there(const struct vm *vm)
{
	unsigned sum = 0;

	for (u32 n = 0; n < vm->run->nr_dirty; n++)
		sum += vm->run->dirty[n] >= 0x200;
	return sum;
}

static void test_large(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	const struct vmdbg_stats *s;
	u64 pages, splits, inveps;
	u32 violations;
	struct vm vm;
	int exit;

	vm_open_sized(&vm, VM_LONG, large, large_end, VM_RAM, true);
	store32(vm.ram + 0x281008, 0xbeef);
	s = vm.stats;
	vm_step(&vm, 2);
	violations = s->reason[48].count;
	pages = s->large_pages;
	vm_step(&vm, LARGE_LOOP - 2);
	check(s->large_pages == pages + 1 && s->reason[48].count - violations < 8, "2 MiB are read with one EPT entry",
	      "%llu large pages, %u EPT violations", LL(s->large_pages - pages), s->reason[48].count - violations);
	splits = s->splits;
	inveps = s->inveps;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_POSITION && s->splits == splits + 1 && load32(vm.ram + 0x280010) == 7 &&
		  written(&vm, 0x280000) && written_there(&vm) == 1,
	      "the first write splits it, and tells of its own 4 KiB alone", "exit %d, %llu splits, %u pages", exit,
	      LL(s->splits - splits), vm.run->nr_dirty);
	/* As everywhere here, only the count can tell. */
	check(s->inveps > inveps, "which INVEPT follows", "%llu", LL(s->inveps - inveps));
	violations = s->reason[48].count;
	exit = vm_step(&vm, 2);
	check(exit == VMDBG_EXIT_POSITION && vm.regs->gpr[3] == 0xbeef && load32(vm.ram + 0x280010) == 8 &&
		  s->reason[48].count == violations,
	      "then all of it is read as before, without exits", "exit %d, rbx %#llx, %u EPT violations", exit,
	      LL(vm.regs->gpr[3]), s->reason[48].count - violations);
	ioctl(vm.fd, VMDBG_IOC_DIRTY_RESET, &arg);
	vm.regs->rip -= 7;
	vm_step(&vm, 1);
	check(written(&vm, 0x280000) && !written(&vm, 0x281000), "and DIRTY_RESET works in it", "%u pages",
	      vm.run->nr_dirty);
	vm_close(&vm);

	vm_open_sized(&vm, VM_LONG, large, large_end, VM_RAM, true);
	vm_step(&vm, LARGE_LOOP);
	splits = vm.stats->splits;
	inveps = vm.stats->inveps;
	vm_access(&vm, 0x2a0000, 1, 0, NULL);
	vm_step(&vm, 3);
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_EPT && vm.run->gpa == 0x2a0000 && vm.stats->splits == splits + 1 &&
		  vm.stats->inveps > inveps,
	      "a limit splits it", "exit %d gpa %#llx, %llu splits", exit, LL(vm.run->gpa),
	      LL(vm.stats->splits - splits));
	vm_close(&vm);
	vm_open_sized(&vm, VM_LONG, large, large_end, VM_RAM, true);
	vm_access(&vm, 0x2a0000, 1, 0, NULL);
	exit = vm_step(&vm, LARGE_LOOP);
	check(exit == VMDBG_EXIT_EPT && vm.run->gpa == 0x2a0000, "one that was there before is kept",
	      "exit %d gpa %#llx", exit, LL(vm.run->gpa));
	vm_close(&vm);
}

/* --- A20M# --- */

CODE(line20, ".code64\n mov 0x310010, %eax\n mov 0x310010, %ebx\n mov 0x310010, %ecx\n movl $7, 0x310010\n"
	     " mov 0x310010, %edx\n hlt\n");

static void test_a20m(void)
{
	u32 flags = vm_step_flags;
	struct vm vm;
	int exit;

	vm_open_sized(&vm, VM_LONG, line20, line20_end, VM_RAM, true);
	store32(vm.ram + 0x210010, 1);
	store32(vm.ram + 0x310010, 2);
	vm_step(&vm, 1);
	vm_step_flags |= VMDBG_RUN_A20M;
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_POSITION && (u32)vm.regs->gpr[0] == 2 && (u32)vm.regs->gpr[3] == 1,
	      "A20M#: bit 20 of an address is 0, what was mapped before is forgotten", "exit %d eax %#llx ebx %#llx",
	      exit, LL(vm.regs->gpr[0]), LL(vm.regs->gpr[3]));
	vm_access(&vm, 0x210000, 1, 0, NULL);
	exit = vm_step(&vm, 1);
	check(exit == VMDBG_EXIT_EPT && vm.run->gpa == 0x210010, "A20M#: a limit is of the page that is reached",
	      "exit %d gpa %#llx", exit, LL(vm.run->gpa));
	vm_access(&vm, 0x210000, 1, VMDBG_RWX, NULL);
	vm_step(&vm, 2);
	check(load32(vm.ram + 0x210010) == 7 && load32(vm.ram + 0x310010) == 2 && written(&vm, 0x210000) &&
		  !written(&vm, 0x310000),
	      "A20M#: which is told as written, too", "%u, %u", load32(vm.ram + 0x210010), load32(vm.ram + 0x310010));
	vm_step_flags = flags;
	vm_step(&vm, 1);
	check((u32)vm.regs->gpr[2] == 2, "A20M#: and without it the address is as before", "edx %#llx",
	      LL(vm.regs->gpr[2]));
	vm_close(&vm);
}

/* --- answered in the kernel --- */

CODE(tsc_loop, ".code64\n mov $200, %ecx\n 1: rdtsc\n dec %ecx\n jnz 1b\n hlt\n");

static void test_tsc(void)
{
	const struct vmdbg_tsc_read *ring;
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, tsc_loop, tsc_loop_end);
	ring = (void *)((u8 *)vm.stats + VMDBG_TSC_RING_OFFSET);
	vm.run->until = 10000;
	vm.run->tsc_base = 1000;
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_TSC_HERE | VMDBG_RUN_TSC_INSNS);
	check(exit == VMDBG_EXIT_TSC && vm.run->nr_tsc == VMDBG_TSC_RING, "RDTSC in the kernel: a full ring is told",
	      "exit %d nr %u", exit, vm.run->nr_tsc);
	check(ring[0].value == 1001 && ring[1].value == 1004 && ring[1].insns == 4,
	      "RDTSC in the kernel: base and position", "%llu %llu", LL(ring[0].value), LL(ring[1].value));
	vm.run->nr_tsc = 0;
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_TSC_HERE | VMDBG_RUN_TSC_INSNS);
	check(hardware(&vm, exit, 12) && vm.run->nr_tsc == 200 - VMDBG_TSC_RING && vm.stats->reason[16].count >= 200,
	      "RDTSC in the kernel: every read is in the ring", "exit %d nr %u count %u", exit, vm.run->nr_tsc,
	      vm.stats->reason[16].count);
	vm_close(&vm);
}

CODE(cpuid_code, ".code64\n mov $0x12, %eax\n xor %ecx, %ecx\n cpuid\n hlt\n");

static void test_cpuid(void)
{
	struct vmdbg_cpuid_entry e = {.leaf = 0x12, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4};
	struct vmdbg_cpuid table = {.size = sizeof(table), .count = 1, .entries = (u64)(uintptr_t)&e};
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, cpuid_code, cpuid_code_end);
	ioctl(vm.fd, VMDBG_IOC_CPUID, &table);
	exit = vm_step(&vm, 10);
	check(hardware(&vm, exit, 12) && vm.regs->gpr[0] == 1 && vm.regs->gpr[3] == 2 && vm.regs->gpr[2] == 4 &&
		  vm.run->insns == 3,
	      "CPUID is answered from the table", "exit %d eax %llu insns %llu", exit, LL(vm.regs->gpr[0]),
	      LL(vm.run->insns));
	vm_close(&vm);
}

static void test_breaks(void)
{
	u64 la[2] = {VM_CODE + 5, VM_CODE + 9};
	struct vmdbg_breaks b = {.size = sizeof(b), .count = 2, .entries = (u64)(uintptr_t)la};
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, count_loop, count_loop_end);
	ioctl(vm.fd, VMDBG_IOC_BREAKS, &b);
	exit = vm_step(&vm, 100);
	check(exit == VMDBG_EXIT_BREAK && vm.regs->rip == la[0] && vm.run->insns == 1,
	      "an execution breakpoint stops before", "exit %d rip %#llx", exit, LL(vm.regs->rip));
	vm.run->until = 100;
	exit = vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_PASS);
	check(exit == VMDBG_EXIT_BREAK && vm.run->insns == 3, "and can be passed once", "exit %d insns %llu", exit,
	      LL(vm.run->insns));
	vm_close(&vm);
}

/* --- what goes wrong in the guest --- */

static void test_bad_state(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_REAL, spin, spin_end);
	vm.regs->cr0 |= 1u << 31; /* PG without PE */
	exit = vm_step(&vm, 1);
	expect(&vm, exit, VMDBG_EXIT_BAD_ENTRY, "an impossible guest state is a failed entry");
	vm_close(&vm);
	vm_open(&vm, VM_LONG, spin, spin_end);
	vm.regs->seg[1].ar = 0;
	exit = vm_step(&vm, 1);
	expect(&vm, exit, VMDBG_EXIT_BAD_ENTRY, "so is an impossible segment");
	vm.regs->seg[1].ar = 0xa09b;
	exit = vm_step(&vm, 1);
	expect(&vm, exit, VMDBG_EXIT_POSITION, "after which a good one runs");
	vm_close(&vm);
	vm_open(&vm, VM_LONG, fault_code, fault_code_end);
	vm.regs->idtr.limit = 0;
	exit = vm_run(&vm, 0);
	expect(&vm, exit, VMDBG_EXIT_SHUTDOWN, "a triple fault, running freely");
	vm_close(&vm);
}

static void on_alarm(int sig)
{
}

static void test_endless(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct vm vm;

	for (u32 flag = 0; flag < 2; flag++) {
		vm_open(&vm, VM_LONG, spin, spin_end);
		vm.regs->rflags = 2 | (flag ? RFLAGS_IF : 0);
		vm.run->flags = 0;
		signal(SIGALRM, on_alarm);
		alarm(1);
		check(ioctl(vm.fd, VMDBG_IOC_RUN, &arg) == 0 && vm.run->exit == VMDBG_EXIT_KICK,
		      flag ? "an endless loop gives the CPU back" : "... with IF clear too", "exit %u", vm.run->exit);
		alarm(0);
		vm_close(&vm);
	}
}

/* --- refusals --- */

static void refuse(int ret, int want, const char *name)
{
	int got = ret < 0 ? errno : 0;

	check(got == want, name, "errno %d, not %d", got, want);
}

static void test_order(void)
{
	int fd = open("/dev/vmdbg", O_RDWR);
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct vmdbg_vcpu_create create = {.size = sizeof(create)};
	struct vmdbg_region region = {.size = sizeof(region), .bytes = 1 << 20, .uaddr = 1 << 20};
	struct vmdbg_probe probe = {.size = sizeof(probe) - 4};

	refuse(ioctl(fd, VMDBG_IOC_RUN, &arg), EINVAL, "RUN without a vCPU");
	refuse(ioctl(fd, VMDBG_IOC_DIRTY_RESET, &arg), EINVAL, "DIRTY_RESET without a vCPU");
	refuse(ioctl(fd, VMDBG_IOC_RUN, NULL), EFAULT, "RUN with a null pointer");
	refuse(ioctl(fd, 0x1234, &arg), ENOTTY, "an unknown ioctl");
	refuse(ioctl(fd, VMDBG_IOC_PROBE, &probe), EINVAL, "PROBE of another size");
	check(probe.version == VMDBG_ABI_VERSION, "which still tells the version", "%u", probe.version);
	arg.size = 4;
	refuse(ioctl(fd, VMDBG_IOC_RUN, &arg), EINVAL, "a wrong size");
	region.gpa = 1;
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), EINVAL, "an unaligned region");
	region.gpa = 0;
	region.uaddr = 0xffff800000000000;
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), EFAULT, "a region of kernel addresses");
	region.uaddr = 1 << 20;
	region.bytes = ~0xfffull;
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), EINVAL, "an endless region");
	region.bytes = 1 << 20;
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), 0, "a region of nothing mapped is taken");
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), EEXIST, "but not twice");
	create.id = 16;
	refuse(ioctl(fd, VMDBG_IOC_VCPU, &create), EINVAL, "vCPU 16");
	create.id = 0;
	create.flags = VMDBG_VCPU_FLAGS + 1;
	refuse(ioctl(fd, VMDBG_IOC_VCPU, &create), EINVAL, "a vCPU with an unknown flag");
	create.flags = vm_create_flags;
	create.reserved = 1;
	refuse(ioctl(fd, VMDBG_IOC_VCPU, &create), EINVAL, "a vCPU with something reserved");
	create.reserved = 0;
	refuse(ioctl(fd, VMDBG_IOC_VCPU, &create), 0, "vCPU 0");
	refuse(ioctl(fd, VMDBG_IOC_VCPU, &create), EEXIST, "vCPU 0 again");
	region.gpa = 1 << 21;
	refuse(ioctl(fd, VMDBG_IOC_REGION, &region), EBUSY, "a region after the vCPU");
	check(mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED, "mapping more than a vCPU has",
	      "mapped");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, VMDBG_MMAP(3, 0)) == MAP_FAILED, "mapping a vCPU that isn't",
	      "mapped");
	arg.size = sizeof(arg);
	refuse(ioctl(fd, VMDBG_IOC_RUN, &arg), EINVAL, "RUN of a vCPU with all registers zero");
	close(fd);
}

static void test_arguments(void)
{
	struct vm vm;

	vm_open(&vm, VM_LONG, spin, spin_end);
	vm.run->until = 1;
	refuse(vm_run(&vm, 0x80000000) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL, "an unknown flag");
	vm.regs->lstar = 0x8000000000000000;
	refuse(vm_run(&vm, VMDBG_RUN_STEP) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL, "a non-canonical LSTAR");
	vm.regs->lstar = 0;
	vm.regs->xcr0 = 0xff;
	refuse(vm_run(&vm, VMDBG_RUN_STEP) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL,
	       "an XCR0 that the model hasn't");
	vm.regs->xcr0 = 1;
	vm.regs->cr0 &= ~1ull;
	refuse(vm_run(&vm, VMDBG_RUN_STEP) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL,
	       "EFER.LMA without protection");
	vm.regs->cr0 |= 1;
	vm.run->nr_open = 1000;
	refuse(vm_run(&vm, VMDBG_RUN_STEP) == -EINVAL ? (errno = EINVAL, -1) : 0, EINVAL, "too many open pages");
	vm.run->nr_open = 0;
	store32(vm.regs->fxsave + 24, 0xffffffff);
	check(vm_run(&vm, VMDBG_RUN_STEP) == VMDBG_EXIT_POSITION, "reserved bits of MXCSR are dropped", "%u",
	      vm.run->exit);
	check(vm_access(&vm, 0x7000000000, 1, 0, NULL) == -EFAULT, "limits where there is no RAM", "%d", errno);
	check(vm_access(&vm, 0, 1, VMDBG_W, NULL) == -EINVAL, "a page to be written but not read", "%d", errno);
	check(vm_access(&vm, 0, 2, VMDBG_X, vm.ram) == -EINVAL, "one twin for two pages", "%d", errno);
	check(vm_access(&vm, 0, 1, VMDBG_X, (void *)8) == -EFAULT, "a twin from nowhere", "%d", errno);
	vm_close(&vm);
}

static void test_processes(void)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct vm vm;
	int status;
	pid_t pid;

	vm_open(&vm, VM_LONG, spin, spin_end);
	pid = fork();
	if (!pid)
		_exit(ioctl(vm.fd, VMDBG_IOC_RUN, &arg) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == EIO, "another process can't run it", "status %#x", status);
	munmap(vm.ram, VM_RAM);
	vm.run->until = 5;
	vm.run->flags = VMDBG_RUN_STEP;
	check(ioctl(vm.fd, VMDBG_IOC_RUN, &arg) < 0 && errno == EFAULT, "memory unmapped underneath: an errno",
	      "exit %u", vm.run->exit);
	vm.ram = mmap(NULL, VM_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm_close(&vm);

	pid = fork();
	if (!pid) {
		vm_open(&vm, VM_LONG, spin, spin_end);
		vm.run->flags = 0;
		for (;;)
			ioctl(vm.fd, VMDBG_IOC_RUN, &arg);
	}
	usleep(100000);
	check(syscall(SYS_delete_module, "vmdbg", O_NONBLOCK) < 0, "the module can't be unloaded while it runs",
	      "it was");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	check(WIFSIGNALED(status), "a process can be killed in the middle of a run", "status %#x", status);
}

/* --- both ways of stepping --- */

/* Branches, flags that show TF or set it, REP with and without it, a data breakpoint and one on execution, STI, IRET, SYSCALL. */
CODE(mixed,
     ".code64\n mov $3, %ecx\n 1: dec %ecx\n jnz 1b\n pushf\n pop %rax\n mov $0x50000, %edi\n mov $0x50100, %esi\n"
     " mov $5, %ecx\n rep movsb\n push $0x102\n popf\n nop\n pushf\n pop %rbx\n mov $4, %ecx\n rep stosb\n"
     " push $2\n popf\n movl $1, 0x50200\n incl 0x50200\n sti\n nop\n cli\n mov %rsp, %rdx\n push $0x10\n push %rdx\n"
     " pushf\n push $8\n lea 2f(%rip), %rax\n push %rax\n iretq\n 2: syscall\n");

static void open_mixed(struct vm *vm)
{
	vm_open(vm, VM_LONG, mixed, mixed_end);
	vm->regs->star = 8ull << 32;
	vm->regs->lstar = VM_CODE + 0x180;
	memset(vm->ram + VM_CODE + 0x180, 0x90, 8);
	vm->ram[VM_CODE + 0x188] = 0xf4;
	vm->regs->dr[0] = 0x50200;
	vm->regs->dr[1] = VM_CODE + 0x183;
	vm->regs->dr7 = 0x400 | 1 | 4 | 0xdull << 16; /* 0: 4 bytes written; 1: executed */
}

static int step_mixed(struct vm *vm, u32 flags)
{
	int exit;

	vm_step_flags = flags;
	exit = vm_step(vm, 1);
	vm_step_flags = 0;
	if (exit == VMDBG_EXIT_DEBUG && !vm->run->retired)
		vm->regs->rflags |= 1u << 16; /* the breakpoint was met: on with RF */
	return exit;
}

static void test_backends(void)
{
	struct vmdbg_probe probe = {.size = sizeof(probe)};
	unsigned stops = 0, debug = 0;
	bool same = true, end = false;
	int a = 0, b = 0;
	struct vm x, y;

	open_mixed(&x);
	if (ioctl(x.fd, VMDBG_IOC_PROBE, &probe) || !(probe.features & VMDBG_FEATURE_MTF)) {
		printf("skip stepping by the monitor trap flag, beside TF: this processor has none\n");
		vm_close(&x);
		return;
	}
	open_mixed(&y);
	while (same && !end && stops < 200) {
		a = step_mixed(&x, 0);
		b = step_mixed(&y, VMDBG_RUN_TF);
		same = a == b && !memcmp(x.regs, y.regs, sizeof(*x.regs)) && x.run->insns == y.run->insns &&
		       x.run->branches == y.run->branches && x.run->debug_bits == y.run->debug_bits &&
		       x.run->retired == y.run->retired && !memcmp(x.ram + VM_STACK - 64, y.ram + VM_STACK - 64, 64);
		debug += a == VMDBG_EXIT_DEBUG;
		end = hardware(&x, a, 12);
		stops++;
	}
	check(same && end && debug > 8 && x.stats->reason[37].count && !y.stats->reason[37].count,
	      "stepping by the monitor trap flag is stepping by TF",
	      "stop %u: exits %d and %d, rip %#llx and %#llx, rflags %#llx and %#llx, insns %llu and %llu, bits %#llx "
	      "and "
	      "%#llx; %u stops for debugging, %u and %u exits by the flag",
	      stops, a, b, LL(x.regs->rip), LL(y.regs->rip), LL(x.regs->rflags), LL(y.regs->rflags), LL(x.run->insns),
	      LL(y.run->insns), LL(x.run->debug_bits), LL(y.run->debug_bits), debug, x.stats->reason[37].count,
	      y.stats->reason[37].count);
	vm_close(&x);
	vm_close(&y);
}

/* abi --shadow: everything once more, with shadow page tables. */
int main(int argc, char **argv)
{
	(void)argv;
	vm_create_flags = argc > 1 ? VMDBG_VCPU_SHADOW : 0;
	test_real(0);
	test_real(VMDBG_RUN_STEP);
	test_exits();
	test_backends();
	test_count();
	test_flags();
	test_rep();
	test_shadows();
	test_exceptions();
	test_inject();
	test_limits();
	test_hidden();
	test_many_watched();
	test_dirty();
	test_device();
	test_large();
	test_a20m();
	test_tsc();
	test_cpuid();
	test_breaks();
	test_bad_state();
	test_endless();
	test_order();
	test_arguments();
	test_processes();
	return failures != 0;
}
