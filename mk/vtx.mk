# SPDX-License-Identifier: GPL-2.0-or-later
# The VT-x module, and its tests inside Bochs. The module is built in a copy, so that nothing is written beside its sources.

MODULE_SRC := $(sort $(wildcard vmm/vtx/module/*))
MODULE     := $(BUILD)/module
KDIR       ?= /lib/modules/$(shell uname -r)/build
MODULE_VERSION := 1
HOSTDIR    := $(BUILD)/host

.PHONY: module module-install module-sparse module-clang check-vtx check-vtx-mutants check-vtx-linux

# $(1): where to, $(2): the kernel's build folder, $(3): more for make
define build_module
mkdir -p $(1) && cp -u $(MODULE_SRC) $(1)/ && \
	$(MAKE) --no-print-directory -C $(2) M=$(abspath $(1)) $(3) modules >$(1)/build.log 2>&1 || \
	{ cat $(1)/build.log >&2; false; }
endef

module:
	$(Q)test -d $(KDIR) || { echo 'module: no kernel headers at $(KDIR); install them or set KDIR' >&2; exit 1; }
	$(Q)$(call build_module,$(MODULE),$(KDIR),)
	@echo '  MODULE  $(MODULE)/vmdbg.ko'

# With DKMS where it is, so that the module is built anew for every kernel; else for the running one.
module-install: module
	$(Q)if command -v dkms >/dev/null; then \
		install -d $(DESTDIR)/usr/src/vmdbg-$(MODULE_VERSION) && \
		install -m 644 $(MODULE_SRC) $(DESTDIR)/usr/src/vmdbg-$(MODULE_VERSION) && \
		dkms install --force vmdbg/$(MODULE_VERSION); \
	else \
		$(MAKE) -C $(KDIR) M=$(abspath $(MODULE)) modules_install && depmod; \
	fi
	$(Q)getent group vmdbg >/dev/null || groupadd --system vmdbg
	$(Q)install -D -m 644 vmm/vtx/module/70-vmdbg.rules $(DESTDIR)/etc/udev/rules.d/70-vmdbg.rules

# What runs inside Bochs needs Debian's cloud kernel and its headers, whatever kernel runs here.

VTX_DEPS := $(BUILD)/deps-vtx.ok
$(VTX_DEPS): deps.txt
	$(Q)mk/deps.sh deps.txt install vtx
	$(Q)mkdir -p $(@D) && touch $@

HOST_KDIR = $(lastword $(sort $(wildcard /usr/src/linux-headers-*-cloud-amd64)))

$(HOSTDIR)/vmdbg.ko: $(MODULE_SRC) | $(VTX_DEPS)
	$(call say,MODULE,$@)$(call build_module,$(HOSTDIR)/module,$(HOST_KDIR),)
	$(Q)strip -g -o $@ $(HOSTDIR)/module/vmdbg.ko

module-sparse: | $(VTX_DEPS)
	$(Q)$(call build_module,$(HOSTDIR)/sparse,$(HOST_KDIR),C=2 CHECK="sparse")
	$(Q)! grep -E '^$(abspath $(HOSTDIR))/sparse/[a-z_]*\.[ch]:.*(warning|error)' $(HOSTDIR)/sparse/build.log
	@echo '  SPARSE  no warning'

module-clang: | $(VTX_DEPS)
	$(Q)$(call build_module,$(HOSTDIR)/clang,$(HOST_KDIR),CC=$(abspath tests/host/kernel-clang.sh))
	@echo '  CLANG   $(HOSTDIR)/clang/vmdbg.ko'

HOST_TESTS := $(addprefix $(HOSTDIR)/bin/,abi unstepped shadow lockstep freely fuzz bench beside smp)
HOST_OBJ   := $(OBJ)/tests/host

$(HOSTDIR)/bin/lockstep $(HOSTDIR)/bin/freely: $(HOSTDIR)/bin/%: $(HOST_OBJ)/%.o $(LIB)
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(MODEFLAGS) -o $@ $^ $(LIBS)
$(addprefix $(HOSTDIR)/bin/,abi unstepped shadow fuzz bench beside smp): $(HOSTDIR)/bin/%: $(HOST_OBJ)/%.o $(HOST_OBJ)/vm.o
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(MODEFLAGS) -static -o $@ $^
$(HOSTDIR)/bin/e9: $(HOST_OBJ)/e9.o
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(MODEFLAGS) -static -o $@ $^
$(HOSTDIR)/image: $(HOST_OBJ)/image.o $(LIB)
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(MODEFLAGS) -o $@ $^ $(LIBS)
$(HOSTDIR)/boot.bin: tests/host/boot.S | $(DEPS_OK)
	$(call say,LD,$@)mkdir -p $(@D) && gcc -c -o $(HOSTDIR)/boot.o $< && \
	ld -m elf_x86_64 --oformat binary -Ttext 0x7c00 -o $@ $(HOSTDIR)/boot.o

HOST_FILES := $(HOST_TESTS) $(HOSTDIR)/bin/e9 $(HOSTDIR)/image $(HOSTDIR)/boot.bin $(HOSTDIR)/vmdbg.ko
HOSTENV     = VMDBG=./$(PROGRAM) BUILD=$(BUILD) HOSTDIR=$(HOSTDIR)

check-vtx: all guests $(HOST_FILES) module-sparse
	$(Q)$(HOSTENV) python3 tests/host/check_vtx.py
check-vtx-mutants: all guests $(HOST_FILES)
	$(Q)$(HOSTENV) HOST_KDIR=$(HOST_KDIR) python3 tests/host/mutants.py
# Debian's own kernel as the guest, as far as it gets in the time given. Not part of check-vtx.
check-vtx-linux: all guests $(HOST_FILES)
	$(Q)$(HOSTENV) python3 tests/host/check_vtx.py --linux

# Guests of these tests alone.

HOST_GUESTS := $(addprefix $(HOSTDIR)/guest/,mix64.elf free64.elf edges64.elf real16.elf)

$(addprefix $(HOSTDIR)/guest/,mix64.elf free64.elf edges64.elf): $(HOSTDIR)/guest/%.elf: $(GUEST)/64/tests/host/guest/%.o $(GUESTLIB64) $(GUESTLINK)
	$(call say,GUEST,$@)mkdir -p $(@D) && gcc -m64 $(GUESTLD) -Wl,-T,$(GUESTLINK) -o $@ $(filter %.o,$^)
$(HOSTDIR)/guest/real16.elf: $(GUEST)/32/tests/host/guest/real16.S.o $(GUESTLINK)
	$(call say,GUEST,$@)mkdir -p $(@D) && gcc -m32 $(GUESTLD) -Wl,-T,$(GUESTLINK) -o $@ $(filter %.o,$^)
check-vtx check-vtx-mutants check-vtx-linux: $(HOST_GUESTS)
