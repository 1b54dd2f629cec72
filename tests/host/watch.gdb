set confirm off
set pagination off
set width 0
target remote /tmp/vtx-gdb.sock
watch *(unsigned int *)&ticks
continue
continue
rwatch *(unsigned long *)&sum
continue
break read_ports
delete 1 2
continue
info registers rip rsp eflags
stepi
stepi
info registers rip rsp eflags
detach
