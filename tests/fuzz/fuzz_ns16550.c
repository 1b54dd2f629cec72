/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/ns16550.h"

static const u16 ports[] = {0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff};

static void sent(void *opaque, const u8 *buf, size_t len)
{
	FUZZ_ASSERT(len > 0);
}

static void make(struct fuzz_bench *bench)
{
	struct ns16550 *uart = bench->chips;

	ns16550_init(uart, "serial0", &bench->rig.clock, rig_irq(&bench->rig, 4), sent, NULL);
	rig_add(&bench->rig, ns16550_regions, uart, 0x3f8);
	bench->dev[bench->nr_devices++] = &uart->dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	size_t room = ns16550_room(bench->chips);
	size_t taken = ns16550_receive(bench->chips, buf, len);

	FUZZ_ASSERT(taken == min64(room, len));
	FUZZ_ASSERT(ns16550_room(bench->chips) == room - taken);
	return taken;
}

static void check(struct fuzz_bench *bench)
{
	struct ns16550 *uart = bench->chips;

	FUZZ_ASSERT(uart->rx_head < NS16550_FIFO);
	FUZZ_ASSERT(uart->rx_count <= (uart->fcr & UART_FCR_ENABLE ? NS16550_FIFO : 1));
	FUZZ_ASSERT(!(uart->ier & 0xf0));
}

static const struct fuzz_target target = {
    .size = sizeof(struct ns16550),
    .ports = ports,
    .nr_ports = ARRAY_SIZE(ports),
    .make = make,
    .input = input,
    .check = check,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(&target, data, size);
	return 0;
}
