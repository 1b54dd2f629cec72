// SPDX-License-Identifier: GPL-2.0-or-later
/* IN and OUT. The string forms are in ops_string.c. */
#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"

static void port_in(struct soft_cpu *cpu, const struct insn *i, u16 port)
{
	unsigned size = io_size(i);
	u64 v;

	soft_check_io(cpu, port, size);
	v = soft_port_read(cpu, port, size);
	if (size == 1)
		set_reg8(cpu, 0, (u8)v);
	else
		reg_set(cpu, RAX, size, v);
}

static void port_out(struct soft_cpu *cpu, const struct insn *i, u16 port)
{
	unsigned size = io_size(i);

	soft_check_io(cpu, port, size);
	soft_port_write(cpu, port, size, reg_get(cpu, RAX, size == 1 ? 2 : size) & (size == 1 ? 0xff : ~0ull));
}

void op_in_i(struct soft_cpu *cpu, const struct insn *i)
{
	port_in(cpu, i, (u8)i->imm);
}

void op_in_dx(struct soft_cpu *cpu, const struct insn *i)
{
	port_in(cpu, i, reg16(cpu, RDX));
}

void op_out_i(struct soft_cpu *cpu, const struct insn *i)
{
	port_out(cpu, i, (u8)i->imm);
}

void op_out_dx(struct soft_cpu *cpu, const struct insn *i)
{
	port_out(cpu, i, reg16(cpu, RDX));
}
