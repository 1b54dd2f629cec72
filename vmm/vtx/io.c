// SPDX-License-Identifier: GPL-2.0-or-later
/* IN, OUT and their string forms. Hardware has checked IOPL and the permission bitmap before the exit. */
#include "vmm/memory.h"
#include "vmm/vtx/vtx.h"

#define DR7_TYPE(dr7, n) ((dr7) >> (16 + 4 * (n)) & 3)
#define DR7_LEN(dr7, n)  ((dr7) >> (18 + 4 * (n)) & 3)
#define DR_IO            2

struct io {
	u16 port;
	unsigned size;
	bool in, rep;
	unsigned asize; /* bytes of an address */
	unsigned seg;   /* OUTS */
};

/* The guest's own breakpoints on ports (SDM 3B 18.2.4). */
static void debug_port(struct vtx_cpu *cpu, const struct io *io)
{
	struct x86_state *s = &cpu->vcpu.regs;

	for (unsigned n = 0; n < 4; n++) {
		u64 size = (const u8[]){1, 2, 8, 4}[DR7_LEN(s->dr7, n)], first = s->dr[n] & ~(size - 1);

		if ((s->dr7 >> (2 * n) & 3) && DR7_TYPE(s->dr7, n) == DR_IO && (s->cr4 & CR4_DE) &&
		    io->port < first + size && first < io->port + io->size)
			s->pending_db |= BIT(n);
	}
}

static u64 port_in(struct vtx_cpu *cpu, const struct io *io)
{
	u64 v;

	debug_port(cpu, io);
	v = cpu->vcpu.ops->io_read(&cpu->vcpu, IO_PORT, io->port, io->size);
	for (unsigned n = 0; n < io->size; n++)
		probe_event(&cpu->vcpu, TARGET_EVENT_IO, (u16)(io->port + n));
	return v;
}

static void port_out(struct vtx_cpu *cpu, const struct io *io, u64 value)
{
	debug_port(cpu, io);
	cpu->vcpu.ops->io_write(&cpu->vcpu, IO_PORT, io->port, io->size, value);
	for (unsigned n = 0; n < io->size; n++)
		probe_event(&cpu->vcpu, TARGET_EVENT_IO, (u16)(io->port + n));
}

/* A register as @bytes of an address, and writing it back so: 32 bits clear the upper half, 16 leave it. */
static u64 part(u64 v, unsigned bytes)
{
	return bytes == 8 ? v : bytes == 4 ? (u32)v : (u16)v;
}

static void set_part(u64 *r, unsigned bytes, u64 v)
{
	*r = bytes == 2 ? (*r & ~0xffffull) | (u16)v : part(v, bytes);
}

static int string_once(struct vtx_cpu *cpu, const struct io *io)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 *index = &s->gpr[io->in ? RDI : RSI], at = part(*index, io->asize), la, v = 0, gpa;
	u64 step = s->rflags & RFLAGS_DF ? -(u64)io->size : io->size;

	if (vtx_address(cpu, io->in ? SEG_ES : io->seg, at, io->size, io->in ? VTX_WRITE : 0, &la))
		return -1;
	if (io->in) {
		/* A fault comes before the device sees the read. */
		if (vtx_translate(cpu, la, VTX_WRITE, &gpa) ||
		    ((la ^ (la + io->size - 1)) & ~PAGE_MASK && vtx_translate(cpu, la + io->size - 1, VTX_WRITE, &gpa)))
			return -1;
		v = port_in(cpu, io);
		if (vtx_store(cpu, la, &v, io->size, 0))
			return -1;
	} else {
		if (vtx_load(cpu, la, &v, io->size, 0))
			return -1;
		port_out(cpu, io, v);
	}
	set_part(index, io->asize, at + step);
	return 0;
}

/* Prefixes of the instruction, up to its opcode. */
static void look_at_prefixes(struct vtx_cpu *cpu, struct io *io)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	bool is64 = x86_64bit(s), is32 = !is64 && s->seg[SEG_CS].ar & AR_DB, other = false;
	u8 code[15];
	unsigned n = vtx_code(cpu, code);

	io->seg = SEG_DS;
	for (unsigned i = 0; i < n && (code[i] < 0x6c || code[i] > 0x6f); i++) {
		static const u8 prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

		for (unsigned seg = 0; seg < ARRAY_SIZE(prefix); seg++)
			if (code[i] == prefix[seg])
				io->seg = seg;
		other |= code[i] == 0x67;
	}
	io->asize = is64 ? (other ? 4 : 8) : is32 != other ? 4 : 2;
}

static int string_io(struct vtx_cpu *cpu, struct io *io)
{
	u64 *rcx = &cpu->vcpu.regs.gpr[RCX];

	look_at_prefixes(cpu, io);
	if (!io->rep)
		return string_once(cpu, io);
	while (part(*rcx, io->asize)) {
		if (string_once(cpu, io))
			return -1;
		set_part(rcx, io->asize, part(*rcx, io->asize) - 1);
	}
	return 0;
}

/* Exit qualification: SDM 3C table 28-5. */
int vtx_exit_io(struct vtx_cpu *cpu)
{
	u64 qual = cpu->run->qualification, *rax = &cpu->vcpu.regs.gpr[RAX], v;
	struct io io = {
	    .port = (u16)(qual >> 16),
	    .size = (qual & 7) + 1,
	    .in = qual & BIT(3),
	    .rep = qual & BIT(5),
	};

	if (qual & BIT(4))
		return string_io(cpu, &io);
	if (!io.in) {
		port_out(cpu, &io, *rax & (io.size == 4 ? 0xffffffff : io.size == 2 ? 0xffff : 0xff));
		return 0;
	}
	v = port_in(cpu, &io);
	if (io.size == 1)
		*rax = (*rax & ~0xffull) | (u8)v;
	else
		set_part(rax, io.size, v);
	return 0;
}
