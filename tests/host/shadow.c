// SPDX-License-Identifier: GPL-2.0-or-later
/* Shadow page tables: the guest's accessed and dirty flags after each access, what it sees after it has written its tables,
 * its faults, and what the module does when it runs out of tables. Stepping, and running freely. */
#include "tests/host/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LL(v)  ((unsigned long long)(v))
#define PTE(n) (VM_TABLES + 0x3000 + 8 * (n)) /* of page n */
#define P      1ull
#define W      2ull
#define U      4ull
#define A      0x20ull
#define D      0x40ull
#define PAGE_X 0x60ull /* pages without another use */
#define PAGE_Y 0x61ull
#define PAGE_Z 0x62ull

static u64 *entry(struct vm *vm, u64 page)
{
	return (u64 *)(vm->ram + PTE(page));
}

static u64 *at(struct vm *vm, u64 page)
{
	return (u64 *)(vm->ram + (page << 12));
}

static const char *mode(u32 step)
{
	return step ? "stepping" : "running freely";
}

/* Runs to the HLT, which is what is returned; a write to a table that has to be stepped is stepped. */
static bool to_hlt(struct vm *vm, u32 step)
{
	int exit;

	for (;;) {
		vm->run->until = ~0ull;
		exit = vm_run(vm, step);
		if (exit != VMDBG_EXIT_TABLE)
			break;
		if (step || vm_step(vm, 1) != VMDBG_EXIT_POSITION)
			return false;
	}
	return exit == VMDBG_EXIT_HARDWARE && vm->run->hw_reason == 12;
}

static void result(bool good, struct vm *vm, u32 step, const char *what)
{
	char name[100];

	snprintf(name, sizeof(name), "shadow: %s, %s", what, mode(step));
	check(good, name,
	      "exit %u reason %u rip %#llx rax %#llx rbx %#llx rsp %#llx cr2 %#llx intr %#x error %#x; x %#llx y %#llx "
	      "z %#llx",
	      vm->run->exit, vm->run->hw_reason, LL(vm->regs->rip), LL(vm->regs->gpr[0]), LL(vm->regs->gpr[3]),
	      LL(vm->regs->gpr[4]), LL(vm->regs->cr2), vm->run->intr_info, vm->run->intr_error, LL(*entry(vm, PAGE_X)),
	      LL(*entry(vm, PAGE_Y)), LL(*entry(vm, PAGE_Z)));
}

static bool told(const struct vm *vm, u64 gfn)
{
	for (u32 n = 0; n < vm->run->nr_dirty; n++)
		if (vm->run->dirty[n] == gfn)
			return true;
	return false;
}

CODE(flags, ".code64\n mov 0x60000, %eax\n mov %eax, 0x61000\n mov 0x63000, %eax\n mov %eax, 0x63000\n mov %cr3, %rbx\n"
	    " mov %cr3, %rsp\n hlt\n");

/* Flags are those of the accesses made; the tables' pages are told as written; CR3 is the guest's. */
static void test_flags(u32 step)
{
	struct vm vm;
	bool good;

	vm_open(&vm, VM_LONG, flags, flags_end);
	good = to_hlt(&vm, step);
	result(good && *entry(&vm, PAGE_X) == ((PAGE_X << 12) | P | W | U | A) &&
		   *entry(&vm, PAGE_Y) == ((PAGE_Y << 12) | P | W | U | A | D) &&
		   *entry(&vm, PAGE_Z) == ((PAGE_Z << 12) | P | W | U),
	       &vm, step, "accessed and dirty flags are exact");
	result(*entry(&vm, PAGE_Z + 1) == (((PAGE_Z + 1) << 12) | P | W | U | A | D), &vm, step,
	       "a page that is read, then written, is dirty");
	result(vm.regs->gpr[3] == VM_TABLES && vm.regs->gpr[4] == VM_TABLES && vm.regs->cr3 == VM_TABLES, &vm, step,
	       "CR3 reads as the guest's");
	result(told(&vm, VM_TABLES >> 12) && told(&vm, PTE(0) >> 12), &vm, step, "flags set are told as written");
	vm_close(&vm);
}

/* The entry of page X, through which the code reads, is made to lead to Y and to Z; nothing is invalidated. The table
 * written maps itself and the code. */
CODE(remap, ".code64\n mov 0x60000, %al\n shl $8, %rax\n movl $0x61007, 0x33300\n mov 0x60000, %al\n shl $8, %rax\n"
	    " movl $0x62007, 0x33300\n mov 0x60000, %al\n hlt\n");

static void test_remap(u32 step)
{
	struct vm vm;
	bool good;

	vm_open(&vm, VM_LONG, remap, remap_end);
	*at(&vm, PAGE_X) = 1;
	*at(&vm, PAGE_Y) = 2;
	*at(&vm, PAGE_Z) = 3;
	good = to_hlt(&vm, step);
	result(good && (vm.regs->gpr[0] & 0xffffff) == 0x010203, &vm, step,
	       "a table that is written is looked at anew");
	result(*entry(&vm, PAGE_X) == ((PAGE_Z << 12) | P | W | U | A), &vm, step, "and its flags are set anew");
	/* What others write is told. */
	*entry(&vm, PAGE_X) = (PAGE_Y << 12) | P | W | U;
	vm.regs->rip = VM_CODE;
	vm.run->until = vm.run->insns + 1;
	if (step) {
		vm_run(&vm, VMDBG_RUN_STEP | VMDBG_RUN_FLUSH);
		result((vm.regs->gpr[0] & 0xff) == 2 && *entry(&vm, PAGE_X) & A, &vm, step, "RUN_FLUSH");
	}
	vm_close(&vm);
}

/* The same with a table that nothing else needs. */
CODE(other, ".code64\n mov 0x300000, %al\n shl $8, %rax\n movl $0x61007, 0x34800\n mov 0x300000, %al\n hlt\n");

static void test_other(u32 step)
{
	struct vm vm;
	bool good;

	vm_open(&vm, VM_LONG, other, other_end);
	*at(&vm, 0x300) = 1;
	*at(&vm, PAGE_Y) = 2;
	good = to_hlt(&vm, step);
	result(good && (vm.regs->gpr[0] & 0xffff) == 0x0102 && *(u64 *)(vm.ram + 0x34800) == (0x61000 | P | W | U | A),
	       &vm, step, "so is one that nothing else needs");
	/* Bochs forgets translations at each VM entry; processors don't. */
	result(vm.stats->invvpids > 0, &vm, step, "INVVPID follows");
	vm_close(&vm);
}

/* All of a table is cleared but for what the code needs, by iterations of one instruction; then it faults. */
CODE(clear, ".code64\n mov 0x60000, %rax\n mov $0x33300, %edi\n mov $16, %ecx\n xor %eax, %eax\n rep stosq\n"
	    " incl 0x60008\n hlt\n");
CODE(handler, ".code64\n mov (%rsp), %rbx\n hlt\n");

static void test_fault(u32 step)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, clear, clear_end);
	vm_gate(&vm, 14, VM_CODE + 0x100);
	memcpy(vm.ram + VM_CODE + 0x100, handler, (size_t)(handler_end - handler));
	if (step) {
		vm.run->until = ~0ull;
		exit = vm_run(&vm, step);
		result(exit == VMDBG_EXIT_EXCEPTION && (vm.run->intr_info & 0xff) == 14 && vm.run->intr_error == 2 &&
			   vm.run->qualification == 0x60008 && vm.run->insns == 5,
		       &vm, step, "a page fault of the guest's is told");
	} else {
		result(to_hlt(&vm, step) && vm.regs->cr2 == 0x60008 && vm.regs->gpr[3] == 2, &vm, step,
		       "a page fault of the guest's is delivered");
	}
	vm_close(&vm);
}

CODE(unmapped, ".code64\n mov 0x60000, %rax\n hlt\n");
CODE(elsewhere, ".code64\n mov 0x500000, %rax\n hlt\n");

/* Running freely faults during delivery come together here. */
static void test_double(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, unmapped, unmapped_end);
	*entry(&vm, PAGE_X) = 0;
	vm_gate(&vm, 14, VM_CODE + 0x100);
	vm_gate(&vm, 8, VM_CODE + 0x100);
	memcpy(vm.ram + VM_CODE + 0x100, handler, (size_t)(handler_end - handler));
	vm.regs->gpr[4] = 0x60800; /* the stack isn't there either */
	exit = vm_run(&vm, 0);
	result(exit == VMDBG_EXIT_SHUTDOWN, &vm, 0, "a page fault on a double fault's way is a triple fault");
	vm_close(&vm);

	/* The page fault's gate is on a page that isn't there, the double fault's is. */
	vm_open(&vm, VM_LONG, unmapped, unmapped_end);
	*entry(&vm, PAGE_X) = 0;
	*entry(&vm, PAGE_Y) = 0;
	vm.regs->idtr.base = (PAGE_Y << 12) - 14 * 16;
	*entry(&vm, PAGE_X) = (0x70ull << 12) | P;
	vm.regs->rip = VM_CODE + 0x80;
	memcpy(vm.ram + VM_CODE + 0x80, elsewhere, (size_t)(elsewhere_end - elsewhere));
	memcpy(vm.ram + VM_CODE + 0x100, handler, (size_t)(handler_end - handler));
	vm_gate(&vm, 8, VM_CODE + 0x100);
	memcpy(vm.ram + 0x70000 + ((vm.regs->idtr.base + 8 * 16) & 0xfff), vm.ram + VM_IDT + 8 * 16, 16);
	result(to_hlt(&vm, 0) && vm.regs->cr2 == vm.regs->idtr.base + 14 * 16 && !vm.regs->gpr[3], &vm, 0,
	       "a page fault on a page fault's way is a double fault");
	vm_close(&vm);
}

CODE(store, ".code64\n movl $5, 0x60000\n hlt\n");

/* CR0.WP clear: a read-only page is written, and its flags are set, by the kernel. */
static void test_wp(u32 step)
{
	struct vm vm;
	int exit;

	for (unsigned wp = 0; wp < 2; wp++) {
		vm_open(&vm, VM_LONG, store, store_end);
		*entry(&vm, PAGE_X) &= ~W;
		vm.regs->cr0 |= wp << 16;
		vm.run->until = 1;
		exit = vm_run(&vm, VMDBG_RUN_STEP);
		if (wp)
			result(exit == VMDBG_EXIT_EXCEPTION && vm.run->intr_error == 3 &&
				   *entry(&vm, PAGE_X) == ((PAGE_X << 12) | P | U),
			       &vm, step, "CR0.WP set");
		else
			result(exit == VMDBG_EXIT_POSITION && *at(&vm, PAGE_X) == 5 &&
				   *entry(&vm, PAGE_X) == ((PAGE_X << 12) | P | U | A | D),
			       &vm, step, "CR0.WP clear");
		vm_close(&vm);
	}
}

/* A table's page that may not be written: the flags that a walk would set there are told first. */
static void test_watched(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, store, store_end);
	vm_access(&vm, PTE(0) & ~0xfffull, 1, VMDBG_R | VMDBG_X, NULL);
	*entry(&vm, VM_CODE >> 12) |= A;
	exit = vm_step(&vm, 1);
	result(exit == VMDBG_EXIT_EPT && vm.run->gpa == PTE(PAGE_X) && vm.run->gla == PAGE_X << 12 &&
		   !(*entry(&vm, PAGE_X) & A),
	       &vm, VMDBG_RUN_STEP, "a flag in a page that is watched exits");
	vm.run->nr_open = 1;
	vm.run->open_gfn[0] = PTE(0) >> 12;
	exit = vm_step(&vm, 1);
	result(exit == VMDBG_EXIT_OPENED && *entry(&vm, PAGE_X) == ((PAGE_X << 12) | P | W | U | A | D), &vm,
	       VMDBG_RUN_STEP, "and is set with the page open");
	vm_close(&vm);
}

/* One page of tables for each 2 MiB, each for two sets of rights: more than the module has tables for. */
CODE(many, ".code64\n xor %eax, %eax\n mov $1500, %ecx\n mov $0x40000000, %esi\n 1: add (%rsi), %rax\n"
	   " add $0x200000, %rsi\n dec %ecx\n jnz 1b\n hlt\n");

static void test_many(u32 step)
{
	struct vm vm;
	u64 *pdpt, *pd;
	bool good;

	vm_open(&vm, VM_LONG, many, many_end);
	pdpt = (u64 *)(vm.ram + VM_TABLES + 0x1000);
	for (unsigned n = 0; n < 3; n++)
		pdpt[1 + n] = (0x70000 + n * 0x1000) | P | W | U;
	pd = (u64 *)(vm.ram + 0x70000);
	for (unsigned n = 0; n < 1536; n++)
		pd[n] = (0x100000 + (n % 700) * 0x1000) | P | (n >= 700 ? W : 0) | (n >= 1400 ? U : 0);
	for (unsigned n = 0; n < 700; n++)
		*(u64 *)(vm.ram + 0x100000 + n * 0x1000) = (PAGE_X << 12) | P;
	*at(&vm, PAGE_X) = 1;
	good = to_hlt(&vm, step);
	result(good && vm.regs->gpr[0] == 1500 && vm.stats->table_drops > 1, &vm, step,
	       "more tables than there is room for");
	vm_close(&vm);
}

/* A page with a table on it where there is no RAM, and one where the module has its own. */
static void test_nowhere(u32 step)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, unmapped, unmapped_end);
	*entry(&vm, PAGE_X) = 0xffffe00000ull | P | W;
	vm.run->until = 10;
	exit = vm_run(&vm, step);
	result(exit == VMDBG_EXIT_EPT && vm.run->gpa < 0xffffc00000ull, &vm, step,
	       "the module's tables can't be reached");
	vm_close(&vm);
	vm_open(&vm, VM_LONG, unmapped, unmapped_end);
	*(u64 *)(vm.ram + VM_TABLES + 0x2000) = 0x80000000ull | P | W | U | A; /* of the code too */
	vm.run->until = 10;
	vm_gate(&vm, 14, VM_CODE);
	exit = vm_run(&vm, step);
	result(step ? exit == VMDBG_EXIT_EXCEPTION && vm.run->intr_error == 9 : exit == VMDBG_EXIT_SHUTDOWN, &vm, step,
	       "tables where there is no RAM");
	vm_close(&vm);
}

static void test_refusals(void)
{
	struct vmdbg_region region = {.size = sizeof(region), .bytes = 4096, .uaddr = 4096};
	struct vmdbg_vcpu_create create = {.size = sizeof(create), .flags = VMDBG_VCPU_SHADOW};
	int fd = open("/dev/vmdbg", O_RDWR);
	bool good;

	region.gpa = 0xffffbff000;
	good = !ioctl(fd, VMDBG_IOC_REGION, &region) && ioctl(fd, VMDBG_IOC_VCPU, &create) < 0 && errno == EINVAL;
	check(good, "shadow: no RAM where the module's tables are to stand", "errno %d", errno);
	create.flags = 0;
	check(!ioctl(fd, VMDBG_IOC_VCPU, &create), "shadow: without them it is taken", "errno %d", errno);
	close(fd);
}

int main(void)
{
	vm_create_flags = VMDBG_VCPU_SHADOW;
	for (u32 step = 0; step <= VMDBG_RUN_STEP; step += VMDBG_RUN_STEP) {
		test_flags(step);
		test_remap(step);
		test_other(step);
		test_fault(step);
		test_wp(step);
		test_many(step);
		test_nowhere(step);
	}
	test_double();
	test_watched();
	test_refusals();
	return failures != 0;
}
