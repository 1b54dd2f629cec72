/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tiny machine over the module's interface alone, for the tests of the module. */
#ifndef TESTS_HOST_VM_H
#define TESTS_HOST_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/types.h"
#include "vmm/vtx/module/vmdbg_abi.h"

#define VM_RAM    (4ull << 20)
#define VM_LARGE  (2ull << 20)
#define VM_CODE   0x10000 /* where code is copied to; CS base is 0 */
#define VM_STACK  0x20000
#define VM_TABLES 0x30000 /* page tables: identity, 4 MiB in 4 KiB pages */
#define VM_IDT    0x40000
#define VM_GDT    0x41000
#define VM_TSS    0x42000
#define VM_DATA   0x50000

struct vm {
	int fd;
	u8 *ram;
	u64 bytes; /* of it */
	struct vmdbg_run *run;
	struct vmdbg_regs *regs;
	struct vmdbg_stats *stats;
	u8 *bounce;
};

/* Code between two labels of the test's own assembly. */
#define CODE(name, ...)                                                                                         \
	extern const u8 name[], name##_end[];                                                                   \
	asm(".pushsection .rodata\n.globl " #name "\n" #name ":\n" __VA_ARGS__ "\n.globl " #name "_end\n" #name \
	    "_end:\n.code64\n.popsection\n")

enum vm_mode { VM_REAL, VM_LONG };

/* Of VMDBG_IOC_VCPU. */
extern u32 vm_create_flags;

/* Exits the process with a line when the machine can't be made: everything rests on it. */
void vm_open(struct vm *vm, enum vm_mode mode, const u8 *code, const u8 *end);
/* The same with RAM of @bytes, if @large of huge pages as far as the kernel gives them. */
void vm_open_sized(struct vm *vm, enum vm_mode mode, const u8 *code, const u8 *end, u64 bytes, bool large);
void vm_close(struct vm *vm);
/* The state that vm_open() begins with: into registers that are zero, and memory. */
void vm_prepare(u8 *ram, struct vmdbg_regs *r, enum vm_mode mode, const u8 *code, const u8 *end);
/* errno of the ioctl, negative, or the exit. */
int vm_run(struct vm *vm, u32 flags);
/* The same, but comes back when the module wants to look around too. */
int vm_run_once(struct vm *vm, u32 flags);
/* With VMDBG_RUN_STEP, @n instructions at most. */
int vm_step(struct vm *vm, u64 n);
/* Skips the instruction that exited. */
void vm_skip(struct vm *vm);
int vm_access(struct vm *vm, u64 gpa, u64 pages, u32 allowed, const void *twin);
void vm_cpuid(struct vm *vm, const struct vmdbg_cpuid *table);
/* A handler for @vector in long mode. */
void vm_gate(struct vm *vm, unsigned vector, u64 handler);

/* Flags of every run that steps, on top: VMDBG_RUN_TF, or none. */
extern u32 vm_step_flags;
extern unsigned failures;
void check(bool good, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
