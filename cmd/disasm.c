/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disasm.h"

#include "gdbstub/disasm.h"
#include "gdbstub/tdesc.h"
#include "vmm/memory.h"
#include "vmm/x86/paging.h"

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	const struct memory *mem = opaque;
	u64 entry = 0;

	if (memory_read(mem, gpa, &entry, size))
		return size == 4 ? 0xffffffff : ~0ull;
	return entry;
}

size_t guest_read_linear(const struct machine *m, const struct x86_state *regs, u64 la, u8 *out, size_t len)
{
	static const struct paging_ops ops = {.read = read_entry};
	struct paging_context context;
	struct paging_page page;
	size_t done = 0;

	paging_context_set(&context, regs);
	while (done < len) {
		u64 at = la + done;
		size_t n = min64(len - done, PAGE_SIZE - (at & PAGE_MASK));

		if (x86_long_mode(regs) ? !x86_canonical(at) : at >> 32)
			break;
		if (paging_walk(&context, &ops, (void *)&m->mem, at, 0, &page) ||
		    memory_read(&m->mem, page.gpa, out + done, n))
			break;
		done += n;
	}
	return done;
}

void disasm_print(void *machine, FILE *f, const struct x86_state *regs)
{
	u64 pc = tdesc_pc(regs);
	u8 bytes[DISASM_BYTES];
	size_t len = guest_read_linear(machine, regs, pc, bytes, sizeof(bytes));

	fputs("  ", f);
	disasm_line(f, disasm_bits(regs), pc, disasm_offset(regs, pc), bytes, len);
}
