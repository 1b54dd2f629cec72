/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders on arbitrary kernel files. The input: a byte of options, then the file. */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/pc/boot.h"

#define RAM (20ull << 20)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct machine machine;
	static struct vcpu vcpu;
	static const struct engine_ops no_engine = {.name = "none"};
	static const u8 initrd[5000];
	struct boot_spec spec = {.append = "console=ttyS0"};
	struct error err = {""};
	char *what;
	int rc;

	if (!size)
		return 0;
	memset(&machine, 0, sizeof(machine));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.engine = &no_engine;
	machine.vcpu[0] = &vcpu;
	machine.config.ram = RAM;
	machine.config.vcpus = 1;
	if (memory_init(&machine.mem, RAM, &err))
		abort();
	spec.kind = (data[0] & 7) % 6;
	if (spec.kind == BOOT_BIOS)
		spec.append = NULL;
	spec.inguest = data[0] & 8;
	if (data[0] & 16)
		spec.initrd = (struct boot_file){"initrd", initrd, sizeof(initrd)};
	spec.flat_address = (u64)(data[0] >> 5) << 18;
	spec.kernel = (struct boot_file){"kernel", data + 1, size - 1};
	rc = boot_load(&machine, &spec, &what, &err);
	if (rc ? what || !err.text[0] : !what)
		abort();
	free(what);
	memory_free(&machine.mem);
	return 0;
}
