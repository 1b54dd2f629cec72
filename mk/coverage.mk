# SPDX-License-Identifier: GPL-2.0-or-later
# Line coverage of vmm/ by the tests, without the engines that want hardware: docs/coverage.md.

COVERING := $(addprefix tests/replay/,test_guests.py test_golden.py test_seabios.py test_disk.py)

.PHONY: coverage coverage-run
coverage:
	$(Q)$(MAKE) --no-print-directory MODE=cov coverage-run
coverage-run: all units guests $(CPUDIFF)
	$(Q)find $(OBJ) -name '*.gcda' -delete
	$(Q)$(TESTENV) $(COLLECT) $(UNITS) $(COVERING)
	$(Q)$(CPUDIFF) --blocks 200
	$(Q)tests/tools/coverage.py --doc docs/coverage.md $(OBJ)
