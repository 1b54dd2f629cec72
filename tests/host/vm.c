// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/host/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned failures;
u32 vm_step_flags;
u32 vm_create_flags;

void check(bool good, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (!good) {
		failures++;
		printf("# ");
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		printf("\n");
	}
	printf("%s %s\n", good ? "ok" : "not ok", name);
	fflush(stdout);
}

static void die(const char *what)
{
	printf("not ok vm: %s (errno %d)\n", what, errno);
	exit(1);
}

static void real_mode(struct vmdbg_regs *r)
{
	for (unsigned n = 0; n < 6; n++)
		r->seg[n] = (struct vmdbg_segment){.limit = 0xffff, .ar = 0x93};
	r->seg[1].base = VM_CODE;
	r->seg[1].selector = VM_CODE >> 4;
	r->rip = 0;
	r->cr0 = 0x10;
}

/* Identity mapping of 4 MiB, writable and for the user too. */
static void long_mode(u8 *ram, struct vmdbg_regs *r)
{
	u64 *t = (u64 *)(ram + VM_TABLES);

	t[0] = (VM_TABLES + 0x1000) | 7;
	t[512] = (VM_TABLES + 0x2000) | 7;
	for (unsigned n = 0; n < 2; n++)
		t[1024 + n] = (VM_TABLES + 0x3000 + 0x1000 * n) | 7;
	for (unsigned n = 0; n < 1024; n++)
		t[1536 + n] = (u64)n << 12 | 7;
	for (unsigned n = 0; n < 6; n++)
		r->seg[n] = (struct vmdbg_segment){.limit = 0xffffffff, .ar = 0xc093, .selector = 0x10};
	r->seg[1] = (struct vmdbg_segment){.limit = 0xffffffff, .ar = 0xa09b, .selector = 8};
	r->cr0 = 0x80000033;
	r->cr3 = VM_TABLES;
	r->cr4 = 0x620; /* PAE, OSFXSR, OSXMMEXCPT */
	r->efer = 0x501;
	u64 *gdt = (u64 *)(ram + VM_GDT);
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	r->gdtr = (struct vmdbg_table){.base = VM_GDT, .limit = 0xff};
	r->idtr = (struct vmdbg_table){.base = VM_IDT, .limit = 0xfff};
	r->gpr[4] = VM_STACK;
}

void vm_gate(struct vm *vm, unsigned vector, u64 handler)
{
	u64 *gate = (u64 *)(vm->ram + VM_IDT + 16 * vector);

	gate[0] = (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (handler & 0xffff0000) << 32;
	gate[1] = handler >> 32;
}

void vm_prepare(u8 *ram, struct vmdbg_regs *r, enum vm_mode mode, const u8 *code, const u8 *end)
{
	r->rip = VM_CODE;
	r->rflags = 2;
	r->xcr0 = 1;
	r->dr7 = 0x400;
	r->pat = 0x0007040600070406;
	r->fxsave[0] = 0x7f;
	r->fxsave[1] = 3;
	store32(r->fxsave + 24, 0x1f80);
	r->seg[6] = (struct vmdbg_segment){.limit = 0xffff, .ar = 0x82};
	r->seg[7] = (struct vmdbg_segment){.base = VM_TSS, .limit = 0xffff, .ar = 0x8b};
	if (mode == VM_REAL)
		real_mode(r);
	else
		long_mode(ram, r);
	memcpy(ram + VM_CODE, code, (size_t)(end - code));
}

void vm_open(struct vm *vm, enum vm_mode mode, const u8 *code, const u8 *end)
{
	vm_open_sized(vm, mode, code, end, VM_RAM, false);
}

static u8 *map_ram(u64 bytes, bool large)
{
	u8 *p = mmap(NULL, bytes + VM_LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at = p;

	if (p == MAP_FAILED)
		die("memory");
	at += -(uintptr_t)p % VM_LARGE;
	if (at > p)
		munmap(p, (size_t)(at - p));
	if (at < p + VM_LARGE)
		munmap(at + bytes, (size_t)(p + VM_LARGE - at));
	madvise(at, bytes, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return at;
}

void vm_open_sized(struct vm *vm, enum vm_mode mode, const u8 *code, const u8 *end, u64 bytes, bool large)
{
	struct vmdbg_region region = {.size = sizeof(region), .bytes = bytes};
	struct vmdbg_vcpu_create create = {.size = sizeof(create), .flags = vm_create_flags};

	vm->fd = open("/dev/vmdbg", O_RDWR | O_CLOEXEC);
	if (vm->fd < 0)
		die("open /dev/vmdbg");
	vm->bytes = bytes;
	vm->ram = map_ram(bytes, large);
	region.uaddr = (u64)(uintptr_t)vm->ram;
	if (ioctl(vm->fd, VMDBG_IOC_REGION, &region))
		die("region");
	if (ioctl(vm->fd, VMDBG_IOC_VCPU, &create))
		die("vcpu");
	vm->run = mmap(NULL, VMDBG_VCPU_PAGES << 12, PROT_READ | PROT_WRITE, MAP_SHARED, vm->fd,
		       VMDBG_MMAP(0, VMDBG_PAGE_RUN));
	if (vm->run == MAP_FAILED)
		die("mmap");
	vm->regs = &vm->run->regs;
	vm->bounce = (u8 *)vm->run + (VMDBG_PAGE_BOUNCE << 12);
	vm->stats = (void *)((u8 *)vm->run + (VMDBG_PAGE_STATS << 12));
	vm_prepare(vm->ram, vm->regs, mode, code, end);
	vm->run->alarm = vm->run->tsc_limit = ~0ull;
	vm->run->tsc_room = VMDBG_TSC_RING;
}

void vm_close(struct vm *vm)
{
	munmap(vm->run, VMDBG_VCPU_PAGES << 12);
	close(vm->fd);
	munmap(vm->ram, vm->bytes);
}

int vm_run_once(struct vm *vm, u32 flags)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};

	vm->run->flags = flags | (flags & VMDBG_RUN_STEP ? vm_step_flags : 0);
	vm->run->nr_dirty = 0;
	return ioctl(vm->fd, VMDBG_IOC_RUN, &arg) ? -errno : (int)vm->run->exit;
}

int vm_run(struct vm *vm, u32 flags)
{
	int exit;

	do
		exit = vm_run_once(vm, flags);
	while (exit == VMDBG_EXIT_KICK || exit == VMDBG_EXIT_DIRTY);
	return exit;
}

void vm_cpuid(struct vm *vm, const struct vmdbg_cpuid *table)
{
	if (ioctl(vm->fd, VMDBG_IOC_CPUID, table))
		die("cpuid");
}

int vm_step(struct vm *vm, u64 n)
{
	vm->run->until = vm->run->insns + n;
	return vm_run(vm, VMDBG_RUN_STEP);
}

void vm_skip(struct vm *vm)
{
	vm->regs->rip += vm->run->insn_len;
	vm->run->insns++;
	vm->regs->interruptibility &= ~3u; /* STI, MOV SS */
}

int vm_access(struct vm *vm, u64 gpa, u64 pages, u32 allowed, const void *twin)
{
	struct vmdbg_access a = {
	    .size = sizeof(a), .gpa = gpa, .pages = pages, .allowed = allowed, .twin = (u64)(uintptr_t)twin};

	return ioctl(vm->fd, VMDBG_IOC_ACCESS, &a) ? -errno : 0;
}
