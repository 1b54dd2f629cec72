/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Callers, without symbols or unwind tables: by the chain of frame pointers as long as it is plausible, from there by
 * the words on the stack that point behind a CALL. Each line says how it was found. */
#include "gdbstub/monitor_internal.h"

#include "gdbstub/disasm.h"
#include "gdbstub/tdesc.h"

#define FRAMES_MAX 24
#define FRAME_SPAN 0x10000 /* from one frame to the next */
#define SCAN_WORDS 256
#define CALL_BYTES 9

struct stack {
	const struct call *call;
	const struct x86_state *regs;
	unsigned bits, word; /* mode of the code; bytes of what a CALL pushes */
	u64 mask;            /* of stack pointers */
	unsigned frames;     /* printed */
};

static u64 load_word(const struct stack *s, const u8 *p)
{
	return s->word == 8 ? load64(p) : s->word == 4 ? load32(p) : load16(p);
}

static size_t read_stack(const struct stack *s, u64 sp, void *buf, size_t len)
{
	u64 la = s->bits == 64 ? sp : (u32)(s->regs->seg[SEG_SS].base + (sp & s->mask));

	return target_read(s->call->target, s->call->vcpu, TARGET_LINEAR, la, buf, len);
}

static u64 code_address(const struct stack *s, u64 offset)
{
	return s->bits == 64 ? offset : (u32)(s->regs->seg[SEG_CS].base + offset);
}

/* Whether a CALL ends before @offset. The page before may not be mapped. */
static bool is_return(const struct stack *s, u64 offset)
{
	u64 la = code_address(s, offset);
	size_t len = CALL_BYTES;
	u8 before[CALL_BYTES];

	if (la < CALL_BYTES)
		return false;
	if (target_read(s->call->target, s->call->vcpu, TARGET_LINEAR, la - len, before, len) != len) {
		len = la & 0xfff;
		if (!len || len >= CALL_BYTES ||
		    target_read(s->call->target, s->call->vcpu, TARGET_LINEAR, la - len, before, len) != len)
			return false;
	}
	return disasm_is_call(s->bits, before, len);
}

static void print_frame(struct stack *s, u64 offset)
{
	fprintf(s->call->out, "#%-2u %016llx", s->frames++, (unsigned long long)code_address(s, offset));
}

/* Follows saved frame pointers; returns where on the stack it ended, 0 at the outermost frame. */
static u64 follow_chain(struct stack *s, u64 sp, u64 fp)
{
	while (s->frames < FRAMES_MAX) {
		u8 frame[16];

		if (!fp && s->frames > 1)
			return 0;
		if (fp < sp || fp - sp > FRAME_SPAN || read_stack(s, fp, frame, 2 * s->word) != 2 * s->word ||
		    !is_return(s, load_word(s, frame + s->word)))
			return sp;
		print_frame(s, load_word(s, frame + s->word));
		fprintf(s->call->out, " frame pointer\n");
		sp = fp + 2 * s->word;
		fp = load_word(s, frame);
	}
	return 0;
}

static void scan_words(struct stack *s, u64 sp)
{
	u8 words[SCAN_WORDS * 8];
	size_t len = read_stack(s, sp, words, SCAN_WORDS * s->word);

	for (size_t i = 0; i + s->word <= len && s->frames < FRAMES_MAX; i += s->word) {
		u64 word = load_word(s, words + i);

		if (!is_return(s, word))
			continue;
		print_frame(s, word);
		fprintf(s->call->out, " behind a CALL, on the stack at 0x%llx\n", (unsigned long long)(sp + i));
	}
}

void monitor_backtrace(const struct call *c)
{
	const struct x86_state *regs = call_regs(c);
	const unsigned bits = disasm_bits(regs);
	struct stack s = {.call = c, .regs = regs, .bits = bits, .word = bits / 8};
	u64 sp;

	s.mask = bits == 64 ? ~0ull : regs->seg[SEG_SS].ar & AR_DB ? 0xffffffff : 0xffff;
	fprintf(c->out, "#%-2u %016llx\n", s.frames++, (unsigned long long)tdesc_pc(regs));
	sp = follow_chain(&s, regs->gpr[RSP] & s.mask, regs->gpr[RBP] & s.mask);
	if (sp)
		scan_words(&s, sp);
}
