/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft engine in the smallest machine that can run user-mode code: page tables, a GDT, a TSS, and an IDT whose
 * handlers halt, so that the exception that ends a case is read off the handler's stack. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "tests/cpu/diff.h"
#include "vmm/engine.h"
#include "vmm/machine.h"
#include "vmm/x86/paging.h"

#define RAM_BYTES (1u << 20)
/* Guest-physical layout */
#define P_PML4    0x1000
#define P_PDPT    0x2000 /* user half */
#define P_PD      0x3000
#define P_PT_CODE 0x4000
#define P_PT_DATA 0x5000
#define P_KPDPT   0x6000 /* kernel half */
#define P_KPD     0x7000
#define P_KPT     0x8000
#define P_GDT     0x10000
#define P_LDT     0x10800
#define P_IDT     0x11000
#define P_TSS     0x12000
#define P_HANDLER 0x13000
#define P_STACK   0x14000 /* one page */
#define P_CODE    0x20000 /* two pages */
#define P_DATA    0x22000 /* two */
#define P_RO      0x24000
/* The kernel's part is mapped here, out of reach of user code. */
#define KERNEL 0xffff800000000000ull

#define KERNEL_CS        0x10
#define TSS_SELECTOR     0x40
#define LDT_SELECTOR     0x50
#define CPUNODE_SELECTOR 0x78

#define INSNS_ALLOWED 1000

struct interp {
	struct machine m;
	struct vcpu *vcpu;
	struct x86_state start;
	u8 data[DIFF_DATA_SIZE];
	u8 code[DIFF_CODE_SIZE]; /* INT3 */
};

/* User-mode code reaches none of these: no device, no TSC read it may make, no MSR. */
static u64 no_io_read(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size)
{
	return ~0ull;
}

static void no_io_write(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
}

static u64 no_tsc(struct vcpu *vcpu)
{
	return 0;
}

static int no_rdmsr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return -1;
}

static int no_wrmsr(struct vcpu *vcpu, u32 msr, u64 value)
{
	return -1;
}

static u64 no_cr8(struct vcpu *vcpu)
{
	return 0;
}

static void no_set_cr8(struct vcpu *vcpu, u64 value)
{
}

static const struct vcpu_ops vcpu_ops = {
    .io_read = no_io_read,
    .io_write = no_io_write,
    .tsc = no_tsc,
    .rdmsr = no_rdmsr,
    .wrmsr = no_wrmsr,
    .cr8 = no_cr8,
    .set_cr8 = no_set_cr8,
};

static void ram_changed(void *opaque, u64 gpa, u64 len)
{
	struct interp *in = opaque;

	if (in->vcpu)
		soft_engine.memory_changed(in->vcpu, gpa, len);
}

static u8 *ram(struct interp *in, u64 gpa)
{
	return memory_host(&in->m.mem, gpa, 1);
}

static void entry(struct interp *in, u64 table, unsigned index, u64 value)
{
	store64(ram(in, table + 8 * index), value);
}

static void build_page_tables(struct interp *in)
{
	const u64 user = PTE_P | PTE_U, table = PTE_P | PTE_U | PTE_W;

	entry(in, P_PML4, 0, P_PDPT | table);
	entry(in, P_PDPT, 0, P_PD | table);
	entry(in, P_PD, DIFF_CODE >> 21, P_PT_CODE | table);
	entry(in, P_PD, DIFF_DATA >> 21, P_PT_DATA | table);
	entry(in, P_PT_CODE, 0, P_CODE | user | PTE_W);
	entry(in, P_PT_CODE, 1, (P_CODE + 0x1000) | user | PTE_W);
	entry(in, P_PT_DATA, 0, P_DATA | user | PTE_W | PTE_NX);
	entry(in, P_PT_DATA, 1, (P_DATA + 0x1000) | user | PTE_W | PTE_NX);
	entry(in, P_PT_DATA, 3, P_RO | user | PTE_NX);
	entry(in, P_PML4, 256, P_KPDPT | PTE_P | PTE_W);
	entry(in, P_KPDPT, 0, P_KPD | PTE_P | PTE_W);
	entry(in, P_KPD, 0, P_KPT | PTE_P | PTE_W);
	for (unsigned page = P_GDT >> 12; page <= P_STACK >> 12; page++)
		entry(in, P_KPT, page, (u64)page << 12 | PTE_P | PTE_W);
}

/* A system descriptor of long mode: 16 bytes. */
static void system_descriptor(struct interp *in, unsigned selector, u64 base, u64 limit, u64 ar)
{
	store64(ram(in, P_GDT + selector), limit | (base & 0xffffff) << 16 | ar << 40 | (base >> 24 & 0xff) << 56);
	store64(ram(in, P_GDT + selector + 8), base >> 32);
}

/* The GDT is Linux's, as far as user code can see it. */
static void build_gdt(struct interp *in, const struct diff_host *host)
{
	store64(ram(in, P_GDT + 0x08), 0x00cf9b000000ffff);
	store64(ram(in, P_GDT + KERNEL_CS), 0x00af9b000000ffff);
	store64(ram(in, P_GDT + 0x18), 0x00cf93000000ffff);
	store64(ram(in, P_GDT + (USER32_CS & ~7)), 0x00cffb000000ffff);
	store64(ram(in, P_GDT + (USER_DS & ~7)), 0x00cff3000000ffff);
	store64(ram(in, P_GDT + (USER64_CS & ~7)), 0x00affb000000ffff);
	system_descriptor(in, TSS_SELECTOR, KERNEL + P_TSS, 0x67, 0x8b);
	store64(ram(in, P_GDT + CPUNODE_SELECTOR), (host->cpunode_lsl & 0xffff) |
						       (u64)(host->cpunode_lar & 0xf0ff00) << 32 |
						       (u64)(host->cpunode_lsl & 0xf0000) << 32);
	if (!host->ldt)
		return;
	system_descriptor(in, LDT_SELECTOR, KERNEL + P_LDT, 8 * DIFF_LDT_COUNT - 1, 0x82);
	for (unsigned n = 0; n < DIFF_LDT_COUNT; n++)
		store64(ram(in, P_LDT + 8 * n), diff_descriptor(&diff_ldt[n]));
}

static void build_tables(struct interp *in)
{
	store64(ram(in, P_TSS + 4), KERNEL + P_STACK + 0x1000); /* RSP0 */
	store16(ram(in, P_TSS + 102), 0x68);                    /* no I/O bitmap */
	for (unsigned v = 0; v < 32; v++) {
		u64 handler = KERNEL + P_HANDLER + 16 * v;
		bool soft = v == X86_BP || v == X86_OF;

		store64(ram(in, P_IDT + 16 * v), (handler & 0xffff) | KERNEL_CS << 16 |
						     (soft ? 0xeeull : 0x8eull) << 40 | (handler >> 16 & 0xffff) << 48);
		store64(ram(in, P_IDT + 16 * v + 8), handler >> 32);
		memcpy(ram(in, P_HANDLER + 16 * v), "\xf4\xeb\xfd", 3); /* HLT; JMP to it */
	}
}

static void build_registers(struct x86_state *s, const struct diff_host *host)
{
	x86_state_reset(s);
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr3 = P_PML4;
	s->cr4 = CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP |
		 CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->xcr0 = XCR0_X87 | XCR0_SSE;
	s->seg[SEG_LDTR] = (struct x86_segment){.ar = AR_UNUSABLE};
	if (host->ldt)
		s->seg[SEG_LDTR] = (struct x86_segment){
		    .base = KERNEL + P_LDT, .limit = 8 * DIFF_LDT_COUNT - 1, .ar = AR_P | 2, .selector = LDT_SELECTOR};
	s->seg[SEG_TR] =
	    (struct x86_segment){.base = KERNEL + P_TSS, .limit = 0x67, .ar = AR_P | 11, .selector = TSS_SELECTOR};
	s->gdtr = (struct x86_table){KERNEL + P_GDT, 0x7f};
	s->idtr = (struct x86_table){KERNEL + P_IDT, 16 * 32 - 1};
}

/* The hidden part, as a load of @selector would leave it. */
static void set_segment(struct interp *in, struct x86_segment *seg, u16 selector)
{
	u64 d = load64(ram(in, (selector & 4 ? P_LDT : P_GDT) + (selector & ~7)));
	u32 limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	*seg = (struct x86_segment){.ar = AR_UNUSABLE, .selector = selector};
	if (!(selector & ~3))
		return;
	seg->ar = d >> 40 & 0xf0ff;
	seg->limit = seg->ar & AR_G ? limit << 12 | 0xfff : limit;
	seg->base = (d >> 16 & 0xffffff) | (d >> 56) << 24;
}

static void set_segments(struct interp *in, const struct diff_case *c)
{
	struct x86_state *s = &in->vcpu->regs;

	for (unsigned n = 0; n < SEG_COUNT; n++)
		set_segment(in, &s->seg[n], c->in.seg[n]);
	s->seg[SEG_FS].base = c->in.fs_base;
	s->seg[SEG_GS].base = c->in.gs_base;
}

static void load_fpu(struct x86_fpu *to, const struct diff_fpu *from)
{
	unsigned top = from->fsw >> 11 & 7;

	to->fcw = from->fcw;
	to->fsw = from->fsw;
	to->ftw = from->ftw;
	to->mxcsr = from->mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		to->st[(top + i) & 7].mant = from->st[i].mant;
		to->st[(top + i) & 7].se = from->st[i].se;
	}
	memcpy(to->xmm, from->xmm, sizeof(to->xmm));
}

static void store_fpu(struct diff_fpu *to, const struct x86_fpu *from)
{
	unsigned top = from->fsw >> 11 & 7;

	to->fcw = from->fcw;
	to->fsw = from->fsw;
	to->ftw = from->ftw;
	to->mxcsr = from->mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		to->st[i].mant = from->st[(top + i) & 7].mant;
		to->st[i].se = from->st[(top + i) & 7].se;
	}
	memcpy(to->xmm, from->xmm, sizeof(to->xmm));
}

/* What the handler's stack frame says (SDM 3A 6.14.2). */
static void read_frame(struct interp *in, struct diff_result *r)
{
	const struct x86_state *s = &in->vcpu->regs;
	u64 sp = s->gpr[RSP] - (KERNEL + P_STACK);

	r->vector = (s->rip - KERNEL - P_HANDLER) / 16;
	if (sp > 0x1000 - 40) {
		r->vector = DIFF_HANG;
		return;
	}
	if (sp == 0x1000 - 48) {
		r->error = load64(ram(in, P_STACK + sp));
		sp += 8;
	}
	r->regs.rip = load64(ram(in, P_STACK + sp));
	r->regs.seg[SEG_CS] = load64(ram(in, P_STACK + sp + 8));
	r->regs.seg[SEG_SS] = load64(ram(in, P_STACK + sp + 32));
	r->regs.rflags = load64(ram(in, P_STACK + sp + 16));
	r->regs.gpr[RSP] = load64(ram(in, P_STACK + sp + 24));
}

void interp_run(struct interp *in, const struct diff_case *c, struct diff_result *result)
{
	struct vcpu *vcpu = in->vcpu;
	enum exit_reason why;

	memset(result, 0, sizeof(*result));
	memory_write(&in->m.mem, P_DATA, in->data, DIFF_DATA_SIZE);
	memory_write(&in->m.mem, P_CODE, in->code, DIFF_CODE_SIZE);
	memory_write(&in->m.mem, P_CODE + (diff_code_base(c) + c->in.rip - DIFF_CODE), c->code, c->code_len);
	vcpu->regs = in->start;
	memcpy(vcpu->regs.gpr, c->in.gpr, sizeof(c->in.gpr));
	vcpu->regs.rip = c->in.rip;
	vcpu->regs.rflags = c->in.rflags;
	load_fpu(&vcpu->regs.fpu, &c->in.fpu);
	set_segments(in, c);
	soft_engine.regs_changed(vcpu);

	why = soft_engine.run(vcpu, vcpu->insns + INSNS_ALLOWED);
	memcpy(result->regs.gpr, vcpu->regs.gpr, sizeof(result->regs.gpr));
	result->regs.rip = vcpu->regs.rip;
	result->regs.rflags = vcpu->regs.rflags;
	store_fpu(&result->regs.fpu, &vcpu->regs.fpu);
	for (unsigned n = 0; n < SEG_COUNT; n++)
		result->regs.seg[n] = vcpu->regs.seg[n].selector;
	result->regs.fs_base = vcpu->regs.seg[SEG_FS].base;
	result->regs.gs_base = vcpu->regs.seg[SEG_GS].base;
	result->cr2 = vcpu->regs.cr2;
	if (why == EXIT_HLT)
		read_frame(in, result);
	else
		result->vector = DIFF_HANG;
	diff_wipe_image(c, result->regs.rip, ram(in, P_DATA));
	result->memory = XXH3_64bits(interp_data(in), DIFF_DATA_SIZE);
}

bool interp_changed_code(struct interp *in, const struct diff_case *c)
{
	return memcmp(ram(in, P_CODE + (diff_code_base(c) + c->in.rip - DIFF_CODE)), c->code, c->code_len);
}

const u8 *interp_data(struct interp *in)
{
	return ram(in, P_DATA);
}

void interp_set_data(struct interp *in, const u8 *data)
{
	memcpy(in->data, data, DIFF_DATA_SIZE);
	memory_write(&in->m.mem, P_RO, data + DIFF_DATA_SIZE, DIFF_PAGE);
}

struct interp *interp_create(const struct diff_host *host)
{
	struct interp *in = calloc(1, sizeof(*in));
	struct error err = {0};

	in->m.config = (struct machine_config){.ram = RAM_BYTES, .vcpus = 1, .engine = &soft_engine};
	if (memory_init(&in->m.mem, RAM_BYTES, &err) || soft_engine.vcpu_create(&in->m, 0, &in->vcpu, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	in->m.mem.changed = ram_changed;
	in->m.mem.changed_opaque = in;
	in->m.vcpu[0] = in->vcpu;
	in->vcpu->machine = &in->m;
	in->vcpu->ops = &vcpu_ops;
	build_page_tables(in);
	build_gdt(in, host);
	build_tables(in);
	build_registers(&in->start, host);
	memset(in->code, 0xcc, sizeof(in->code));
	return in;
}

void interp_free(struct interp *in)
{
	soft_engine.vcpu_free(in->vcpu);
	memory_free(&in->m.mem);
	free(in);
}
