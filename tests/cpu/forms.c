/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "tests/cpu/forms.h"
#include "vmm/soft/decode.h"

static struct form *forms;
static unsigned count, room;

static void add(const struct form *f, unsigned kind, bool defined)
{
	if (count == room) {
		room = room ? room * 2 : 1024;
		forms = realloc(forms, room * sizeof(*forms));
		if (!forms)
			abort();
	}
	forms[count] = *f;
	forms[count].kind = kind;
	forms[count].defined = defined;
	forms[count].lock = f->flags & OP_LOCK;
	forms[count].only32 = f->flags & OP_I64;
	forms[count].only64 = f->flags & OP_O64;
	if (f->map == 1 && f->op == 0xc7 && f->reg >= 3) /* XRSTORS, XSAVEC, XSAVES */
		forms[count].class = CLASS_STATE;
	count++;
}

static bool any(insn_fn *const fn[3])
{
	return fn[0] || fn[1] || fn[2];
}

static void walk(struct form f, const struct opcode *o)
{
	f.flags |= o->flags;
	if (f.flags & OP_GROUP_RM && o->flags & OP_GROUP_RM) {
		add(&f, FORM_MEM, any(o->mem));
		for (f.rm = 0; f.rm < 8; f.rm++) {
			struct form below = f;

			below.flags &= ~(OP_GROUP_RM | OP_MODRM);
			walk(below, &o->sub[f.rm]);
		}
		return;
	}
	if (o->flags & OP_GROUP) {
		for (f.reg = 0; f.reg < 8; f.reg++)
			walk(f, &o->sub[f.reg]);
		return;
	}
	if (o->flags & OP_PREFIX) {
		for (f.prefix = 0; f.prefix < 4; f.prefix++)
			walk(f, &o->sub[f.prefix]);
		return;
	}
	if (f.rm >= 0) {
		add(&f, FORM_REG, any(o->reg));
	} else if (f.flags & OP_CR) {
		f.any_mod = true;
		add(&f, FORM_REG, any(o->reg));
	} else if (f.flags & (OP_MODRM | OP_GROUP)) {
		add(&f, FORM_REG, any(o->reg));
		add(&f, FORM_MEM, any(o->mem));
	} else {
		add(&f, f.flags & OP_MOFFS ? FORM_MEM : FORM_PLAIN, any(o->reg));
	}
}

static void walk_x87(struct form f)
{
	unsigned row = f.op - 0xd8u;

	f.class = CLASS_X87;
	f.flags = OP_MODRM;
	for (f.reg = 0; f.reg < 8; f.reg++) {
		f.rm = -1;
		add(&f, FORM_MEM, x87_mem[row][(unsigned)f.reg]);
		for (f.rm = 0; f.rm < 8; f.rm++)
			add(&f, FORM_REG, x87_reg[row][f.reg * 8 + f.rm]);
	}
}

static bool is_prefix(u8 op)
{
	return op == 0xf0 || op == 0xf2 || op == 0xf3 || (op & 0xe7) == 0x26 || (op >= 0x64 && op <= 0x67);
}

/* Instructions that need both x87 and SSE state to mean anything: FXSAVE and the XSAVE family. */
static u8 class_of(unsigned map, u8 op, bool sse)
{
	if (map == 1 && op == 0xae)
		return CLASS_STATE;
	if (sse)
		return CLASS_SSE;
	return map == 0 && op == 0x9b ? CLASS_X87 : CLASS_INT;
}

const struct form *forms_all(unsigned *n)
{
	for (unsigned map = 0; map < 4 && !(count && map == 0); map++) {
		for (unsigned op = 0; op < 256; op++) {
			struct form f = {.map = map, .op = op, .prefix = -1, .reg = -1, .rm = -1};
			const struct opcode *o;

			if (map == 0 && (op == 0x0f || is_prefix(op)))
				continue;
			if (map == 1 && (op == 0x38 || op == 0x3a))
				continue;
			o = opcode_entry(map, op);
			f.class = class_of(map, op, o == &sse_0f[op] || o == &sse_0f38[op] || o == &sse_0f3a[op]);
			if (map == 0 && (op & 0xf8) == 0xd8)
				walk_x87(f);
			else
				walk(f, o);
		}
	}
	*n = count;
	return forms;
}

void form_code(const struct form *f, char *buf, unsigned size)
{
	static const char *const prefix[] = {"", "66 ", "F3 ", "F2 "}, *const map[] = {"", "0F ", "0F 38 ", "0F 3A "};
	unsigned n =
	    snprintf(buf, size, "%s%s%02X", f->prefix > 0 ? prefix[(unsigned)f->prefix] : "", map[f->map], f->op);

	if (f->rm >= 0)
		snprintf(buf + n, size - n, " %02X", 0xc0 | f->reg << 3 | f->rm);
	else if (f->reg >= 0)
		snprintf(buf + n, size - n, " /%d", f->reg);
}
