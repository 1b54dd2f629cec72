// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz N [SEED]: N ioctls in any order with arguments that are nearly right, registers and pages full of noise. Whatever
 * the module answers is right; that it answers, and that the host's kernel lives on, is the test. */
#include "tests/host/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static u64 state;

static u64 next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static u64 below(u64 n)
{
	return next() % n;
}

/* Numbers that are interesting more often than not. */
static u64 number(void)
{
	static const u64 edge[] = {0,
				   1,
				   2,
				   7,
				   8,
				   16,
				   255,
				   4095,
				   4096,
				   0x10000,
				   0x7fffffff,
				   0x80000000,
				   0xffffffff,
				   1ull << 32,
				   1ull << 40,
				   0x7fffffffffff,
				   0x800000000000,
				   ~0ull,
				   ~0xfffull};

	switch (below(4)) {
	case 0:
		return edge[below(ARRAY_SIZE(edge))];
	case 1:
		return below(0x400) << 12;
	case 2:
		return 1ull << below(64);
	default:
		return next();
	}
}

/* In it the accessed and dirty flag of the page that it writes, taken away again and again; and CR3 loaded. */
CODE(noise, ".code64\n 1: incl 0x50000\n rdtsc\n pushf\n popf\n andb $0x9f, 0x33280\n cpuid\n mov %cr3, %rax\n"
	    " mov %rax, %cr3\n jmp 1b\n");

struct target {
	struct vm vm;
	bool alive;
	bool torn; /* its memory here isn't all there, or isn't what the guest has, any more */
};

static void scramble_regs(struct vmdbg_regs *r)
{
	u64 *word = (u64 *)r;

	/* A few words, so that many states can be entered. */
	for (u64 n = below(4); n; n--)
		word[below(sizeof(*r) / 8)] = number();
	for (u64 n = below(3); n; n--)
		((u8 *)r)[below(sizeof(*r))] ^= (u8)(1u << below(8));
}

static void run(struct target *t)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg)};
	struct vmdbg_run *run = t->vm.run;
	struct vmdbg_regs good = run->regs;
	bool keep = below(2);

	if (!keep)
		scramble_regs(&run->regs);
	run->flags = below(8) ? (u32)(u32)next() & VMDBG_RUN_FLAGS : (u32)next();
	run->until = run->insns + below(200);
	run->nr_open = below(4) ? 0 : (u32)number();
	run->nr_bounce = below(4) ? 0 : (u32)number();
	run->bounce_gpa[below(VMDBG_MAX_BOUNCE)] = number();
	run->inject_info = below(3) ? 0 : (u32)next() | 0x80000000;
	run->inject_len = (u32)below(16);
	run->alarm = below(2) ? ~0ull : number();
	run->tsc_room = (u32)number();
	run->nr_dirty = below(16) ? 0 : (u32)number();
	run->nr_tsc = below(16) ? 0 : (u32)number();
	ioctl(t->vm.fd, VMDBG_IOC_RUN, &arg);
	if (!keep || below(4) == 0)
		run->regs = good;
	run->insns &= 0xffffff;
}

static void access_(struct target *t)
{
	struct vmdbg_access a = {
	    .size = sizeof(a),
	    .vcpu = (u32)below(3) / 2,
	    .gpa = below(3) ? below(0x400) << 12 : number(),
	    .pages = below(3) ? 1 + below(20) : number() & 0xffff,
	    .allowed = (u32)below(17),
	    .twin = below(4) ? 0 : (u64)(uintptr_t)t->vm.ram,
	};

	ioctl(t->vm.fd, VMDBG_IOC_ACCESS, &a);
}

static void tables(struct target *t)
{
	static struct vmdbg_cpuid_entry e[VMDBG_MAX_CPUID];
	static u64 la[VMDBG_MAX_BREAKS];
	struct vmdbg_cpuid c = {.size = sizeof(c), .count = (u32)number(), .entries = (u64)(uintptr_t)e};
	struct vmdbg_breaks b = {
	    .size = sizeof(b), .count = (u32)number(), .entries = below(4) ? (u64)(uintptr_t)la : number()};

	for (unsigned n = 0; n < ARRAY_SIZE(la); n++)
		la[n] = VM_CODE + n;
	e[0].leaf = (u32)below(4);
	ioctl(t->vm.fd, VMDBG_IOC_CPUID, &c);
	ioctl(t->vm.fd, VMDBG_IOC_BREAKS, &b);
}

static void anything(struct target *t)
{
	u8 buf[128];

	for (unsigned n = 0; n < sizeof(buf); n++)
		buf[n] = below(3) ? 0 : (u8)next();
	buf[0] = (u8)below(64);
	buf[1] = buf[2] = buf[3] = 0;
	ioctl(t->vm.fd, _IOC(below(4), VMDBG_IOC, below(10), below(80)), below(8) ? (u64)(uintptr_t)buf : number());
}

/* Entries of the guest's page tables: nearly right, or nonsense, or leading back to the tables; or all as at first. */
static void page_tables(struct target *t)
{
	u64 *table = (u64 *)(t->vm.ram + VM_TABLES);

	if (!below(4)) {
		vm_prepare(t->vm.ram, t->vm.regs, VM_LONG, noise, noise_end);
		return;
	}
	for (u64 n = 1 + below(6); n; n--) {
		u64 *e = &table[below(5 * 512)];

		switch (below(3)) {
		case 0:
			*e ^= 1ull << below(13);
			break;
		case 1:
			*e = (VM_TABLES + (below(6) << 12)) | below(0x1000);
			break;
		default:
			*e = number() | below(256);
			break;
		}
	}
}

static void memory(struct target *t)
{
	u64 at = below(VM_RAM - 64);

	t->torn = true;
	switch (below(8)) {
	case 0: /* a hole, and something else in its place later */
		munmap(t->vm.ram + (at & ~0xfffull), 4096);
		break;
	case 1:
		mmap(t->vm.ram + (at & ~0xfffull), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 2:
	case 3: /* the guest's page tables */
		((u64 *)(t->vm.ram + VM_TABLES))[below(5 * 512)] = below(2) ? number()
									    : below(0x400) << 12 | below(512);
		break;
	default:
		mmap(t->vm.ram + (VM_CODE & ~0xfffull), 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	}
}

int main(int argc, char **argv)
{
	u64 n = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000, done = 0;
	struct target t = {.alive = false};

	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x9e3779b97f4a7c15;
	for (; done < n; done++) {
		if (!t.alive) {
			vm_create_flags = below(2) ? VMDBG_VCPU_SHADOW : 0;
			vm_open_sized(&t.vm, below(2) ? VM_LONG : VM_REAL, noise, noise_end, VM_RAM, below(2));
			t.alive = true;
			t.torn = false;
		}
		switch (below(32)) {
		case 0:
			vm_close(&t.vm);
			t.alive = false;
			break;
		case 1 ... 3:
			access_(&t);
			break;
		case 4:
			tables(&t);
			break;
		case 5 ... 7:
			anything(&t);
			break;
		case 8:
			if (!below(8))
				memory(&t);
			else if (!t.torn)
				page_tables(&t);
			break;
		default:
			run(&t);
			break;
		}
	}
	if (t.alive)
		vm_close(&t.vm);
	printf("ok fuzz: %llu ioctls\n", (unsigned long long)done);
	return 0;
}
