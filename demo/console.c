/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "demo/kernel.h"

#define COM1 0x3f8

void console_init(void)
{
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
}

static void put(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, c);
}

static void put_number(u64 v, unsigned base, int digits)
{
	char buf[24];
	int n = 0;

	do
		buf[n++] = "0123456789abcdef"[v % base];
	while ((v /= base) || n < digits);
	while (n)
		put(buf[--n]);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
			put_number(va_arg(args, u64), 10, 1);
			break;
		case 'x':
			put_number(va_arg(args, u64), 16, 16);
			break;
		}
	}
	va_end(args);
}
