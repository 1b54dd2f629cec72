/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/checkpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/machine.h"

#define NEAR_MAX 48 /* how many of the user's neighbourhoods are kept */

int checkpoints_init(struct checkpoints *c, struct machine *m, u64 budget)
{
	*c = (struct checkpoints){.m = m, .budget = budget};
	return pages_init(&c->pages, m);
}

static u64 own_bytes(const struct checkpoint *cp)
{
	return sizeof(*cp) + cp->state_len + cp->cache_len + cp->disk.nr_chunks * sizeof(void *) * 4;
}

void checkpoint_free(struct checkpoints *c, struct checkpoint *cp)
{
	if (!cp)
		return;
	page_image_put(&c->pages, cp->ram);
	block_free(&cp->disk);
	free(cp->state);
	free(cp->cache);
	free(cp);
}

void checkpoints_free(struct checkpoints *c)
{
	for (size_t i = 0; i < c->nr; i++)
		checkpoint_free(c, c->list[i]);
	free(c->list);
	pages_free(&c->pages);
	*c = (struct checkpoints){0};
}

/* How many stand at or before @position. */
static size_t rank(const struct checkpoints *c, u64 position)
{
	size_t low = 0, high = c->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (c->list[mid]->position <= position)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct checkpoint *checkpoints_before(const struct checkpoints *c, u64 position)
{
	size_t n = rank(c, position);

	return n ? c->list[n - 1] : NULL;
}

static void give_up(struct checkpoints *c, size_t i)
{
	c->bytes -= own_bytes(c->list[i]);
	checkpoint_free(c, c->list[i]);
	c->nr--;
	memmove(&c->list[i], &c->list[i + 1], (c->nr - i) * sizeof(*c->list));
}

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

/* Of those made for a neighbourhood, the one farthest from @around; 0: there are no more than may stay. */
static size_t farthest_near(const struct checkpoints *c, u64 around, size_t may_stay)
{
	size_t found = 0, count = 0;
	u64 far = 0;

	for (size_t i = 1; i < c->nr; i++) {
		u64 d = distance(c->list[i]->position, around);

		count += c->list[i]->near;
		if (c->list[i]->near && d > far) {
			far = d;
			found = i;
		}
	}
	return count > may_stay ? found : 0;
}

/* The one without which the gap would be smallest, gaps far from @around counting less; 0: none but the first. */
static size_t least_missed(const struct checkpoints *c, u64 around)
{
	double least = 0;
	size_t found = 0;

	for (size_t i = 1; i < c->nr; i++) {
		u64 at = c->list[i]->position,
		    next = i + 1 < c->nr ? c->list[i + 1]->position : at + (at - c->list[i - 1]->position);
		double gap = (double)(next - c->list[i - 1]->position) / (1e9 + (double)distance(at, around));

		if (at != around && (!found || gap < least)) {
			found = i;
			least = gap;
		}
	}
	return found;
}

static void thin_out(struct checkpoints *c, u64 around)
{
	size_t i;

	while ((i = farthest_near(c, around, NEAR_MAX)))
		give_up(c, i);
	while (c->bytes + c->pages.bytes > c->budget) {
		i = farthest_near(c, around, 1);
		if (!i)
			i = least_missed(c, around);
		if (!i)
			break;
		give_up(c, i);
	}
}

int checkpoints_add(struct checkpoints *c, struct checkpoint *cp)
{
	size_t at = rank(c, cp->position);

	if (c->nr == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		struct checkpoint **list = realloc(c->list, cap * sizeof(*list));

		if (!list)
			return -ENOMEM;
		c->list = list;
		c->cap = cap;
	}
	memmove(&c->list[at + 1], &c->list[at], (c->nr - at) * sizeof(*c->list));
	c->list[at] = cp;
	c->nr++;
	c->bytes += own_bytes(cp);
	thin_out(c, cp->position);
	return 0;
}

static int save_machine(struct checkpoints *c, struct checkpoint *cp)
{
	struct machine *m = c->m;
	struct vcpu *vcpu = m->vcpu[0];

	cp->position = machine_position(m);
	cp->ns = clock_now(&m->clock);
	cp->delivered_at = vcpu->delivered_at;
	cp->delivered = vcpu->delivered;
	cp->progress = m->progress;
	memcpy(cp->tag, c->tag, sizeof(cp->tag));
	cp->state_len = machine_state_size(m);
	cp->state = malloc(cp->state_len);
	if (!cp->state)
		return -ENOMEM;
	machine_state_save(m, cp->state);
	if (vcpu->engine->cache_size) {
		u8 *all = malloc(vcpu->engine->cache_size(vcpu) + 1);

		if (!all)
			return -ENOMEM;
		cp->cache_len = vcpu->engine->cache_save(vcpu, all);
		/* Most of the room isn't needed. */
		cp->cache = malloc(cp->cache_len + 1);
		if (cp->cache)
			memcpy(cp->cache, all, cp->cache_len);
		free(all);
		if (!cp->cache)
			return -ENOMEM;
	}
	if (machine_disk(m) && block_copy(&cp->disk, machine_disk(m)))
		return -ENOMEM;
	return pages_take(&c->pages, &cp->ram);
}

int checkpoint_make(struct checkpoints *c, const struct replayer_place *replay, struct checkpoint **out)
{
	struct checkpoint *cp = calloc(1, sizeof(*cp));
	int ret;

	if (!cp)
		return -ENOMEM;
	cp->replay = *replay;
	ret = save_machine(c, cp);
	if (ret) {
		checkpoint_free(c, cp);
		return ret;
	}
	*out = cp;
	return 0;
}

int checkpoints_take(struct checkpoints *c, const struct replayer_place *replay, bool near)
{
	struct checkpoint *cp = checkpoints_before(c, machine_position(c->m));
	int ret;

	if (cp && cp->position == machine_position(c->m)) {
		cp->near &= near;
		return 0;
	}
	ret = checkpoint_make(c, replay, &cp);
	if (ret)
		return ret;
	cp->near = near;
	ret = checkpoints_add(c, cp);
	if (ret) {
		checkpoint_free(c, cp);
		return ret;
	}
	return 0;
}

int checkpoint_restore(struct checkpoints *c, const struct checkpoint *cp)
{
	struct machine *m = c->m;
	struct vcpu *vcpu = m->vcpu[0];
	int ret;

	if (cp->state_len != machine_state_size(m))
		return -EINVAL;
	if (machine_disk(m)) {
		ret = block_copy(machine_disk(m), &cp->disk);
		if (ret)
			return ret;
	}
	pages_restore(&c->pages, cp->ram);
	ret = machine_state_load(m, cp->state, cp->state_len);
	if (ret)
		return ret;
	/* What a trace has instead of one leaves the TLB empty. */
	if (cp->cache && vcpu->engine->cache_load)
		vcpu->engine->cache_load(vcpu, cp->cache, cp->cache_len);
	vcpu->delivered_at = cp->delivered_at;
	vcpu->delivered = cp->delivered;
	vcpu->kick = false;
	vcpu->probe.nr = 0;
	m->progress = cp->progress;
	memcpy(c->tag, cp->tag, sizeof(c->tag));
	return 0;
}
