# SPDX-License-Identifier: GPL-2.0-or-later
# vmdbg. `make help` lists the targets.

MODE   ?= rel
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
V      ?= 0
BUILD  ?= build

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
ifeq (,$(filter -j% --jobserver%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

clang   := $(findstring clang,$(notdir $(CC)))
VARIANT := $(if $(clang),clang-)$(MODE)
OBJ     := $(BUILD)/$(VARIANT)
PROGRAM := $(if $(filter rel,$(VARIANT)),vmdbg,$(OBJ)/vmdbg)

# Flags

MODEFLAGS_rel   := -O2 -fno-plt
MODEFLAGS_dbg   := -Og -fno-omit-frame-pointer
MODEFLAGS_asan  := -O1 -fno-omit-frame-pointer -fsanitize=address
MODEFLAGS_ubsan := -O1 -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=all
MODEFLAGS_cov   := -O0 --coverage
MODEFLAGS_fuzz  := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq (,$(MODEFLAGS_$(MODE)))
$(error MODE=$(MODE): one of rel, dbg, asan, ubsan, cov)
endif

ifneq (,$(filter asan ubsan cov,$(MODE)))
# Instrumented code loses the value ranges these two rest on; they then warn of what cannot be.
MODEFLAGS_$(MODE) += $(if $(clang),,-Wno-format-truncation -Wno-maybe-uninitialized)
endif

WARNINGS := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes
BASE     := -std=gnu11 -D_GNU_SOURCE -g -I. $(WARNINGS)
DEPFLAGS  = -MMD -MP
# The interpreter computes guest floating point with the host's SSE unit in the guest's rounding mode.
SOFTFLAGS := -msse4.2 -fno-strict-aliasing -frounding-math -ffp-contract=off
# What the file's folder adds.
dirflags  = $(if $(filter vmm/soft/% tests/unit/% tests/fuzz/% tests/cpu/%,$(1)),$(SOFTFLAGS))

LIBS      := -Wl,--as-needed -lZydis -lZycore -lzstd -lxxhash -llzma -lbz2 -llz4 -llzo2 -lz -ljansson -lm
TESTLIBS  := -lcheck -lsubunit -lrt -lpthread

# Sources

LIB_SRC  := $(sort $(wildcard vmm/*.c vmm/*/*.c replay/*.c traces/*.c gdbstub/*.c introspect/*.c) vmm/vtx/module/insn.c)
PROG_SRC := $(sort $(wildcard vmdbg.c cmd/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_AUX := $(sort $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FORMATTED := $(sort $(wildcard *.[ch] */*.[ch] */*/*.[ch] */*/*/*.[ch]))
FORMATTED := $(filter-out $(BUILD)/% build/%,$(FORMATTED))

LIB   := $(OBJ)/libvmdbg.a
UNITS := $(UNIT_SRC:%.c=$(OBJ)/%)

.PHONY: all deps demo check check-quick check-tools check-guests check-real check-asan check-ubsan fuzz fuzz-short bench bench-gdb units guests \
	install uninstall format check-format clean help
all: $(PROGRAM)

# Packages: nothing is compiled before they are there. The program and the demo do without those of the tests.

DEPS_PART := $(if $(filter-out all demo guests install compile_commands.json,$(or $(MAKECMDGOALS),all)),all,build)
DEPS_OK   := $(BUILD)/deps-$(DEPS_PART).ok
deps:
	$(Q)mk/deps.sh deps.txt
ifeq (,$(filter clean help uninstall deps,$(or $(MAKECMDGOALS),all)))
ifneq (0,$(shell mk/deps.sh deps.txt check $(DEPS_PART) >/dev/null 2>&1; echo $$?))
.PHONY: $(DEPS_OK)
endif
endif
$(DEPS_OK): deps.txt
	$(Q)mk/deps.sh deps.txt install $(DEPS_PART)
	$(Q)mkdir -p $(@D) && touch $@

# Compiling. $(1): object folder, $(2): compiler, $(3): the mode's flags.

define objects
$(1)/%.o: %.c Makefile | $(DEPS_OK)
	$$(call say,CC,$$<)mkdir -p $$(@D) && $(2) $$(BASE) $(3) $$(call dirflags,$$<) $$(CFLAGS) $$(DEPFLAGS) -c -o $$@ $$<

$(1)/libvmdbg.a: $(LIB_SRC:%.c=$(1)/%.o)
	$$(call say,AR,$$@)rm -f $$@.new && ar rcs $$@.new $$(filter %.o,$$^) && mv $$@.new $$@
endef

MODEFLAGS := $(MODEFLAGS_$(MODE))
$(eval $(call objects,$(OBJ),$(CC),$(MODEFLAGS)))

$(PROGRAM): $(PROG_SRC:%.c=$(OBJ)/%.o) $(LIB)
	$(call say,LD,$@)$(CC) $(MODEFLAGS) $(LDFLAGS) -o $(OBJ)/vmdbg.new $^ $(LIBS) && mv $(OBJ)/vmdbg.new $@

$(UNITS): $(OBJ)/%: $(OBJ)/%.o $(UNIT_AUX:%.c=$(OBJ)/%.o) $(LIB)
	$(call say,LD,$@)$(CC) $(MODEFLAGS) $(LDFLAGS) -o $@ $^ $(TESTLIBS) $(LIBS)
units: $(UNITS)

include mk/cpu.mk

# Fuzz targets: always clang, objects of their own.

FUZZ    := $(BUILD)/fuzz
FUZZERS := $(FUZZ_SRC:%.c=$(FUZZ)/%)
$(eval $(call objects,$(FUZZ),clang,$(MODEFLAGS_fuzz)))
$(FUZZERS): $(FUZZ)/%: $(FUZZ)/%.o $(FUZZ)/libvmdbg.a
	$(call say,LD,$@)clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

-include mk/guests.mk
-include mk/vtx.mk
-include mk/coverage.mk

# Tests. tests/lib/collect.py runs them, counts their cases and prints the closing line.

COLLECT := python3 tests/lib/collect.py
TOOLS   := $(sort $(wildcard tests/tools/test_*))
E2E     := $(sort $(wildcard tests/replay/test_*.py tests/replay/test_*.sh tests/gdb/test_*.py))
TESTENV  = VMDBG=./$(PROGRAM) BUILD=$(BUILD) OBJ=$(OBJ) MODE=$(MODE) CC='$(CC)'
FUZZ_SECONDS ?= 600

check: all units guests $(CPUDIFF) $(if $(filter rel,$(VARIANT)),$(FUZZERS))
	$(Q)$(TESTENV) $(COLLECT) $(TOOLS) $(UNITS) $(CPUDIFF) $(E2E) \
	$(if $(filter rel,$(VARIANT)),tests/host/test_vtx.sh --fuzz-total 90 $(FUZZERS))
check-real: all
	$(Q)$(TESTENV) $(COLLECT) tests/system/test_real.py
check-quick: units
	$(Q)$(TESTENV) $(COLLECT) $(UNITS)
check-tools: | $(DEPS_OK)
	$(Q)$(TESTENV) $(COLLECT) $(TOOLS)
check-guests: all guests
	$(Q)$(TESTENV) $(COLLECT) tests/replay/test_guests.py
check-asan check-ubsan: check-%:
	$(Q)$(MAKE) MODE=$* check
fuzz: $(FUZZERS)
	$(Q)$(TESTENV) $(COLLECT) --fuzz-each $(FUZZ_SECONDS) $(FUZZERS)
fuzz-short: $(FUZZERS)
	$(Q)$(TESTENV) $(COLLECT) --fuzz-total 90 $(FUZZERS)
bench: all
	$(Q)$(TESTENV) python3 tests/bench/bench.py
bench-gdb: all guests
	$(Q)$(TESTENV) python3 tests/bench/bench_gdb.py

check-format: | $(DEPS_OK)
	$(Q)clang-format --dry-run -Werror $(FORMATTED)
format: | $(DEPS_OK)
	$(Q)clang-format -i $(FORMATTED)

compile_commands.json: $(LIB_SRC) $(PROG_SRC) $(UNIT_SRC) Makefile
	$(call say,GEN,$@){ sep='['; for f in $(LIB_SRC) $(PROG_SRC) $(UNIT_SRC); do \
	printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' "$$sep" "$(CURDIR)" "$$f" \
	"$(CC) $(BASE) $(MODEFLAGS) $(SOFTFLAGS)" "$$f"; sep=','; done; printf '\n]\n'; } >$@

# Installing

install: all
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/vmdbg
	install -D -m 644 docs/vmdbg.1 $(DESTDIR)$(PREFIX)/share/man/man1/vmdbg.1
	install -D -m 644 completion/vmdbg.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmdbg
	install -D -m 644 share/vmdbg.py $(DESTDIR)$(PREFIX)/share/vmdbg/vmdbg.py
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/vmdbg $(DESTDIR)$(PREFIX)/share/man/man1/vmdbg.1
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmdbg
	rm -f $(DESTDIR)$(PREFIX)/share/vmdbg/vmdbg.py
	-rmdir $(DESTDIR)$(PREFIX)/share/vmdbg 2>/dev/null

clean:
	rm -rf $(BUILD) vmdbg compile_commands.json

help:
	@echo 'make                 the program: ./vmdbg'
	@echo 'make demo            records and replays a small kernel that crashes'
	@echo 'make check           all tests, check-vtx too where Bochs can be had; closes with "N passed, N failed, N skipped"'
	@echo 'make check-quick     unit tests only'
	@echo 'make check-asan      all tests under AddressSanitizer; check-ubsan: UndefinedBehaviorSanitizer'
	@echo 'make check-tools     layout, documents and formatting only; check-guests: the test kernels only'
	@echo 'make check-system    the system-level guests under vmdbg, QEMU TCG and Bochs; writes docs/cpu-system.md'
	@echo 'make check-real      Debian'"'"'s 32-bit and generic kernels and memtest86+, recorded and replayed (downloads 180 MB)'
	@echo 'make coverage        line coverage of vmm/ by the tests; writes docs/coverage.md'
	@echo 'make fuzz            every fuzz target for FUZZ_SECONDS (600) each'
	@echo 'make fuzz-cpu        the software CPU beside the host'"'"'s, without end (CPU_SECONDS); resumes'
	@echo 'make bench           speed beside QEMU TCG; bench-gdb: what a debugger waits for, beside QEMU record/replay'
	@echo 'make module          vmdbg.ko, the VT-x monitor; module-install; check-vtx: tests it inside Bochs'
	@echo 'make deps            installs the Debian packages of deps.txt (done by itself when some are missing)'
	@echo 'make install         to DESTDIR, PREFIX (/usr/local); uninstall undoes it'
	@echo 'make format          clang-format over all sources; check-format only looks'
	@echo 'make compile_commands.json, clean'
	@echo 'MODE=rel|dbg|asan|ubsan|cov  CC=gcc|clang  V=1 (whole command lines)  BUILD=folder'

-include $(shell find $(OBJ) $(FUZZ) $(BUILD)/guest $(BUILD)/demo -name '*.d' 2>/dev/null)
