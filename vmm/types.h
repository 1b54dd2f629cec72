/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fixed-width names and the few helpers every folder uses. Includes nothing of ours. */
#ifndef VMM_TYPES_H
#define VMM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define BIT(n)                          (1ull << (n))
#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define PRINTF(fmt, args)               __attribute__((format(printf, fmt, args)))

/* Unaligned little-endian access; the host is x86-64, so these compile to plain moves. */
static inline u16 load16(const void *p)
{
	u16 v;
	memcpy(&v, p, 2);
	return v;
}

static inline u32 load32(const void *p)
{
	u32 v;
	memcpy(&v, p, 4);
	return v;
}

static inline u64 load64(const void *p)
{
	u64 v;
	memcpy(&v, p, 8);
	return v;
}

static inline void store16(void *p, u16 v)
{
	memcpy(p, &v, 2);
}

static inline void store32(void *p, u32 v)
{
	memcpy(p, &v, 4);
}

static inline void store64(void *p, u64 v)
{
	memcpy(p, &v, 8);
}

static inline u64 min64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max64(u64 a, u64 b)
{
	return a > b ? a : b;
}

#endif
