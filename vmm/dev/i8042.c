/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/i8042.h"

enum controller_command {
	CTL_READ_RAM = 0x20, /* to 3Fh */
	CTL_READ_CTR = 0x20,
	CTL_WRITE_RAM = 0x60, /* to 7Fh */
	CTL_WRITE_CTR = 0x60,
	CTL_AUX_DISABLE = 0xa7,
	CTL_AUX_ENABLE = 0xa8,
	CTL_AUX_TEST = 0xa9,
	CTL_SELF_TEST = 0xaa,
	CTL_KBD_TEST = 0xab,
	CTL_KBD_DISABLE = 0xad,
	CTL_KBD_ENABLE = 0xae,
	CTL_READ_INPUT = 0xc0,
	CTL_READ_OUTPUT = 0xd0,
	CTL_WRITE_OUTPUT = 0xd1,
	CTL_WRITE_KBD_BUFFER = 0xd2,
	CTL_WRITE_AUX_BUFFER = 0xd3,
	CTL_WRITE_AUX = 0xd4,
	CTL_A20_OFF = 0xdd,
	CTL_A20_ON = 0xdf,
	CTL_PULSE = 0xf0, /* to FFh: output port bits that are 0 in the low four bits are pulsed low */
};

enum keyboard_command {
	KBD_SET_LEDS = 0xed,
	KBD_ECHO = 0xee,
	KBD_SCAN_SET = 0xf0,
	KBD_IDENTIFY = 0xf2,
	KBD_TYPEMATIC = 0xf3,
	KBD_ENABLE = 0xf4,
	KBD_DISABLE = 0xf5,
	KBD_DEFAULTS = 0xf6,
	KBD_KEYS_FIRST = 0xf7, /* to FDh: key types of scan code set 3 */
	KBD_KEYS_LAST = 0xfd,
	KBD_RESEND = 0xfe,
	KBD_RESET = 0xff,
};

#define KBD_ACK       0xfa
#define KBD_BAT_OK    0xaa
#define KBD_NACK      0xfe
#define KBD_ID_1      0xab
#define KBD_ID_2      0x83
#define SELF_TEST_OK  0x55
#define KBD_TEST_OK   0x00
#define AUX_TEST_FAIL 0x02 /* "clock line stuck high": nothing is plugged in */
#define INPUT_PORT    0x80 /* keyboard not locked */
#define BREAK_PREFIX  0xf0

#define LINE_KBD 1
#define LINE_AUX 2

static const struct i8042 kbc_reset = {
    .ctr = I8042_CTR_KBD_INT | I8042_CTR_SYSTEM | I8042_CTR_AUX_OFF | I8042_CTR_XLATE,
    .status = I8042_STATUS_COMMAND,
    .outport = I8042_OUT_RESET | I8042_OUT_A20,
    .kbd_scanning = 1,
    .kbd_set = 2,
};

/* Scan codes of set 2 to set 1 (PS/2 Hardware Interface Technical Reference, keyboard controller translation). */
static const u8 translation[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a,
    0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05,
    0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a,
    0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26,
    0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63,
    0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53,
    0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static u8 translate(u8 code)
{
	if (code < ARRAY_SIZE(translation))
		return translation[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

/* --- queues --- */

static size_t queue_room(const struct i8042_queue *q)
{
	return I8042_QUEUE - q->count;
}

static void queue_put(struct i8042_queue *q, u8 byte)
{
	if (queue_room(q))
		q->byte[(q->head + q->count++) % I8042_QUEUE] = byte;
}

static u8 queue_get(struct i8042_queue *q)
{
	u8 byte = q->byte[q->head];

	q->byte[q->head] = 0;
	q->head = (q->head + 1) % I8042_QUEUE;
	q->count--;
	return byte;
}

static void queue_clear(struct i8042_queue *q)
{
	*q = (struct i8042_queue){.count = 0};
}

/* --- output buffer and interrupts --- */

static void drive(struct i8042 *kbc)
{
	bool full = kbc->status & I8042_STATUS_OBF;
	bool aux = kbc->status & I8042_STATUS_AUX;
	u8 levels = 0;

	if (full && !aux && (kbc->ctr & I8042_CTR_KBD_INT))
		levels |= LINE_KBD;
	if (full && aux && (kbc->ctr & I8042_CTR_AUX_INT))
		levels |= LINE_AUX;
	if ((levels ^ kbc->irq_levels) & LINE_KBD)
		irq_set(&kbc->kbd_irq, levels & LINE_KBD);
	if ((levels ^ kbc->irq_levels) & LINE_AUX)
		irq_set(&kbc->aux_irq, levels & LINE_AUX);
	kbc->irq_levels = levels;
}

/* What the controller itself says overwrites what waits in the output buffer. */
static void output(struct i8042 *kbc, u8 byte, u8 aux)
{
	kbc->data = byte;
	kbc->status = (kbc->status & ~I8042_STATUS_AUX) | I8042_STATUS_OBF | aux;
}

/* Takes a byte from the keyboard into the output buffer. F0h is swallowed by translation, which marks the next one. */
static void from_keyboard(struct i8042 *kbc, u8 byte)
{
	if (!(kbc->ctr & I8042_CTR_XLATE)) {
		kbc->xlate_break = 0;
		output(kbc, byte, 0);
	} else if (byte == BREAK_PREFIX) {
		kbc->xlate_break = 0x80;
	} else {
		output(kbc, translate(byte) | kbc->xlate_break, 0);
		kbc->xlate_break = 0;
	}
}

/* The keyboard sends when its clock line is free: port enabled and output buffer empty. */
static void refill(struct i8042 *kbc)
{
	while (!(kbc->status & I8042_STATUS_OBF) && !(kbc->ctr & I8042_CTR_KBD_OFF)) {
		struct i8042_queue *q = kbc->replies.count ? &kbc->replies : &kbc->keys;

		if (!q->count)
			break;
		kbc->kbd_last = queue_get(q);
		from_keyboard(kbc, kbc->kbd_last);
	}
}

static void settle(struct i8042 *kbc)
{
	refill(kbc);
	drive(kbc);
}

/* --- keyboard --- */

static void reply(struct i8042 *kbc, u8 byte)
{
	queue_put(&kbc->replies, byte);
}

static void keyboard_defaults(struct i8042 *kbc)
{
	kbc->kbd_set = 2;
	kbc->kbd_leds = 0;
}

static void keyboard_parameter(struct i8042 *kbc, u8 value)
{
	u8 command = kbc->kbd_command;

	kbc->kbd_command = 0;
	reply(kbc, KBD_ACK);
	switch (command) {
	case KBD_SET_LEDS:
		kbc->kbd_leds = value & 7;
		break;
	case KBD_SCAN_SET:
		if (!value)
			reply(kbc, kbc->kbd_set);
		else if (value <= 3)
			kbc->kbd_set = value;
		break;
	}
}

static void keyboard_command(struct i8042 *kbc, u8 command)
{
	switch (command) {
	case KBD_SET_LEDS:
	case KBD_SCAN_SET:
	case KBD_TYPEMATIC:
		kbc->kbd_command = command;
		break;
	case KBD_ECHO:
		reply(kbc, KBD_ECHO);
		return;
	case KBD_IDENTIFY:
		reply(kbc, KBD_ACK);
		reply(kbc, KBD_ID_1);
		reply(kbc, KBD_ID_2);
		return;
	case KBD_ENABLE:
		kbc->kbd_scanning = 1;
		break;
	case KBD_DISABLE:
		kbc->kbd_scanning = 0;
		keyboard_defaults(kbc);
		break;
	case KBD_DEFAULTS:
		keyboard_defaults(kbc);
		break;
	case KBD_KEYS_FIRST ... KBD_KEYS_LAST:
		break;
	case KBD_RESEND:
		reply(kbc, kbc->kbd_last);
		return;
	case KBD_RESET:
		kbc->kbd_scanning = 1;
		keyboard_defaults(kbc);
		queue_clear(&kbc->keys);
		reply(kbc, KBD_ACK);
		reply(kbc, KBD_BAT_OK);
		return;
	default:
		reply(kbc, KBD_NACK);
		return;
	}
	reply(kbc, KBD_ACK);
}

static void keyboard_write(struct i8042 *kbc, u8 value)
{
	/* Sending to the keyboard turns its port on. */
	kbc->ctr &= ~I8042_CTR_KBD_OFF;
	/* No parameter has the high bit set, so such a byte is a new command. */
	if (kbc->kbd_command && value < 0x80) {
		keyboard_parameter(kbc, value);
		return;
	}
	kbc->kbd_command = 0;
	keyboard_command(kbc, value);
}

/* --- controller --- */

static void pulse_reset(struct i8042 *kbc)
{
	if (kbc->reset)
		kbc->reset(kbc->opaque);
}

static void set_outport(struct i8042 *kbc, u8 value)
{
	kbc->outport = value;
	irq_set(&kbc->a20, value & I8042_OUT_A20);
}

static void write_outport(struct i8042 *kbc, u8 value)
{
	set_outport(kbc, value);
	if (!(value & I8042_OUT_RESET))
		pulse_reset(kbc);
}

static void controller_data(struct i8042 *kbc, u8 value)
{
	u8 command = kbc->command;

	kbc->command = 0;
	switch (command) {
	case CTL_WRITE_CTR:
		kbc->ctr = value;
		break;
	case CTL_WRITE_CTR + 1 ... CTL_WRITE_RAM + 31:
		kbc->ram[command - CTL_WRITE_RAM] = value;
		break;
	case CTL_WRITE_OUTPUT:
		write_outport(kbc, value);
		break;
	case CTL_WRITE_KBD_BUFFER:
		output(kbc, value, 0);
		break;
	case CTL_WRITE_AUX_BUFFER:
		/* Comes back without the AUX bit: there is no auxiliary port, which drivers recognize at once. */
		output(kbc, value, 0);
		break;
	case CTL_WRITE_AUX:
		output(kbc, KBD_NACK, I8042_STATUS_AUX);
		break;
	default:
		keyboard_write(kbc, value);
		break;
	}
}

/* The output port as read: bits 4 and 5 are the interrupt lines. */
static u8 read_outport(const struct i8042 *kbc)
{
	return (kbc->outport & 0xcf) | (kbc->irq_levels & (LINE_KBD | LINE_AUX)) << 4;
}

static void self_test(struct i8042 *kbc)
{
	queue_clear(&kbc->replies);
	queue_clear(&kbc->keys);
	kbc->xlate_break = 0;
	kbc->ctr |= I8042_CTR_SYSTEM;
	output(kbc, SELF_TEST_OK, 0);
}

static void controller_command(struct i8042 *kbc, u8 command)
{
	kbc->command = 0;
	switch (command) {
	case CTL_READ_CTR:
		output(kbc, kbc->ctr, 0);
		break;
	case CTL_READ_CTR + 1 ... CTL_READ_RAM + 31:
		output(kbc, kbc->ram[command - CTL_READ_RAM], 0);
		break;
	case CTL_WRITE_RAM ... CTL_WRITE_RAM + 31:
	case CTL_WRITE_OUTPUT ... CTL_WRITE_AUX:
		kbc->command = command;
		break;
	case CTL_AUX_DISABLE:
		kbc->ctr |= I8042_CTR_AUX_OFF;
		break;
	case CTL_AUX_ENABLE:
		kbc->ctr &= ~I8042_CTR_AUX_OFF;
		break;
	case CTL_AUX_TEST:
		output(kbc, AUX_TEST_FAIL, 0);
		break;
	case CTL_SELF_TEST:
		self_test(kbc);
		break;
	case CTL_KBD_TEST:
		output(kbc, KBD_TEST_OK, 0);
		break;
	case CTL_KBD_DISABLE:
		kbc->ctr |= I8042_CTR_KBD_OFF;
		break;
	case CTL_KBD_ENABLE:
		kbc->ctr &= ~I8042_CTR_KBD_OFF;
		break;
	case CTL_READ_INPUT:
		output(kbc, INPUT_PORT, 0);
		break;
	case CTL_READ_OUTPUT:
		output(kbc, read_outport(kbc), 0);
		break;
	case CTL_A20_OFF:
		set_outport(kbc, kbc->outport & ~I8042_OUT_A20);
		break;
	case CTL_A20_ON:
		set_outport(kbc, kbc->outport | I8042_OUT_A20);
		break;
	case CTL_PULSE ... 0xff:
		if (!(command & I8042_OUT_RESET))
			pulse_reset(kbc);
		break;
	}
}

static u8 read_data(struct i8042 *kbc)
{
	kbc->status &= ~(I8042_STATUS_OBF | I8042_STATUS_AUX);
	/* The line falls before the next byte raises it: an edge for each byte. */
	drive(kbc);
	return kbc->data;
}

static u8 read_status(const struct i8042 *kbc)
{
	return kbc->status | I8042_STATUS_NO_LOCK | (kbc->ctr & I8042_CTR_SYSTEM);
}

static u64 data_read(void *dev, u64 offset, unsigned size)
{
	struct i8042 *kbc = dev;
	u8 value = read_data(kbc);

	settle(kbc);
	return value;
}

static u64 status_read(void *dev, u64 offset, unsigned size)
{
	return read_status(dev);
}

static void data_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8042 *kbc = dev;

	kbc->status &= ~I8042_STATUS_COMMAND;
	controller_data(kbc, value);
	settle(kbc);
}

static void command_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8042 *kbc = dev;

	kbc->status |= I8042_STATUS_COMMAND;
	controller_command(kbc, value);
	settle(kbc);
}

const struct bus_region i8042_regions[] = {
    {.base = 0x60, .len = 1, .name = "kbc-data", .read = data_read, .write = data_write, .width = 1},
    {.base = 0x64, .len = 1, .name = "kbc-command", .read = status_read, .write = command_write, .width = 1},
    {.len = 0},
};

size_t i8042_room(const struct i8042 *kbc)
{
	return queue_room(&kbc->keys);
}

size_t i8042_key(struct i8042 *kbc, const u8 *codes, size_t len)
{
	size_t n = min64(len, i8042_room(kbc));

	/* A keyboard that was told not to scan drops what is typed. */
	for (size_t i = 0; i < n && kbc->kbd_scanning; i++)
		queue_put(&kbc->keys, codes[i]);
	settle(kbc);
	return n;
}

static void i8042_reset(struct device *dev)
{
	struct i8042 *kbc = container_of(dev, struct i8042, dev);
	struct i8042 fresh = kbc_reset;

	fresh.dev = kbc->dev;
	fresh.kbd_irq = kbc->kbd_irq;
	fresh.aux_irq = kbc->aux_irq;
	fresh.a20 = kbc->a20;
	fresh.reset = kbc->reset;
	fresh.opaque = kbc->opaque;
	*kbc = fresh;
	irq_set(&kbc->kbd_irq, false);
	irq_set(&kbc->aux_irq, false);
	set_outport(kbc, kbc->outport);
}

static void queue_loaded(struct i8042_queue *q)
{
	q->head %= I8042_QUEUE;
	q->count = min64(q->count, I8042_QUEUE);
}

/* A hostile checkpoint may hold any value. */
static void i8042_loaded(struct device *dev)
{
	struct i8042 *kbc = container_of(dev, struct i8042, dev);

	queue_loaded(&kbc->replies);
	queue_loaded(&kbc->keys);
	kbc->status &= I8042_STATUS_OBF | I8042_STATUS_COMMAND | I8042_STATUS_AUX;
	kbc->irq_levels &= LINE_KBD | LINE_AUX;
	kbc->xlate_break &= 0x80;
	set_outport(kbc, kbc->outport);
}

static const struct field i8042_fields[] = {
    FIELD(struct i8042, ctr),
    FIELD(struct i8042, status),
    FIELD(struct i8042, data),
    FIELD(struct i8042, command),
    FIELD(struct i8042, outport),
    FIELD_BLOB(struct i8042, ram),
    FIELD(struct i8042, irq_levels),
    FIELD_BLOB(struct i8042, replies.byte),
    FIELD(struct i8042, replies.head),
    FIELD(struct i8042, replies.count),
    FIELD_BLOB(struct i8042, keys.byte),
    FIELD(struct i8042, keys.head),
    FIELD(struct i8042, keys.count),
    FIELD(struct i8042, kbd_command),
    FIELD(struct i8042, kbd_scanning),
    FIELD(struct i8042, kbd_set),
    FIELD(struct i8042, kbd_leds),
    FIELD(struct i8042, kbd_last),
    FIELD(struct i8042, xlate_break),
    FIELD_END,
};

static const struct device_class i8042_class = {
    .name = "8042",
    .fields = i8042_fields,
    .reset = i8042_reset,
    .loaded = i8042_loaded,
};

void i8042_init(struct i8042 *kbc, const char *id, struct irq_line kbd_irq, struct irq_line aux_irq,
		void (*reset)(void *opaque), void *opaque)
{
	*kbc = (struct i8042){
	    .dev = {&i8042_class, id},
	    .kbd_irq = kbd_irq,
	    .aux_irq = aux_irq,
	    .reset = reset,
	    .opaque = opaque,
	};
	i8042_reset(&kbc->dev);
}
