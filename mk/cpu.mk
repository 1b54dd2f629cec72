# SPDX-License-Identifier: GPL-2.0-or-later
# The differential test of the software CPU: the same instructions on the host's CPU and in the interpreter.

CPUDIFF := $(OBJ)/tests/cpu/diff
$(CPUDIFF): $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard tests/cpu/*.c))) $(LIB)
	$(call say,LD,$@)$(CC) $(MODEFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Without end, or for CPU_SECONDS; goes on where it was stopped.
CPU_SECONDS ?= 0
CPU_SEED    ?= 1
.PHONY: fuzz-cpu cpu-coverage
fuzz-cpu: $(CPUDIFF)
	$(Q)$(CPUDIFF) --seed $(CPU_SEED) --seconds $(CPU_SECONDS) --jobs $(shell nproc) --state $(BUILD)/fuzz-cpu.state

# The table in docs/cpu-coverage.md, of what fuzz-cpu has seen so far and a minute more.
cpu-coverage: $(CPUDIFF)
	$(Q)mk/cpu-coverage.sh docs/cpu-coverage.md $(CPUDIFF) --seed $(CPU_SEED) --seconds 100 --jobs $(shell nproc) \
		--state $(BUILD)/fuzz-cpu.state --coverage

# Single instructions in the differential test's machine.
$(OBJ)/tests/unit/test_insn: LIBS := $(LIB) $(LIBS)
$(OBJ)/tests/unit/test_insn: $(OBJ)/tests/cpu/interp.o $(OBJ)/tests/cpu/segments.o
