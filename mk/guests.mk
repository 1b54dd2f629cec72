# SPDX-License-Identifier: GPL-2.0-or-later
# Freestanding kernels: the guests of the tests and of the demo. Always gcc; a name ending in 32 is a 32-bit one.

GUEST      := $(BUILD)/guest
GUESTFLAGS := -std=gnu11 -g -O1 -I. -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -nostdlib -fno-pic -fno-pie \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-builtin \
	-fno-strict-aliasing -MMD -MP
GUESTLD    := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

GUEST_SRC := $(sort $(wildcard tests/guest/*.c))
GUEST32   := $(patsubst tests/guest/%.c,$(GUEST)/%.elf,$(filter %32.c,$(GUEST_SRC)))
GUEST64   := $(patsubst tests/guest/%.c,$(GUEST)/%.elf,$(filter %64.c,$(GUEST_SRC)))
# Plain ELF64 without a Multiboot header: one file each, no library.
PLAIN64   := $(patsubst tests/guest/%.S,$(GUEST)/%.elf,$(wildcard tests/guest/*64.S))
GUESTS    := $(GUEST32) $(GUEST64) $(PLAIN64)

guests: $(GUESTS)

GUESTLIB32 := $(addprefix $(GUEST)/32/tests/guest/lib/,start32.S.o trap32.S.o print.o trap32.o)
SYSLIB32   := $(addprefix $(GUEST)/32/tests/guest/lib/,sys.o ring.S.o access.S.o)
GUESTLIB64 := $(addprefix $(GUEST)/64/tests/guest/lib/,start64.S.o trap64.S.o print.o trap64.o paging64.o)
SYSLIB64   := $(addprefix $(GUEST)/64/tests/guest/lib/,sys.o ring.S.o access.S.o)
GUESTLINK  := tests/guest/lib/link.ld

define guestobjects
$(GUEST)/$(1)/%.S.o: %.S mk/guests.mk | $(DEPS_OK)
	$$(call say,GUEST,$$<)mkdir -p $$(@D) && gcc -m$(1) $(GUESTFLAGS) -c -o $$@ $$<
$(GUEST)/$(1)/%.o: %.c mk/guests.mk | $(DEPS_OK)
	$$(call say,GUEST,$$<)mkdir -p $$(@D) && gcc -m$(1) $(if $(filter 64,$(1)),-mno-red-zone) $(GUESTFLAGS) -c -o $$@ $$<
endef
$(eval $(call guestobjects,32))
$(eval $(call guestobjects,64))

$(filter $(GUEST)/sys_%,$(GUEST32)): $(SYSLIB32)
$(filter $(GUEST)/sys_%,$(GUEST64)): $(SYSLIB64)
$(GUEST32): $(GUEST)/%.elf: $(GUEST)/32/tests/guest/%.o $(GUESTLIB32) $(GUESTLINK)
	$(call say,GUEST,$@)gcc -m32 $(GUESTLD) -Wl,-T,$(GUESTLINK) -o $@ $(filter %.o,$^)
$(GUEST64): $(GUEST)/%.elf: $(GUEST)/64/tests/guest/%.o $(GUESTLIB64) $(GUESTLINK)
	$(call say,GUEST,$@)gcc -m64 $(GUESTLD) -Wl,-T,$(GUESTLINK) -o $@ $(filter %.o,$^)
$(PLAIN64): $(GUEST)/%.elf: $(GUEST)/64/tests/guest/%.S.o
	$(call say,GUEST,$@)gcc -m64 $(GUESTLD) -Wl,-Ttext=0x200000 -o $@ $<

# The system-level guests under vmdbg, QEMU and Bochs.

SYSTEM_DEPS := $(BUILD)/deps-system.ok
$(SYSTEM_DEPS): deps.txt
	$(Q)mk/deps.sh deps.txt install system
	$(Q)mkdir -p $(@D) && touch $@

$(BUILD)/system/bootsector.bin: tests/system/bootsector.S | $(DEPS_OK)
	$(call say,GUEST,$<)mkdir -p $(@D) && gcc -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x7c00 \
	-Wl,--oformat=binary -o $@ $<

check-system: all guests $(BUILD)/system/bootsector.bin | $(SYSTEM_DEPS)
	$(Q)$(TESTENV) tests/system/three_way.py --doc docs/cpu-system.md
.PHONY: check-system

# The demo kernel, and the demo.

DEMO      := $(BUILD)/demo
DEMO_OBJ  := $(patsubst %,$(DEMO)/%.o,$(basename $(sort $(wildcard demo/*.c demo/*.S))))
DEMOFLAGS := $(GUESTFLAGS) -m64 -mno-red-zone -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-inline

$(DEMO)/%.o: %.c mk/guests.mk | $(DEPS_OK)
	$(call say,GUEST,$<)mkdir -p $(@D) && gcc $(DEMOFLAGS) -c -o $@ $<
$(DEMO)/%.o: %.S mk/guests.mk | $(DEPS_OK)
	$(call say,GUEST,$<)mkdir -p $(@D) && gcc $(DEMOFLAGS) -c -o $@ $<
$(DEMO)/demo.elf: $(DEMO_OBJ) $(GUESTLINK)
	$(call say,GUEST,$@)gcc -m64 $(GUESTLD) -Wl,-T,$(GUESTLINK) -o $@ $(DEMO_OBJ)
guests: $(DEMO)/demo.elf

demo: all $(DEMO)/demo.elf
	$(Q)sh demo/run.sh ./$(PROGRAM) $(DEMO)
