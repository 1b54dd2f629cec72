// SPDX-License-Identifier: GPL-2.0-or-later
/* The cache of decoded code.
 *
 *  1. A block is a run of instructions that lies in one page, up to the first that may change RIP, mode or
 *     interruptibility. An instruction that runs on into the next page is a block of its own.
 *  2. A block is valid for its physical bytes, its RIP (which RIP-relative operands and branch targets have folded in),
 *     its decode mode and the limit of CS, whatever the page tables say; it is found by those.
 *  3. In front of that stands a table by RIP alone, valid for one exec_key: the path of nearly every look-up.
 *  4. Where a debugger has breakpoints (vmm/soft/watch.c), blocks end before them. A block that begins with one is not
 *     entered in that table. Other breakpoints raise probe_gen: what was decoded before is looked at again when found.
 *  5. Writes to pages with code take the slow path (PAGE_CODE); they drop the blocks whose 64-byte lines they touch.
 *     A dropped block may be the one that is running, so memory is given back only when the arena is full, between
 *     blocks. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"

#define ARENA_SIZE      (64u << 20)
#define BLOCK_MAX_INSNS 32
#define HASH_BITS       16
#define RIP_BITS        13
#define LINE_SHIFT      6 /* 64 lines a page, one bit each */

/* A page that has decoded code in it. */
struct code_page {
	u64 gpa;
	u64 lines; /* lines with code */
	struct block *blocks;
	struct code_page *next; /* in its hash chain */
};

#define PAGE_HASH_BITS 12

struct block_cache {
	struct {
		u64 rip, key;
		struct block *block;
	} by_rip[1u << RIP_BITS];
	struct block *hash[1u << HASH_BITS];
	struct code_page *pages[1u << PAGE_HASH_BITS];
	u8 *arena;
	size_t used;
};

int block_cache_create(struct soft_cpu *cpu, struct error *err)
{
	struct block_cache *bc = calloc(1, sizeof(*bc));

	if (!bc)
		return error_set(err, -ENOMEM, "no memory for the cache of decoded instructions");
	bc->arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bc->arena == MAP_FAILED) {
		free(bc);
		return error_set(err, -ENOMEM, "no memory for the cache of decoded instructions");
	}
	cpu->blocks = bc;
	return 0;
}

void block_cache_free(struct soft_cpu *cpu)
{
	if (cpu->blocks)
		munmap(cpu->blocks->arena, ARENA_SIZE);
	free(cpu->blocks);
	cpu->blocks = NULL;
}

static unsigned hash_block(u64 gpa, u64 rip, u32 mode)
{
	return (unsigned)((gpa * 0x9e3779b97f4a7c15ull ^ rip * 0xc2b2ae3d27d4eb4full ^ mode) >> (64 - HASH_BITS));
}

static struct code_page **page_slot(struct block_cache *bc, u64 gpa)
{
	struct code_page **p = &bc->pages[(gpa >> PAGE_SHIFT) & ((1u << PAGE_HASH_BITS) - 1)];

	while (*p && (*p)->gpa != (gpa & ~PAGE_MASK))
		p = &(*p)->next;
	return p;
}

static void *arena_alloc(struct block_cache *bc, size_t size)
{
	void *p = bc->arena + bc->used;

	bc->used += (size + 15) & ~(size_t)15;
	return p;
}

static void mark_page(struct soft_cpu *cpu, u64 gpa, bool code)
{
	const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, gpa);
	u8 *flags;

	if (!slot)
		return;
	flags = &slot->flags[(gpa - slot->gpa) >> PAGE_SHIFT];
	if (code == !!(*flags & PAGE_CODE))
		return;
	*flags ^= PAGE_CODE;
	/* Write entries of a page that now has code must lose their fast path. */
	if (code)
		soft_tlb_protect(cpu, gpa);
}

/* Forgets everything; only between blocks. */
static void cache_reset(struct soft_cpu *cpu)
{
	struct block_cache *bc = cpu->blocks;

	for (unsigned n = 0; n < ARRAY_SIZE(bc->pages); n++)
		for (struct code_page *page = bc->pages[n]; page; page = page->next)
			mark_page(cpu, page->gpa, false);
	memset(bc->by_rip, 0, sizeof(bc->by_rip));
	memset(bc->hash, 0, sizeof(bc->hash));
	memset(bc->pages, 0, sizeof(bc->pages));
	bc->used = 0;
}

static u64 line_mask(u64 first, u64 last)
{
	unsigned a = (unsigned)(first & PAGE_MASK) >> LINE_SHIFT, b = (unsigned)(last & PAGE_MASK) >> LINE_SHIFT;

	return (~0ull << a) & (~0ull >> (63 - b));
}

/* Enters a block in the list of the page of [gpa, gpa + len). */
static void page_add(struct soft_cpu *cpu, struct block *b, unsigned which, u64 gpa, u64 len)
{
	struct block_cache *bc = cpu->blocks;
	struct code_page **slot = page_slot(bc, gpa), *page = *slot;

	if (!page) {
		page = arena_alloc(bc, sizeof(*page));
		*page = (struct code_page){.gpa = gpa & ~PAGE_MASK};
		*slot = page;
	}
	page->lines |= line_mask(gpa, gpa + len - 1);
	b->page_next[which] = page->blocks;
	page->blocks = b;
	mark_page(cpu, gpa, true);
}

static struct block **page_link(struct block *b, u64 page_gpa)
{
	return &b->page_next[(b->gpa & ~PAGE_MASK) != page_gpa];
}

/* Bytes of a block that lie in @page_gpa, as a mask of lines. Both its pages may be the same one. */
static u64 block_lines(const struct block *b, u64 page_gpa)
{
	u64 room = PAGE_SIZE - (b->gpa & PAGE_MASK), lines = 0;

	if ((b->gpa & ~PAGE_MASK) == page_gpa)
		lines = line_mask(b->gpa, b->gpa + min64(b->bytes, room) - 1);
	if (b->gpa2 == page_gpa)
		lines |= line_mask(page_gpa, page_gpa + b->bytes - room - 1);
	return lines;
}

static void unhash(struct block_cache *bc, struct block *b)
{
	struct block **p = &bc->hash[hash_block(b->gpa, b->rip, b->mode)];

	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (*p)
		*p = b->hash_next;
	b->dead = true;
}

bool block_covers(struct soft_cpu *cpu, u64 gpa, u64 len)
{
	struct code_page *page = *page_slot(cpu->blocks, gpa);

	return page && (page->lines & line_mask(gpa, gpa + len - 1));
}

static void invalidate_in_page(struct soft_cpu *cpu, u64 gpa, u64 len)
{
	struct block_cache *bc = cpu->blocks;
	struct code_page **slot = page_slot(bc, gpa), *page = *slot;
	u64 hit, lines = 0;
	struct block **p;

	if (!page || !(page->lines & (hit = line_mask(gpa, gpa + len - 1))))
		return;
	for (p = &page->blocks; *p;) {
		struct block *b = *p;

		if (!b->dead && (block_lines(b, page->gpa) & hit))
			unhash(bc, b);
		if (b->dead) {
			*p = *page_link(b, page->gpa);
		} else {
			lines |= block_lines(b, page->gpa);
			p = page_link(b, page->gpa);
		}
	}
	page->lines = lines;
	if (!lines) {
		mark_page(cpu, page->gpa, false);
		*slot = page->next;
	}
	cpu->exec_gen++; /* by_rip may hold what died */
	soft_update_key(cpu);
}

void block_invalidate(struct soft_cpu *cpu, u64 gpa, u64 len)
{
	while (len) {
		u64 n = min64(len, PAGE_SIZE - (gpa & PAGE_MASK));

		invalidate_in_page(cpu, gpa, n);
		gpa += n;
		len -= n;
	}
}

/* Whether a breakpoint stands at a byte of [la, la + len) or of its physical bytes at @gpa. */
static bool has_break(const struct soft_cpu *cpu, u64 la, u64 gpa, u64 len)
{
	return cpu->probed && (probe_covers(&cpu->vcpu.probe, PROBE_EXEC + TARGET_LINEAR, la, la + len - 1) ||
			       probe_covers(&cpu->vcpu.probe, PROBE_EXEC + TARGET_PHYSICAL, gpa, gpa + len - 1));
}

/* Whether the block suits the breakpoints as they are: none inside, and not cut without need. */
static bool block_suits(const struct soft_cpu *cpu, struct block *b)
{
	if (likely(b->probe_gen == cpu->probe_gen))
		return true;
	if (b->cut && !has_break(cpu, b->la + b->bytes, b->gpa + b->bytes, 1))
		return false;
	if (b->count > 1 && has_break(cpu, b->la, b->gpa, b->bytes))
		for (unsigned n = 1; n < b->count; n++)
			if (has_break(cpu, b->la + b->insn[n].offset, b->gpa + b->insn[n].offset, 1))
				return false;
	b->probed = has_break(cpu, b->la, b->gpa, 1);
	b->probe_gen = cpu->probe_gen;
	return true;
}

/* An instruction that can't be fetched because there is no RAM behind it: treated as undefined. */
static const u8 no_ram[INSN_MAX_LEN] = {0x0f, 0x0b};

/* The page that follows the one of @la, for fetching. */
static u64 second_page(struct soft_cpu *cpu, u64 la, const u8 **host)
{
	u64 next = (la | PAGE_MASK) + 1;

	if (!x86_long_mode(&cpu->vcpu.regs))
		next = (u32)next;
	return soft_translate_exec(cpu, next, host) & ~PAGE_MASK;
}

/* Decodes the instruction at @rip that runs on into the next page. */
static unsigned decode_across(struct soft_cpu *cpu, u64 la, const u8 *host, unsigned avail, u64 rip, struct insn *i,
			      u64 *gpa2)
{
	u8 bytes[INSN_MAX_LEN] = {0};
	const u8 *host2;
	bool end;

	*gpa2 = second_page(cpu, la, &host2);
	memcpy(bytes, host, avail);
	if (host2)
		memcpy(bytes + avail, host2, INSN_MAX_LEN - avail);
	return decode_insn(bytes, INSN_MAX_LEN, rip, cpu->mode, i, &end);
}

/* What a block's extent depends on besides its bytes. */
static u64 code_limit(const struct soft_cpu *cpu)
{
	return cpu->mode & MODE_64 ? ~0ull : cpu->vcpu.regs.seg[SEG_CS].limit;
}

/* #GP(0) for an instruction that goes on to @last. What lies beyond 4 GiB under the largest limit, SDM 3A 5.3 leaves
 * open: it is fetched from 0. */
static void check_code_limit(struct soft_cpu *cpu, u64 last)
{
	if (last > code_limit(cpu) && code_limit(cpu) != 0xffffffff)
		soft_fault_code(cpu, X86_GP, 0);
}

static struct block *block_decode(struct soft_cpu *cpu, u64 la, u64 gpa, const u8 *host)
{
	struct block_cache *bc = cpu->blocks;
	u64 rip = cpu->vcpu.regs.rip, gpa2 = ~0ull, limit = code_limit(cpu);
	unsigned room = (unsigned)(PAGE_SIZE - (la & PAGE_MASK)), bytes = 0, count = 0, len;
	struct block *b;
	bool end = false, cut = false;

	if (ARENA_SIZE - bc->used <
	    sizeof(*b) + BLOCK_MAX_INSNS * sizeof(struct insn) + 2 * sizeof(struct code_page) + 64)
		cache_reset(cpu);
	b = (struct block *)(bc->arena + bc->used); /* taken only when whole: a fetch may fault */
	while (!end && count < BLOCK_MAX_INSNS && bytes < room) {
		struct insn *i = &b->insn[count];
		u64 at = rip + bytes;
		u8 copy[INSN_MAX_LEN] = {0};
		const u8 *p = host ? host + bytes : no_ram;
		unsigned avail = host ? room - bytes : INSN_MAX_LEN;

		if (avail < INSN_MAX_LEN && host) {
			memcpy(copy, p, avail);
			p = copy;
		}
		len = decode_insn(p, avail < INSN_MAX_LEN ? avail : INSN_MAX_LEN, at, cpu->mode, i, &end);
		if (!len) {
			if (count)
				break;
			check_code_limit(cpu, at + avail);
			len = decode_across(cpu, la, host, avail, at, i, &gpa2);
			end = true;
		}
		if (unlikely(at + len - 1 > limit)) {
			if (count)
				break;
			check_code_limit(cpu, at + len - 1);
		}
		i->offset = (u16)bytes;
		bytes += len;
		count++;
		/* Past the end of CS, or of 64 KiB, the next look-up says what happens. */
		if (!host || rip + bytes > limit || (!(cpu->mode & (MODE_64 | MODE_32)) && rip + bytes > 0xffff))
			break;
		cut = bytes < room && has_break(cpu, la + bytes, gpa + bytes, 1);
		end |= cut;
	}
	arena_alloc(bc, sizeof(*b) + count * sizeof(struct insn));
	b->rip = rip;
	b->la = la;
	b->gpa = gpa;
	b->gpa2 = gpa2;
	b->mode = cpu->mode;
	b->limit = limit;
	b->count = (u16)count;
	b->bytes = (u16)bytes;
	b->dead = false;
	b->cut = cut;
	b->probed = has_break(cpu, la, gpa, 1);
	b->probe_gen = cpu->probe_gen;
	b->next_rip = rip + bytes;
	if (!(cpu->mode & MODE_64))
		b->next_rip = cpu->mode & MODE_32 ? (u32)b->next_rip : (u16)b->next_rip;
	page_add(cpu, b, 0, gpa, min64(bytes, room));
	if (gpa2 != ~0ull)
		page_add(cpu, b, 1, gpa2, bytes - room);
	return b;
}

/* The block at the present RIP through the page tables. */
static struct block *block_look_up(struct soft_cpu *cpu)
{
	struct block_cache *bc = cpu->blocks;
	u64 rip = cpu->vcpu.regs.rip, la = rip;
	struct block **slot, *b;
	const u8 *host, *host2;
	u64 gpa;

	soft_stand_between(cpu);
	if (!(cpu->mode & MODE_64)) {
		if (rip > cpu->vcpu.regs.seg[SEG_CS].limit)
			soft_fault_code(cpu, X86_GP, 0);
		la = (u32)(cpu->vcpu.regs.seg[SEG_CS].base + rip);
	}
	if (unlikely(cpu->probed) && soft_probe_exec(cpu, la))
		return NULL;
	gpa = soft_translate_exec(cpu, la, &host);
	for (b = bc->hash[hash_block(gpa, rip, cpu->mode)]; b; b = b->hash_next) {
		if (b->gpa != gpa || b->la != la || b->rip != rip || b->mode != cpu->mode ||
		    b->limit != code_limit(cpu))
			continue;
		if (unlikely(!block_suits(cpu, b))) {
			unhash(bc, b);
			break;
		}
		/* The second page may be mapped elsewhere by now, and the walk may have written on the first. */
		if (b->gpa2 == ~0ull || (b->gpa2 == second_page(cpu, la, &host2) && !b->dead))
			return b;
	}
	b = block_decode(cpu, la, gpa, host);
	slot = &bc->hash[hash_block(gpa, rip, cpu->mode)];
	b->hash_next = *slot;
	*slot = b;
	return b;
}

struct block *block_get(struct soft_cpu *cpu)
{
	struct block_cache *bc = cpu->blocks;
	u64 rip = cpu->vcpu.regs.rip;
	unsigned n = (unsigned)((rip ^ rip >> RIP_BITS) & ((1u << RIP_BITS) - 1));

	if (likely(bc->by_rip[n].rip == rip && bc->by_rip[n].key == cpu->exec_key))
		return bc->by_rip[n].block;
	struct block *b = block_look_up(cpu);

	if (unlikely(cpu->probed) && (!b || b->probed))
		return b;
	bc->by_rip[n].rip = rip;
	bc->by_rip[n].key = cpu->exec_key;
	bc->by_rip[n].block = b;
	return b;
}
