/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550 in loopback (PC16550D data sheet), and the 8042 with its keyboard (PS/2 Hardware Interface Technical Reference). */
#include "tests/guest/lib/chip.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR  IIR
#define LOOP 0x10
#define DR   0x01
#define OE   0x02
#define THRE 0x20
#define TEMT 0x40

static u8 in(unsigned reg)
{
	return inb(COM1 + reg);
}

static void out(unsigned reg, u8 v)
{
	outb(COM1 + reg, v);
}

static u16 pm;

/* Tables of this file are printed when the port is a console again. */
static struct table *tables[16];
static unsigned nr_tables;

static void table_later(struct table *t)
{
	tables[nr_tables++] = t;
}

/* Loops one byte back: behind this it is in the FIFO, or lost to an overrun. */
static void send(u8 byte)
{
	for (unsigned n = 0; n < 100000 && !(in(LSR)&THRE); n++)
		;
	out(DATA, byte);
	for (unsigned n = 0; n < 100000 && !(inb(COM1 + LSR) & TEMT); n++)
		;
	for (unsigned n = 0; n < 1000; n++)
		asm volatile("pause");
}

/* As send(), without a read of LSR, which would clear its errors: at 115200 bits a second a byte takes 87 us. */
static void send_blind(u8 byte)
{
	u32 from = pm_timer(pm);

	out(DATA, byte);
	while (pm_since(pm, from) < PM_HZ / 5000)
		;
}

static void fresh(u8 fcr)
{
	out(IER, 0);
	out(MCR, LOOP | 0x08);
	out(FCR, 0);
	out(FCR, fcr | 6);
	for (unsigned n = 0; n < 20 && (in(LSR)&DR); n++)
		in(DATA);
	in(LSR);
	in(MSR);
	in(IIR);
}

/* IIR without the FIFO bits. */
static u8 iir(void)
{
	return in(IIR)&0x0f;
}

static void registers(void)
{
	static struct table t = {.name = "16550: IER has four bits, MCR five"};
	static struct table fifo = {.name =
					"16550: FCR: bit 0 decides what IIR's upper bits say, whatever the others are"};

	fresh(1);
	for (unsigned v = 0; v < 256; v++) {
		out(IER, v);
		quiet_case(&t, in(IER) == (v & 15));
		out(MCR, v | LOOP);
		quiet_case(&t, in(MCR) == ((v & 31) | LOOP));
	}
	out(IER, 0);
	for (unsigned v = 0; v < 256; v++) {
		out(FCR, v);
		quiet_case(&fifo, in(IIR) >> 6 == (v & 1 ? 3 : 0));
	}
	table_later(&t);
	table_later(&fifo);
	fresh(1);
	later("16550: idle: transmitter empty, nothing received, no errors", in(LSR) == (THRE | TEMT));
	later("16550: no interrupt pending", iir() == 1);
}

static void fifo_levels(void)
{
	static const u8 level[] = {1, 4, 8, 14};
	static struct table t = {.name = "16550: trigger levels 1, 4, 8, 14 against 1 to 16 bytes: the interrupt"};
	static struct table below = {.name = "16550: it goes when reading brings the FIFO below its trigger level"};
	static struct table timeout = {.name = "16550: below the level: character timeout after four characters"};
	static struct table order_t = {.name = "16550: the FIFO keeps order"};

	for (unsigned trigger = 0; trigger < 4; trigger++)
		for (unsigned n = 1; n <= 16; n++) {
			fresh(1 | trigger << 6);
			out(IER, 1);
			for (unsigned k = 0; k < n; k++)
				send(0x40 + k);
			u8 id = iir();
			/* An idle time that the line may take: the timeout may be there already where the host is slow. */
			quiet_case(&t, n >= level[trigger] ? id == 4 : id == 1 || id == 12);
			if (n < level[trigger]) {
				u32 from = pm_timer(pm);
				while (iir() != 12 && pm_since(pm, from) < PM_HZ / 20)
					;
				bool good = iir() == 12 && (in(LSR)&DR);
				in(DATA);
				quiet_case(&timeout, good && iir() == 1);
			} else {
				bool good = true, kept = true;
				for (unsigned left = n; left; left--) {
					good = good && (iir() == 4) == (left >= level[trigger]);
					kept = kept && in(DATA) == 0x40 + (n - left);
				}
				quiet_case(&below, good && iir() == 1);
				quiet_case(&order_t, kept && !(in(LSR)&DR));
			}
		}
	table_later(&t);
	table_later(&below);
	table_later(&timeout);
	table_later(&order_t);
	fresh(1 | 3 << 6);
	send(0x55);
	u32 from = pm_timer(pm);
	while (pm_since(pm, from) < PM_HZ / 100)
		;
	bool none = iir() == 1;
	out(IER, 1);
	later("16550: a timeout that isn't enabled waits for its enable", none && iir() == 12);
	fresh(1);
	send(1);
	send(2);
	out(FCR, 1 | 2);
	later("16550: FCR clears the received bytes", !(in(LSR)&DR));
	send(3);
	out(FCR, 0);
	later("16550: turning the FIFOs off does so too", !(in(LSR)&DR));
	send(4);
	out(FCR, 6);
	later("16550: without bit 0 the other bits do nothing", (in(LSR)&DR) && in(DATA) == 4);
}

static void errors(void)
{
	fresh(1);
	for (unsigned n = 0; n < 16; n++)
		send_blind(n);
	bool fine = !(in(LSR)&OE);
	send_blind(0x77);
	u8 lsr = in(LSR);
	later("16550: overrun: the 17th byte", fine && (lsr & OE));
	later("16550: reading LSR clears it", !(in(LSR)&OE));
	bool kept = true;
	for (unsigned n = 0; n < 16; n++)
		kept = kept && in(DATA) == n;
	later("16550: overrun: the FIFO keeps what it had, the new byte is lost", kept && !(in(LSR)&DR));
	fresh(0);
	send_blind(0x11);
	send_blind(0x22);
	lsr = in(LSR);
	later("16450 mode: overrun: the new byte replaces the old", (lsr & OE) && in(DATA) == 0x22 && !(in(LSR)&DR));
}

/* All four sources at once, by every IER. */
static void priorities(void)
{
	static struct table t = {.name =
				     "16550: priority: line status, received data, transmitter empty, modem; each IER"};

	for (unsigned ier = 0; ier < 16; ier++) {
		static const struct {
			u8 enable, id, reg;
		} sources[] = {{4, 6, LSR}, {1, 4, DATA}, {2, 2, IIR}, {8, 0, MSR}};
		bool good = true;

		fresh(0);
		out(MCR, LOOP | 0x08 | 0x02); /* CTS changes */
		send_blind(1);
		send_blind(2); /* overrun */
		out(IER, ier);
		for (unsigned n = 0; n < ARRAY_SIZE(sources); n++) {
			if (!(ier & sources[n].enable))
				continue;
			good = good && iir() == sources[n].id;
			if (sources[n].reg != IIR)
				in(sources[n].reg);
		}
		quiet_case(&t, good && iir() == 1);
	}
	table_later(&t);
	fresh(1);
	out(IER, 2);
	later("16550: enabled while the transmitter is empty: an interrupt", iir() == 2);
	later("16550: reading IIR ends it", iir() == 1);
	out(IER, 0);
	out(IER, 2);
	later("16550: enabled again: again", iir() == 2);
	send(0x33);
	later("16550: when the next byte has left: again", iir() == 2);
	out(IER, 3);
	out(IER, 1);
	later("16550: reading IIR ends it only if it said so", ({
		      send(0x34);
		      out(IER, 3);
		      bool data = iir() == 4;
		      in(DATA);
		      in(DATA);
		      data &&iir() == 2;
	      }));
}

static void modem(void)
{
	static struct table deltas = {.name = "16550: modem deltas: every change of MCR's outputs in loopback"};
	static struct table once = {.name = "16550: reading MSR clears them"};

	for (unsigned from = 0; from < 16; from++)
		for (unsigned to = 0; to < 16; to++) {
			u8 changed = from ^ to, want = 0;

			fresh(1);
			out(MCR, LOOP | from);
			in(MSR);
			out(MCR, LOOP | to);
			u8 msr = in(MSR);
			want |= changed & 2 ? 1 : 0;                /* RTS: CTS */
			want |= changed & 1 ? 2 : 0;                /* DTR: DSR */
			want |= (changed & 4) && !(to & 4) ? 4 : 0; /* OUT1: RI, its fall */
			want |= changed & 8 ? 8 : 0;                /* OUT2: DCD */
			quiet_case(&deltas, (msr & 15) == want);
			quiet_case(&once, (in(MSR)&15) == 0);
		}
	table_later(&deltas);
	table_later(&once);
}

static void uart(void)
{
	registers();
	fifo_levels();
	errors();
	priorities();
	modem();
	console_init();
	for (unsigned n = 0; n < nr_tables; n++)
		table_line("", tables[n]);
	print_later();
}

/* --- 8042 and keyboard --- */

static bool kbd_wait(bool output)
{
	u32 from = pm_timer(pm);

	while (pm_since(pm, from) < PM_HZ / 50)
		if (output ? inb(0x64) & 1 : !(inb(0x64) & 2))
			return true;
	return false;
}

static void command(u8 byte)
{
	kbd_wait(false);
	outb(0x64, byte);
	kbd_wait(false);
}

static void data(u8 byte)
{
	kbd_wait(false);
	outb(0x60, byte);
	kbd_wait(false);
}

static int answer(void)
{
	return kbd_wait(true) ? inb(0x60) : -1;
}

static int asked(u8 byte)
{
	command(byte);
	return answer();
}

static void set_command_byte(u8 byte)
{
	command(0x60);
	data(byte);
}

/* Whether nothing comes for 5 ms. */
static bool silent(void)
{
	sleep_for(pm, 0xff, 1, PM_HZ / 200);
	return !(inb(0x64) & 1);
}

static void drain(void)
{
	while (!silent())
		inb(0x60);
}

static void controller(void)
{
	static struct table ports = {.name = "8042: A7h, A8h, ADh, AEh turn the ports' bits of the command byte"};
	static const u8 bits[][2] = {{0xa7, 0x20}, {0xad, 0x10}};

	drain();
	set_command_byte(0x30);
	for (unsigned n = 0; n < 2; n++)
		for (unsigned off = 0; off < 2; off++) {
			command(bits[n][0] + !off);
			if (table_case(&ports, !(asked(0x20) & bits[n][1]) == !off))
				note(n, off);
		}
	table_line("", &ports);
	set_command_byte(0x30);
	command(0xd2);
	claim("8042: status: bit 3 says that the last byte was a command", inb(0x64) & 8);
	data(0x12);
	claim("8042: and is clear after data", !(inb(0x64) & 8));
	kbd_wait(true);
	claim("8042: status: output buffer full until it is read",
	      (inb(0x64) & 1) && inb(0x60) == 0x12 && !(inb(0x64) & 1));
	command(0xaa);
	bool passed = answer() == 0x55;
	claim("8042: after the self test the system flag is set", passed && (inb(0x64) & 4));
	set_command_byte(0x30);
	claim("8042: which the command byte can clear", !(inb(0x64) & 4));
	set_command_byte(0x34);
	claim("8042: and set", inb(0x64) & 4);
	set_command_byte(0x70);
	command(0xd2);
	data(0x1c);
	claim("8042: D2h isn't translated", answer() == 0x1c);
	claim("8042: the input port says that the keyboard isn't locked", asked(0xc0) & 0x80);
	int port = asked(0xd0);
	command(0xd1);
	data(port | 3);
	claim("8042: D1h writes the output port", (asked(0xd0) & 3) == 3);
	/* Interrupts. */
	ioapic_write(0x11 + 2, apic(ID));
	ioapic_write(0x10 + 2, 0x71);
	set_command_byte(0x34);
	clear();
	command(0xd2);
	data(0x44);
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("pause");
	open_briefly();
	bool none = !seen[0x71];
	answer();
	set_command_byte(0x25);
	clear();
	command(0xd2);
	data(0x45);
	bool came = wait_for(0x71, 1);
	claim("8042: IRQ 1 with bit 0 of the command byte, and only then", none && came);
	answer();
	open_briefly();
	claim("8042: one for one byte", seen[0x71] == 1);
	set_command_byte(0x34);
	ioapic_write(0x10 + 2, BIT(16));
}

static bool answers(const u8 *send, unsigned nr_send, const u8 *want, unsigned nr_want)
{
	bool good = true;

	for (unsigned n = 0; n < nr_send; n++) {
		data(send[n]);
		if (n + 1 < nr_send)
			good = good && answer() == 0xfa;
	}
	for (unsigned n = 0; n < nr_want; n++)
		good = good && answer() == want[n];
	return good && silent();
}

#define KBD(name, sent, ...)                                                       \
	({                                                                         \
		static const u8 s_[] = sent, w_[] = {__VA_ARGS__};                 \
		claim("keyboard: " name, answers(s_, sizeof(s_), w_, sizeof(w_))); \
	})
#define BYTES(...)          \
	{                   \
		__VA_ARGS__ \
	}

static void keyboard(void)
{
	set_command_byte(0x24); /* on, not translated */
	drain();
	KBD("F5h, disable: FAh", BYTES(0xf5), 0xfa);
	KBD("F2h, identify: FAh ABh 83h", BYTES(0xf2), 0xfa, 0xab, 0x83);
	KBD("EEh, echo: EEh", BYTES(0xee), 0xee);
	KBD("EDh, lights: FAh for it and for its byte", BYTES(0xed, 0x02), 0xfa);
	KBD("F3h, typematic: FAh for both", BYTES(0xf3, 0x20), 0xfa);
	KBD("F0h 00h: the scan code set, 2", BYTES(0xf0, 0x00), 0xfa, 0x02);
	KBD("F0h 02h: FAh", BYTES(0xf0, 0x02), 0xfa);
	KBD("F6h, defaults: FAh", BYTES(0xf6), 0xfa);
	KBD("F4h, enable: FAh", BYTES(0xf4), 0xfa);
	KBD("E0h, no command: FEh", BYTES(0xe0), 0xfe);
	KBD("FFh, reset: FAh AAh", BYTES(0xff), 0xfa, 0xaa);
	data(0xf5);
	answer();
	command(0xad);
	data(0xee);
	bool got = answer() == 0xee;
	claim("8042: a byte for the keyboard turns its port on", got && !(asked(0x20) & 0x10));
	/* With translation. */
	set_command_byte(0x64);
	data(0xf2);
	claim("8042: translation: FAh and ABh are no scan codes, 83h is 41h",
	      answer() == 0xfa && answer() == 0xab && answer() == 0x41);
	set_command_byte(0x34);
}

void kmain(void)
{
	chip_init();
	pm = pm_base();
	uart();
	controller();
	keyboard();
}
