// SPDX-License-Identifier: GPL-2.0-or-later
/* The same guests under vmdbg.ko and under KVM, and what their exits cost: ticks of the host's TSC from user space to user
 * space, which in Bochs are instructions of the host (and the guest's few). Then who may have VT-x when.
 *
 * Both run freely here, without counting instructions, which KVM can't: this compares exits. */
#include "tests/host/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS  200
#define DEVICE  0xfe000000ull
#define FRESH   0x200000ull /* RAM that only "touch" goes to */
#define PORT    0x80        /* the guest has done its rounds, or is in its handler */
#define VECTOR  0x40
#define HANDLER (VM_CODE + 0x100)
#define STR(x)  #x
/* The first OUT comes when the pages of code and tables have been met. */
#define TIMES(n) " out %al, $0x80\n mov $" STR(n) ", %r8d\n"

/* A machine of either. */
struct guest {
	bool kvm;
	struct vm vm; /* under KVM only ram */
	int vm_fd, vcpu, run_size;
	struct kvm_run *run;
};

struct op {
	const char *name;
	const u8 *code, *end;
	u64 (*rounds)(struct guest *g); /* ticks of ROUNDS of it, or 0: can't be */
};

static u64 now(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static void die(const char *what)
{
	printf("not ok beside: %s (errno %d)\n", what, errno);
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		die(what);
}

/* --- KVM --- */

static struct kvm_segment segment(const struct vmdbg_segment *s)
{
	return (struct kvm_segment){
	    .base = s->base,
	    .limit = s->limit,
	    .selector = s->selector,
	    .type = s->ar & 15,
	    .s = s->ar >> 4 & 1,
	    .dpl = s->ar >> 5 & 3,
	    .present = s->ar >> 7 & 1,
	    .l = s->ar >> 13 & 1,
	    .db = s->ar >> 14 & 1,
	    .g = s->ar >> 15 & 1,
	};
}

static void kvm_registers(int vcpu, const struct vmdbg_regs *r)
{
	struct kvm_regs regs = {.rip = r->rip, .rflags = r->rflags, .rsp = r->gpr[4]};
	struct kvm_sregs s;

	must(ioctl(vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	struct kvm_segment *to[8] = {&s.es, &s.cs, &s.ss, &s.ds, &s.fs, &s.gs, &s.ldt, &s.tr};

	for (unsigned n = 0; n < 8; n++)
		*to[n] = segment(&r->seg[n]);
	s.gdt = (struct kvm_dtable){.base = r->gdtr.base, .limit = r->gdtr.limit};
	s.idt = (struct kvm_dtable){.base = r->idtr.base, .limit = r->idtr.limit};
	s.cr0 = r->cr0;
	s.cr3 = r->cr3;
	s.cr4 = r->cr4;
	s.efer = r->efer;
	must(ioctl(vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void kvm_slot(struct guest *g, u32 slot, u64 gpa, u64 bytes, u32 flags)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = bytes,
						.userspace_addr = (u64)(uintptr_t)g->vm.ram + gpa};

	must(ioctl(g->vm_fd, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

static void kvm_cpuid(int kvm, int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[100];
	} c = {.head.nent = 100};

	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &c), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, &c), "KVM_SET_CPUID2");
}

static u8 *ram(void)
{
	/* All of it is there, in small pages, so that only the monitors' own work is counted. */
	u8 *p = mmap(NULL, VM_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	madvise(p, VM_RAM, MADV_NOHUGEPAGE);
	for (u64 n = 0; n < VM_RAM; n += 4096)
		p[n] = 0;
	return p;
}

static void kvm_open(struct guest *g, const u8 *code, const u8 *end)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct vmdbg_regs regs = {.rip = 0};

	must(kvm, "open /dev/kvm");
	g->vm_fd = ioctl(kvm, KVM_CREATE_VM, 0);
	must(g->vm_fd, "KVM_CREATE_VM");
	must(ioctl(g->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	g->vm.ram = ram();
	vm_prepare(g->vm.ram, &regs, VM_LONG, code, end);
	kvm_slot(g, 0, 0, VM_DATA, 0);
	kvm_slot(g, 1, VM_DATA, 4096, KVM_MEM_READONLY);
	kvm_slot(g, 2, VM_DATA + 4096, VM_RAM - VM_DATA - 4096, 0);
	g->vcpu = ioctl(g->vm_fd, KVM_CREATE_VCPU, 0);
	must(g->vcpu, "KVM_CREATE_VCPU");
	g->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	must(g->run_size, "KVM_GET_VCPU_MMAP_SIZE");
	g->run = mmap(NULL, (size_t)g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED)
		die("mmap of kvm_run");
	kvm_cpuid(kvm, g->vcpu);
	kvm_registers(g->vcpu, &regs);
	close(kvm);
}

static void kvm_close(struct guest *g)
{
	munmap(g->run, (size_t)g->run_size); /* what is mapped holds the machine */
	close(g->vcpu);
	close(g->vm_fd);
	munmap(g->vm.ram, VM_RAM);
}

static void kvm_expect(struct guest *g, u32 reason)
{
	must(ioctl(g->vcpu, KVM_RUN, 0), "KVM_RUN");
	if (g->run->exit_reason != reason) {
		printf("# KVM's exit %u, not %u\n", g->run->exit_reason, reason);
		die("an unexpected exit of KVM's");
	}
}

/* --- either --- */

static void our_cpuid(struct guest *g)
{
	static struct vmdbg_cpuid_entry e[30];
	struct vmdbg_cpuid table = {.size = sizeof(table), .count = 30, .entries = (u64)(uintptr_t)e};

	for (u32 n = 0; n < 30; n++)
		e[n].leaf = 29 - n; /* the one asked for is the last, as KVM has many too */
	vm_cpuid(&g->vm, &table);
}

static void guest_open(struct guest *g, bool kvm, const struct op *op)
{
	u64 *pte;

	*g = (struct guest){.kvm = kvm};
	if (kvm) {
		kvm_open(g, op->code, op->end);
	} else {
		vm_open(&g->vm, VM_LONG, op->code, op->end);
		madvise(g->vm.ram, VM_RAM, MADV_NOHUGEPAGE);
		for (u64 n = 0; n < VM_RAM; n += 4096)
			*(volatile u8 *)(g->vm.ram + n) = g->vm.ram[n];
		vm_access(&g->vm, VM_DATA, 1, VMDBG_R | VMDBG_X, NULL);
		our_cpuid(g);
	}
	pte = (u64 *)(g->vm.ram + VM_TABLES + 0x3000) + 0x3f0;
	*pte = DEVICE | 7;
	vm_gate(&g->vm, VECTOR, HANDLER);
	memcpy(g->vm.ram + HANDLER, "\xe6\x80\x48\xcf", 4); /* out %al, $0x80; iretq */
}

static void guest_close(struct guest *g)
{
	if (g->kvm)
		kvm_close(g);
	else
		vm_close(&g->vm);
}

static void hardware(struct guest *g, u32 reason)
{
	int exit = vm_run(&g->vm, 0);

	if (exit == VMDBG_EXIT_HARDWARE && g->vm.run->hw_reason == reason)
		return;
	printf("# exit %d, reason %u, not %u\n", exit, g->vm.run->hw_reason, reason);
	die("an unexpected exit of vmdbg.ko's");
}

/* Runs to the guest's next port write, and over it. */
static void to_port(struct guest *g)
{
	if (g->kvm) {
		kvm_expect(g, KVM_EXIT_IO);
	} else {
		hardware(g, 30);
		vm_skip(&g->vm);
	}
}

/* The guest itself makes the rounds. */
static u64 one_run(struct guest *g)
{
	u64 begin;

	to_port(g);
	begin = now();
	to_port(g);
	return now() - begin;
}

static u64 one_run_tsc(struct guest *g)
{
	u64 ticks = 0;

	if (g->kvm)
		return one_run(g);
	to_port(g);
	for (bool more = true; more;) {
		u64 begin = now();
		int exit;

		g->vm.run->nr_tsc = 0;
		exit = vm_run(&g->vm, VMDBG_RUN_TSC_HERE);
		ticks += now() - begin;
		more = exit == VMDBG_EXIT_TSC;
	}
	return ticks;
}

static u64 each_tsc(struct guest *g)
{
	u64 begin = now();

	if (g->kvm)
		return 0;
	for (unsigned n = 0; n < ROUNDS; n++) {
		hardware(g, 16);
		g->vm.regs->gpr[0] = n;
		vm_skip(&g->vm);
	}
	return now() - begin;
}

static u64 each_port(struct guest *g)
{
	u64 begin = now();

	for (unsigned n = 0; n < ROUNDS; n++)
		to_port(g);
	return now() - begin;
}

static u64 each_hlt(struct guest *g)
{
	u64 begin = now();

	for (unsigned n = 0; n < ROUNDS; n++) {
		if (g->kvm) {
			kvm_expect(g, KVM_EXIT_HLT);
		} else {
			hardware(g, 12);
			vm_skip(&g->vm);
		}
	}
	return now() - begin;
}

static void our_ept(struct guest *g, u64 gpa)
{
	if (vm_run(&g->vm, 0) != VMDBG_EXIT_EPT || g->vm.run->gpa != gpa)
		die("no EPT violation where one should be");
}

static u64 each_mmio(struct guest *g)
{
	u64 begin = now();

	for (unsigned n = 0; n < ROUNDS; n++) {
		if (g->kvm) {
			kvm_expect(g, KVM_EXIT_MMIO);
			store32(g->run->mmio.data, n);
			continue;
		}
		our_ept(g, DEVICE + 4);
		store32(g->vm.bounce + 4, n);
		g->vm.run->bounce_gpa[0] = DEVICE;
		g->vm.run->nr_bounce = 1;
		g->vm.run->until = g->vm.run->insns + 1;
		if (vm_run(&g->vm, VMDBG_RUN_STEP) != VMDBG_EXIT_OPENED)
			die("the bounce page isn't used");
	}
	return now() - begin;
}

static u64 each_watched(struct guest *g)
{
	u64 begin = now();

	for (unsigned n = 0; n < ROUNDS; n++) {
		if (g->kvm) {
			kvm_expect(g, KVM_EXIT_MMIO);
			memcpy(g->vm.ram + g->run->mmio.phys_addr, g->run->mmio.data, g->run->mmio.len);
			continue;
		}
		our_ept(g, VM_DATA);
		g->vm.run->nr_open = 1;
		g->vm.run->open_gfn[0] = VM_DATA >> 12;
		if (vm_step(&g->vm, 1) != VMDBG_EXIT_OPENED)
			die("the page isn't opened");
	}
	return now() - begin;
}

static u64 each_interrupt(struct guest *g)
{
	struct kvm_interrupt irq = {.irq = VECTOR};
	u64 begin, ticks = 0;

	to_port(g);
	for (unsigned n = 0; n < ROUNDS; n++) {
		begin = now();
		if (g->kvm)
			must(ioctl(g->vcpu, KVM_INTERRUPT, &irq), "KVM_INTERRUPT");
		else
			g->vm.run->inject_info = 0x80000000 | VECTOR;
		to_port(g);
		ticks += now() - begin;
		if (!g->kvm)
			g->vm.run->inject_info = 0;
		to_port(g);
	}
	return ticks;
}

static u64 each_step(struct guest *g)
{
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	u64 begin;

	if (!g->kvm) {
		vm_step(&g->vm, 2);
		begin = now();
		vm_step(&g->vm, ROUNDS);
		return now() - begin;
	}
	must(ioctl(g->vcpu, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
	kvm_expect(g, KVM_EXIT_DEBUG);
	begin = now();
	for (unsigned n = 0; n < ROUNDS; n++)
		kvm_expect(g, KVM_EXIT_DEBUG);
	return now() - begin;
}

CODE(cpuid, ".code64\n" TIMES(200) "1: mov $0, %eax\n xor %ecx, %ecx\n cpuid\n dec %r8d\n jnz 1b\n out %al, $0x80\n");
CODE(tsc, ".code64\n" TIMES(200) "1: rdtsc\n dec %r8d\n jnz 1b\n out %al, $0x80\n");
CODE(tsc_each, ".code64\n 1: rdtsc\n jmp 1b\n");
CODE(port, ".code64\n 1: out %al, $0x80\n jmp 1b\n");
CODE(hlt, ".code64\n 1: hlt\n jmp 1b\n");
CODE(mmio, ".code64\n 1: mov 0x3f0004, %eax\n jmp 1b\n");
CODE(store, ".code64\n 1: mov %eax, 0x50000\n jmp 1b\n");
CODE(touch, ".code64\n" TIMES(200) " mov $0x200000, %edi\n 1: mov (%rdi), %eax\n add $4096, %edi\n dec %r8d\n jnz 1b\n"
				   " out %al, $0x80\n");
CODE(dirty, ".code64\n" TIMES(200) " mov $0x200000, %edi\n 1: mov %eax, (%rdi)\n add $4096, %edi\n dec %r8d\n jnz 1b\n"
				   " out %al, $0x80\n");
CODE(irq, ".code64\n sti\n 1: out %al, $0x81\n jmp 1b\n");
CODE(plain, ".code64\n 1: inc %rax\n jmp 1b\n");

#define OP(name, code, rounds)                 \
	{                                      \
		name, code, code##_end, rounds \
	}

static void compare(void)
{
	const struct op ops[] = {
	    OP("CPUID, answered in the kernel", cpuid, one_run),
	    OP("RDTSC, answered in the kernel; under KVM it doesn't exit", tsc, one_run_tsc),
	    OP("RDTSC, answered in user space; KVM can't", tsc_each, each_tsc),
	    OP("OUT, to user space", port, each_port),
	    OP("HLT, to user space", hlt, each_hlt),
	    OP("a load from a device, answered in user space", mmio, each_mmio),
	    OP("a store to a page that may only be read, carried out", store, each_watched),
	    OP("RAM read for the first time, a 4 KiB page", touch, one_run),
	    OP("RAM written for the first time, a 4 KiB page", dirty, one_run),
	    OP("an interrupt injected, and its handler's OUT", irq, each_interrupt),
	    OP("an instruction stepped; under KVM to user space", plain, each_step),
	};

	printf("= %-62s %8s %8s\n", "ticks, from user space to user space", "vmdbg.ko", "KVM");
	for (unsigned n = 0; n < ARRAY_SIZE(ops); n++) {
		char theirs[24];
		u64 ticks[2];

		for (unsigned kvm = 0; kvm < 2; kvm++) {
			struct guest g;

			guest_open(&g, kvm, &ops[n]);
			ticks[kvm] = ops[n].rounds(&g) / ROUNDS;
			guest_close(&g);
		}
		snprintf(theirs, sizeof(theirs), ticks[1] ? "%llu" : "-", (unsigned long long)ticks[1]);
		printf("= %-62s %8llu %8s\n", ops[n].name, (unsigned long long)ticks[0], theirs);
		fflush(stdout);
	}
}

/* --- one at a time --- */

static bool doctor_says(const char *what)
{
	char command[200];

	snprintf(command, sizeof(command), "vmdbg doctor | grep -q '%s'", what);
	return system(command) == 0;
}

static void hand_over(void)
{
	static const struct op any = OP("", port, NULL);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), fd;
	struct vmdbg_vcpu_create create = {.size = sizeof(create)};
	struct guest g;

	must(kvm, "open /dev/kvm");
	check(doctor_says("vtx *yes"), "KVM loaded, without a guest: vtx can serve", "doctor says otherwise");
	guest_open(&g, true, &any);
	to_port(&g);
	check(doctor_says("vtx *no.*another monitor holds VT-x.*modprobe -r kvm_intel"),
	      "a guest of KVM's holds VT-x: doctor says so, and what to do", "it doesn't");
	fd = open("/dev/vmdbg", O_RDWR | O_CLOEXEC);
	check(ioctl(fd, VMDBG_IOC_VCPU, &create) < 0 && errno == EBUSY, "and no vCPU can be made", "errno %d", errno);
	to_port(&g);
	check(g.run->io.port == PORT, "KVM's guest lives on", "port %#x", g.run->io.port);
	guest_close(&g);
	check(doctor_says("vtx *yes"), "KVM's guest ended: vtx can serve", "doctor says otherwise");
	check(ioctl(fd, VMDBG_IOC_VCPU, &create) == 0, "and the vCPU can be made", "errno %d", errno);
	check(ioctl(kvm, KVM_CREATE_VM, 0) < 0 && errno == EBUSY, "now KVM is refused", "errno %d", errno);
	close(fd);
	guest_open(&g, true, &any);
	to_port(&g);
	check(g.run->io.port == PORT, "until that vCPU has gone: KVM's guests run again", "port %#x", g.run->io.port);
	guest_close(&g);
	close(kvm);
}

int main(void)
{
	hand_over();
	compare();
	return failures != 0;
}
