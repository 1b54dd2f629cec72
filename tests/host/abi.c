// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's exits, stepping and EPT permissions, one by one, on guests of a few instructions. */
#include "tests/host/vm.h"

#include <stdio.h>

CODE(real_out, ".code16\n mov $0x42, %al\n out %al, $0x10\n hlt\n");

static void test_real(u32 step)
{
	const char *name = step ? "real mode: OUT, stepping" : "real mode: OUT";
	struct vm vm;
	int exit;

	vm_open(&vm, VM_REAL, real_out, real_out_end);
	vm.run->until = 100;
	exit = vm_run(&vm, step);
	check(exit == VMDBG_EXIT_HARDWARE && vm.run->hw_reason == 30 && (vm.regs->gpr[0] & 0xff) == 0x42 &&
		  vm.run->qualification >> 16 == 0x10,
	      name, "exit %d reason %u qualification %llx insns %llu rip %llx vm_error %u", exit, vm.run->hw_reason,
	      (unsigned long long)vm.run->qualification, (unsigned long long)vm.run->insns,
	      (unsigned long long)vm.regs->rip, vm.run->vm_error);
	if (step)
		check(vm.run->insns == 1, "  one instruction before it", "%llu", (unsigned long long)vm.run->insns);
	vm_skip(&vm);
	exit = vm_run(&vm, step);
	check(exit == VMDBG_EXIT_HARDWARE && vm.run->hw_reason == 12, "  then HLT", "exit %d reason %u rip %llx", exit,
	      vm.run->hw_reason, (unsigned long long)vm.regs->rip);
	vm_close(&vm);
}

CODE(count_loop, ".code64\n mov $1000, %ecx\n 1: dec %ecx\n jnz 1b\n hlt\n");

static void test_count(void)
{
	struct vm vm;
	int exit;

	vm_open(&vm, VM_LONG, count_loop, count_loop_end);
	exit = vm_step(&vm, 501);
	check(exit == VMDBG_EXIT_POSITION && vm.run->insns == 501 && vm.run->branches == 250 && vm.regs->gpr[1] == 750,
	      "stepping: 501 instructions", "exit %d insns %llu branches %llu rcx %llu", exit,
	      (unsigned long long)vm.run->insns, (unsigned long long)vm.run->branches,
	      (unsigned long long)vm.regs->gpr[1]);
	exit = vm_step(&vm, 10000);
	check(exit == VMDBG_EXIT_HARDWARE && vm.run->hw_reason == 12 && vm.run->insns == 2001 &&
		  vm.run->branches == 1000,
	      "stepping: to the HLT", "exit %d insns %llu branches %llu", exit, (unsigned long long)vm.run->insns,
	      (unsigned long long)vm.run->branches);
	vm_close(&vm);
}

int main(void)
{
	test_real(0);
	test_real(VMDBG_RUN_STEP);
	test_count();
	return failures != 0;
}
