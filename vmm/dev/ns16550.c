/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/ns16550.h"

/* Registers by offset */
#define REG_DATA 0 /* RBR, THR; DLL */
#define REG_IER  1 /* DLM */
#define REG_IIR  2 /* FCR */
#define REG_LCR  3
#define REG_MCR  4
#define REG_LSR  5
#define REG_MSR  6
#define REG_SCR  7

#define FCR_TRIGGER 0xc0
#define LCR_WLS     0x03

static const struct ns16550 uart_reset = {
    .lsr = UART_LSR_THRE | UART_LSR_TEMT,
    .msr = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS, /* somebody is listening at the other end */
    .divisor = 12,                                     /* 9600 bits a second */
};

static bool fifo_enabled(const struct ns16550 *uart)
{
	return uart->fcr & UART_FCR_ENABLE;
}

static unsigned rx_capacity(const struct ns16550 *uart)
{
	return fifo_enabled(uart) ? NS16550_FIFO : 1;
}

static unsigned rx_trigger(const struct ns16550 *uart)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return fifo_enabled(uart) ? level[uart->fcr >> 6] : 1;
}

/* The pending interrupt of highest priority, as IIR names it. */
static u8 interrupt_id(const struct ns16550 *uart)
{
	if ((uart->ier & UART_IER_LINE) && (uart->lsr & UART_LSR_ERRORS))
		return UART_IIR_LINE;
	if ((uart->ier & UART_IER_RDA) && uart->rx_count >= rx_trigger(uart))
		return UART_IIR_RDA;
	if ((uart->ier & UART_IER_RDA) && uart->timeout_pending)
		return UART_IIR_TIMEOUT;
	if ((uart->ier & UART_IER_THRE) && uart->thre_pending)
		return UART_IIR_THRE;
	if ((uart->ier & UART_IER_MODEM) && (uart->msr & UART_MSR_DELTAS))
		return UART_IIR_MODEM;
	return UART_IIR_NONE;
}

static void update_irq(struct ns16550 *uart)
{
	bool level = (uart->mcr & UART_MCR_OUT2) && interrupt_id(uart) != UART_IIR_NONE;

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	irq_set(&uart->irq, level);
}

/* The time that four characters take at the present rate and format. */
static u64 four_characters_ns(const struct ns16550 *uart)
{
	unsigned bits =
	    1 + 5 + (uart->lcr & LCR_WLS) + !!(uart->lcr & UART_LCR_PARITY) + (uart->lcr & UART_LCR_STOP ? 2 : 1);
	u64 divisor = uart->divisor ? uart->divisor : 1;

	return clock_muldiv(4 * bits * 16 * divisor, CLOCK_HZ, NS16550_HZ);
}

/* A byte came in or was read: the timeout begins anew while there are fewer bytes than would interrupt by themselves. */
static void restart_timeout(struct ns16550 *uart)
{
	uart->timeout_pending = 0;
	if (fifo_enabled(uart) && uart->rx_count && uart->rx_count < rx_trigger(uart))
		clock_timer_arm(&uart->timeout, clock_now(uart->clock) + four_characters_ns(uart));
	else
		clock_timer_cancel(&uart->timeout);
}

static void character_timeout(void *opaque)
{
	struct ns16550 *uart = opaque;

	uart->timeout_pending = uart->rx_count > 0;
	update_irq(uart);
}

static void rx_changed(struct ns16550 *uart)
{
	if (uart->rx_count)
		uart->lsr |= UART_LSR_DR;
	else
		uart->lsr &= ~UART_LSR_DR;
	restart_timeout(uart);
}

static void rx_clear(struct ns16550 *uart)
{
	uart->rx_head = 0;
	uart->rx_count = 0;
	memset(uart->rx, 0, sizeof(uart->rx));
	rx_changed(uart);
}

static void rx_put(struct ns16550 *uart, u8 byte)
{
	if (uart->rx_count < rx_capacity(uart)) {
		uart->rx[(uart->rx_head + uart->rx_count++) % NS16550_FIFO] = byte;
	} else {
		uart->lsr |= UART_LSR_OE;
		/* A full FIFO keeps what it has; the lone buffer register is overwritten. */
		if (!fifo_enabled(uart))
			uart->rx[uart->rx_head] = byte;
	}
	rx_changed(uart);
}

static u8 rx_get(struct ns16550 *uart)
{
	u8 byte = uart->rx[uart->rx_head];

	if (!uart->rx_count)
		return byte;
	uart->rx_count--;
	if (uart->rx_count || fifo_enabled(uart))
		uart->rx_head = (uart->rx_head + 1) % NS16550_FIFO;
	rx_changed(uart);
	return byte;
}

/* The modem inputs' levels: from the other end, which is always ready, or in loopback from MCR. */
static u8 modem_inputs(const struct ns16550 *uart)
{
	u8 mcr = uart->mcr;

	if (!(mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void update_modem(struct ns16550 *uart)
{
	u8 level = modem_inputs(uart);
	u8 changed = (uart->msr ^ level) & ~UART_MSR_DELTAS;
	u8 deltas = uart->msr & UART_MSR_DELTAS;

	if (changed & UART_MSR_CTS)
		deltas |= UART_MSR_DCTS;
	if (changed & UART_MSR_DSR)
		deltas |= UART_MSR_DDSR;
	if (changed & UART_MSR_DCD)
		deltas |= UART_MSR_DDCD;
	if (changed & ~level & UART_MSR_RI)
		deltas |= UART_MSR_TERI;
	uart->msr = level | deltas;
}

static u8 read_iir(struct ns16550 *uart)
{
	u8 id = interrupt_id(uart);

	if (id == UART_IIR_THRE)
		uart->thre_pending = 0;
	return id | (fifo_enabled(uart) ? UART_IIR_FIFO : 0);
}

static u8 read_lsr(struct ns16550 *uart)
{
	u8 lsr = uart->lsr;

	uart->lsr &= ~UART_LSR_ERRORS;
	return lsr;
}

static u8 read_msr(struct ns16550 *uart)
{
	u8 msr = uart->msr;

	uart->msr &= ~UART_MSR_DELTAS;
	return msr;
}

static u8 read_register(struct ns16550 *uart, u64 offset)
{
	bool dlab = uart->lcr & UART_LCR_DLAB;

	switch (offset) {
	case REG_DATA:
		return dlab ? uart->divisor : rx_get(uart);
	case REG_IER:
		return dlab ? uart->divisor >> 8 : uart->ier;
	case REG_IIR:
		return read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return read_lsr(uart);
	case REG_MSR:
		return read_msr(uart);
	default:
		return uart->scr;
	}
}

static u64 ns16550_read(void *dev, u64 offset, unsigned size)
{
	struct ns16550 *uart = dev;
	u8 value = read_register(uart, offset);

	update_irq(uart);
	return value;
}

static void write_thr(struct ns16550 *uart, u8 byte)
{
	if (uart->mcr & UART_MCR_LOOP)
		rx_put(uart, byte);
	else if (uart->tx)
		uart->tx(uart->opaque, &byte, 1);
	/* Gone already: each write is a new transition to empty, even if the last was not noticed. */
	uart->thre_pending = 0;
	update_irq(uart);
	uart->thre_pending = 1;
}

static void write_ier(struct ns16550 *uart, u8 value)
{
	/* Enabling it while THR is empty interrupts at once, whether or not IIR was read before. */
	if ((value ^ uart->ier) & UART_IER_THRE)
		uart->thre_pending = !!(value & UART_IER_THRE);
	uart->ier = value & 0x0f;
}

static void write_fcr(struct ns16550 *uart, u8 value)
{
	bool toggled = (value ^ uart->fcr) & UART_FCR_ENABLE;

	/* The other bits count only together with the enable bit. */
	uart->fcr = value & UART_FCR_ENABLE ? value & (UART_FCR_ENABLE | FCR_TRIGGER) : 0;
	if (toggled || (fifo_enabled(uart) && (value & UART_FCR_CLEAR_RX)))
		rx_clear(uart);
	else
		restart_timeout(uart);
}

static void write_register(struct ns16550 *uart, u64 offset, u8 value)
{
	bool dlab = uart->lcr & UART_LCR_DLAB;

	switch (offset) {
	case REG_DATA:
		if (dlab)
			uart->divisor = (uart->divisor & 0xff00) | value;
		else
			write_thr(uart, value);
		break;
	case REG_IER:
		if (dlab)
			uart->divisor = (uart->divisor & 0x00ff) | value << 8;
		else
			write_ier(uart, value);
		break;
	case REG_IIR:
		write_fcr(uart, value);
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart->mcr = value & 0x1f;
		update_modem(uart);
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	}
}

static void ns16550_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct ns16550 *uart = dev;

	write_register(uart, offset, value);
	update_irq(uart);
}

size_t ns16550_room(const struct ns16550 *uart)
{
	/* In loopback the serial input is disconnected. */
	if (uart->mcr & UART_MCR_LOOP)
		return 0;
	return rx_capacity(uart) - uart->rx_count;
}

size_t ns16550_receive(struct ns16550 *uart, const u8 *buf, size_t len)
{
	size_t n = min64(len, ns16550_room(uart));

	for (size_t i = 0; i < n; i++)
		rx_put(uart, buf[i]);
	update_irq(uart);
	return n;
}

const struct bus_region ns16550_regions[] = {
    {.len = NS16550_PORTS, .name = "serial", .read = ns16550_read, .write = ns16550_write, .width = 1},
    {.len = 0},
};

static void ns16550_reset(struct device *dev)
{
	struct ns16550 *uart = container_of(dev, struct ns16550, dev);
	struct ns16550 fresh = uart_reset;

	clock_timer_cancel(&uart->timeout);
	fresh.dev = uart->dev;
	fresh.timeout = uart->timeout;
	fresh.clock = uart->clock;
	fresh.irq = uart->irq;
	fresh.tx = uart->tx;
	fresh.opaque = uart->opaque;
	irq_set(&uart->irq, false);
	*uart = fresh;
}

/* A hostile checkpoint may hold any value. */
static void ns16550_loaded(struct device *dev)
{
	struct ns16550 *uart = container_of(dev, struct ns16550, dev);

	uart->ier &= 0x0f;
	uart->mcr &= 0x1f;
	uart->fcr = fifo_enabled(uart) ? uart->fcr & (UART_FCR_ENABLE | FCR_TRIGGER) : 0;
	uart->rx_head %= NS16550_FIFO;
	uart->rx_count = min64(uart->rx_count, rx_capacity(uart));
	uart->irq_level = !!uart->irq_level;
}

static const struct field ns16550_fields[] = {
    FIELD(struct ns16550, ier),
    FIELD(struct ns16550, fcr),
    FIELD(struct ns16550, lcr),
    FIELD(struct ns16550, mcr),
    FIELD(struct ns16550, lsr),
    FIELD(struct ns16550, msr),
    FIELD(struct ns16550, scr),
    FIELD(struct ns16550, divisor),
    FIELD_BLOB(struct ns16550, rx),
    FIELD(struct ns16550, rx_head),
    FIELD(struct ns16550, rx_count),
    FIELD(struct ns16550, thre_pending),
    FIELD(struct ns16550, timeout_pending),
    FIELD(struct ns16550, irq_level),
    FIELD_CLOCK_TIMER(struct ns16550, timeout),
    FIELD_END,
};

static const struct device_class ns16550_class = {
    .name = "16550a",
    .fields = ns16550_fields,
    .reset = ns16550_reset,
    .loaded = ns16550_loaded,
};

void ns16550_init(struct ns16550 *uart, const char *id, struct clock *clock, struct irq_line irq,
		  void (*tx)(void *opaque, const u8 *buf, size_t len), void *opaque)
{
	*uart = (struct ns16550){.dev = {&ns16550_class, id}, .clock = clock, .irq = irq, .tx = tx, .opaque = opaque};
	clock_timer_init(clock, &uart->timeout, id, character_timeout, uart);
	ns16550_reset(&uart->dev);
}
