# Led through modes.S by the real gdb: one session, all modes. "ok NAME" when a value is what it must be.
set pagination off
set confirm off
set width 0
define check
  if $arg1 == $arg2
    echo ok $arg0\n
  else
    echo BAD $arg0\n
    print/x $arg1
  end
end
# the reset vector, at the top of 4 GiB
check reset_pc $pc 0xfffffff0
check reset_arch_rip $arch_rip 0xfff0
check reset_cs_base $cs_base 0xffff0000
check reset_far_jump ({char}$pc&0xff) 0xea
stepi
check real_mode $pc (long)&real_mode
check cr0.PE ($cr0&1) 0
break *(char *)&real_function
continue
check real_function $pc (long)&real_function
stepi
check bx ($rbx&0xffff) 0xbeef
hbreak *(char *)&protected_mode
continue
check protected_mode $pc (long)&protected_mode
check cs $cs 8
check store_by_ds {short}0x20010 0x1234
tbreak *(char *)&protected_function
continue
stepi
stepi
check ecx $rcx 0x11223345
set $rcx = 0x55667788
check ecx_written $rcx 0x55667788
stepi
tbreak *(char *)&long_mode
continue
check long_mode ($efer&0x500) 0x500
check paging ($cr0&0x80000000) 0x80000000
stepi
check rax $rax 0x123456789abcdef0
stepi
check xmm0 $xmm0.v2_int64[0] 0x123456789abcdef0
stepi
stepi
check st0 $st0 1
tbreak *(char *)&user_mode
continue
check ring_3 $cpl 3
check user_cs $cs 0x33
tbreak *(char *)&system_call
continue
check ring_0_again $cpl 0
check rdi $rdi 7
set $rdi = 100
stepi
check rdi_changed $rdi 135
tbreak *(char *)&counting
continue
# memory: read, written, watched
check counter {long}0x5000 0
set {long}0x5000 = 10
watch *(long *)0x5000
continue
check watched_store {long}0x5000 11
delete
hbreak *(char *)&counting if *(long *)0x5000 == 15
continue
check condition {long}0x5000 15
delete
watch *(long *)0x5040
continue
check one_store_in_many {long}0x5040 0x77
check then {long}0x5000 20
delete
rwatch *(long *)0x5000
continue
delete
# code is written, and runs
set var $here = (long)&counting
set {unsigned int}$here = 0x90909090
set $rip = $here
stepi
check written_code $pc $here+1
# physical memory
maintenance packet Qqemu.PhyMemMode:1
check physical {int}0x1000 0x2027
maintenance packet Qqemu.PhyMemMode:0
info threads
info registers cr0 cr4 efer eflags
detach
printf "ok detached\n"
