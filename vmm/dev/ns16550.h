/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A UART. Source: National Semiconductor PC16550D data sheet.
 *
 * Sending takes no time: a byte written to THR has left, and THR is empty again, when the write returns. The interrupt
 * line is gated by MCR OUT2, as on the PC. */
#ifndef VMM_DEV_NS16550_H
#define VMM_DEV_NS16550_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define NS16550_FIFO  16
#define NS16550_PORTS 8
#define NS16550_HZ    1843200ull /* 16 times the highest bit rate */

#define UART_IER_RDA      0x01 /* received data available */
#define UART_IER_THRE     0x02
#define UART_IER_LINE     0x04
#define UART_IER_MODEM    0x08
#define UART_IIR_NONE     0x01
#define UART_IIR_MODEM    0x00
#define UART_IIR_THRE     0x02
#define UART_IIR_RDA      0x04
#define UART_IIR_LINE     0x06
#define UART_IIR_TIMEOUT  0x0c
#define UART_IIR_FIFO     0xc0
#define UART_FCR_ENABLE   0x01
#define UART_FCR_CLEAR_RX 0x02
#define UART_FCR_CLEAR_TX 0x04
#define UART_LCR_STOP     0x04
#define UART_LCR_PARITY   0x08
#define UART_LCR_DLAB     0x80
#define UART_MCR_DTR      0x01
#define UART_MCR_RTS      0x02
#define UART_MCR_OUT1     0x04
#define UART_MCR_OUT2     0x08
#define UART_MCR_LOOP     0x10
#define UART_LSR_DR       0x01
#define UART_LSR_OE       0x02
#define UART_LSR_ERRORS   0x1e /* OE, PE, FE, BI */
#define UART_LSR_THRE     0x20
#define UART_LSR_TEMT     0x40
#define UART_MSR_DCTS     0x01
#define UART_MSR_DDSR     0x02
#define UART_MSR_TERI     0x04
#define UART_MSR_DDCD     0x08
#define UART_MSR_DELTAS   0x0f
#define UART_MSR_CTS      0x10
#define UART_MSR_DSR      0x20
#define UART_MSR_RI       0x40
#define UART_MSR_DCD      0x80

struct ns16550 {
	struct device dev;
	u8 ier, fcr, lcr, mcr, lsr, msr, scr;                /* [S] */
	u16 divisor;                                         /* [S] */
	u8 rx[NS16550_FIFO];                                 /* [S] */
	u8 rx_head, rx_count;                                /* [S] */
	u8 thre_pending;                                     /* [S] the THRE interrupt has not been seen in IIR yet */
	u8 timeout_pending;                                  /* [S] character timeout */
	u8 irq_level;                                        /* [S] what the line was last driven to */
	struct clock_timer timeout;                          /* [S] four character times without a byte in or out */
	struct clock *clock;                                 /* [H] */
	struct irq_line irq;                                 /* [H] */
	void (*tx)(void *opaque, const u8 *buf, size_t len); /* [H] what was sent, in order; may be NULL */
	void *opaque;                                        /* [H] */
};

void ns16550_init(struct ns16550 *uart, const char *id, struct clock *clock, struct irq_line irq,
		  void (*tx)(void *opaque, const u8 *buf, size_t len), void *opaque);

/* Bytes that can be received now without an overrun; 0 in loopback mode. */
size_t ns16550_room(const struct ns16550 *uart);

/* Receives up to ns16550_room() bytes from the line; returns how many. */
size_t ns16550_receive(struct ns16550 *uart, const u8 *buf, size_t len);

/* One region of 8 ports whose base and name the wiring fills in; then an entry of length 0. */
extern const struct bus_region ns16550_regions[];

#endif
