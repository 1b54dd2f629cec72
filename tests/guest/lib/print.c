/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output on COM1, claims and the way out. */
#include "tests/guest/lib/guest.h"

#define COM1     0x3f8
#define DEBUGCON 0xe9

static unsigned nr_ok, nr_bad;
static bool no_serial;

/* Bochs: the only one with a debug port and without the hypervisor bit. Its serial port is as slow as a real one. */
static bool under_bochs(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	return !(r[2] >> 31) && inb(DEBUGCON) == DEBUGCON;
}

/* And the interrupt controllers masked: firmware may have left them open. */
void console_init(void)
{
	no_serial = under_bochs();
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1); /* 115200 */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
}

void put_char(char c)
{
	if (no_serial) {
		outb(DEBUGCON, c);
		return;
	}
	while (!(inb(COM1 + 5) & 0x20))
		asm volatile("pause");
	outb(COM1, c);
}

void put_string(const char *s)
{
	while (*s)
		put_char(*s++);
}

void put_hex(u64 v)
{
	int shift = 60;

	put_string("0x");
	while (shift > 0 && !(v >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[v >> shift & 15]);
}

void put_dec(u64 v)
{
	char buf[24];
	int n = 0;
	u32 w = v; /* no 64-bit division in 32-bit kernels */

	do
		buf[n++] = '0' + w % 10;
	while (w /= 10);
	while (n)
		put_char(buf[--n]);
}

void print_verdict(const char *prefix, const char *name, bool cond); /* for sys.c too */

void print_verdict(const char *prefix, const char *name, bool cond)
{
	if (cond)
		nr_ok++;
	else
		nr_bad++;
	put_string(cond ? "ok " : "not ok ");
	put_string(prefix);
	put_string(name);
}

void claim(const char *name, bool cond)
{
	print_verdict("", name, cond);
	put_char('\n');
}

void claim_eq(const char *name, u64 got, u64 want)
{
	print_verdict("", name, got == want);
	if (got != want) {
		put_string(" (got ");
		put_hex(got);
		put_string(", want ");
		put_hex(want);
		put_string(")");
	}
	put_char('\n');
}

void skip(const char *name, const char *reason)
{
	put_string("skip ");
	put_string(name);
	put_string(": ");
	put_string(reason);
	put_char('\n');
}

void exit_with(u8 code)
{
	outl(EXIT_PORT, code);
	for (const char *s = "Shutdown"; *s; s++) /* Bochs */
		outb(0x8900, *s);
	for (;;)
		asm volatile("cli; hlt");
}

void finish(void)
{
	put_string("done: ");
	put_dec(nr_ok);
	put_string(" ok, ");
	put_dec(nr_bad);
	put_string(" not ok\n");
	exit_with(nr_bad ? EXIT_FAILED : EXIT_OK);
}

bool under_tcg(void)
{
	u32 r[4];

	cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354 && r[2] == 0x43544743; /* "TCGTCGTCGTCG" */
}

void *memset(void *p, int c, size_t n)
{
	u8 *b = p;

	while (n--)
		*b++ = c;
	return p;
}

void *memcpy(void *d, const void *s, size_t n)
{
	u8 *to = d;
	const u8 *from = s;

	while (n--)
		*to++ = *from++;
	return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}
