# SPDX-License-Identifier: GPL-2.0-or-later
# Finds the demo kernel's bug by walking back from its crash. In one terminal:
#
#	vmdbg replay --gdb build/demo/demo.vmt
#
# and in another:
#
#	gdb -ex 'target remote :1234' -x demo/find-bug.gdb build/demo/demo.elf

set pagination off
set confirm off

echo \n--- To the end of the recording: the kernel has crashed.\n
continue

echo \n--- Back to where it noticed: an exception, handled by panic().\n
tbreak panic
reverse-continue

echo \n--- Back to the instruction that failed: the call of a task's function.\n
eval "tbreak *0x%lx", r->rip
reverse-continue
print *task

echo \n--- Its pointer is no address. Back to whoever wrote it last.\n
watch -location task->run
reverse-continue

echo \n--- The guilty line:\n
frame
print ring->head
print sizeof(ring->slot) / sizeof(ring->slot[0])
backtrace
