/*
 * A Multiboot guest that starts every processor and runs one of several programs on all of them (test_smp.c). The program's number
 * and what it counts lie behind the header, at fixed places. 32-bit code, flat, no paging; local APIC in its memory window.
 */
#define LOAD 0x100000
#define A(x) ((x) - smp_guest + LOAD)
#define TRAMPOLINE 0x8000
#define APIC 0xfee00000
#include "tests/flat32.h"

	.section .rodata
	.code32
	.balign 64
	.global smp_guest, smp_guest_end
smp_guest:
	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), LOAD, LOAD, 0, 0, A(start)
program:	.long 0 /* +32 */
cpus:		.long 0 /* +36 */
done:		.long 0 /* +40: processors whose program has ended */
atomic:		.long 0 /* +44 */
racy:		.long 0 /* +48 */
errors:		.long 0 /* +52 */
value:		.long 0 /* +56 */
online:		.long 1 /* +60 */
	.balign 64
line:		.long 0 /* +64: a cache line of its own */
	.balign 64
seen:		.fill 16, 4, 0 /* +128 */

	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 23
	.long A(gdt)
idtr:	.word 0x41 * 8 - 1
	.long A(idt)

start:
	mov $A(stacks), %esp
	lgdt A(gdtr)
	ljmp $8, $A(1f)
1:	call enable_apic
	/* an interrupt gate for vector 40h */
	movl $A(ipi), %eax
	mov %ax, A(idt) + 0x40 * 8
	movw $8, A(idt) + 0x40 * 8 + 2
	movw $0x8e00, A(idt) + 0x40 * 8 + 4
	shr $16, %eax
	mov %ax, A(idt) + 0x40 * 8 + 6
	lidt A(idtr)
	mov $A(trampoline), %esi
	mov $TRAMPOLINE, %edi
	mov $(trampoline_end - trampoline), %ecx
	rep movsb
	movl $0xc4500, APIC + 0x300 /* INIT, all but self; then the start-up vector, twice as the SDM has it */
	movl $(0xc4600 + TRAMPOLINE / 4096), APIC + 0x300
	movl $(0xc4600 + TRAMPOLINE / 4096), APIC + 0x300
1:	pause
	mov A(online), %eax
	cmp A(cpus), %eax
	jb 1b
	xor %ebp, %ebp
	call run
1:	pause
	mov A(done), %eax
	cmp A(cpus), %eax
	jb 1b
	mov $0x604, %dx
	mov $0x2000, %ax
	out %ax, %dx
	jmp .

enable_apic:
	movl $0x1ff, APIC + 0xf0
	ret

	AP_TRAMPOLINE 23
ap_start:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov APIC + 0x20, %ebp
	shr $24, %ebp
	mov %ebp, %eax
	shl $10, %eax
	lea A(stacks)(%eax), %esp
	call enable_apic
	lidt A(idtr)
	lock incl A(online)
	call run
1:	cli
	hlt
	jmp 1b

ipi:
	push %eax
	lock incl A(seen)(,%ebp,4)
	movl $0, APIC + 0xb0
	pop %eax
	iret

/* EBP: number of this processor */
run:
	mov A(program), %eax
	call *A(programs)(,%eax,4)
	lock incl A(done)
	ret

programs:
	.long A(nothing), A(race), A(patched), A(ipis), A(monitored), A(long_wait), A(spin), A(timed), A(late_start)

nothing:
	ret

/* 8: a start-up message to a halted processor is lost: INIT leaves it waiting for one that comes later (SDM Vol. 3A, 11.6.1) */
late_start:
	test %ebp, %ebp
	jz 2f
	cmpl $0, A(value) /* started once more */
	jne 4f
	lock incl A(atomic)
1:	cli
	hlt
	jmp 1b
2:	pause
	cmpl $0, A(atomic)
	je 2b
	mov $1000, %ecx
	loop .
	movl $(0xc4600 + TRAMPOLINE / 4096), APIC + 0x300
	movl $0xc4500, APIC + 0x300
	mov $1000, %ecx
3:	pause
	loop 3b
	decl A(online)
	cmpl $1, A(online)
	setne A(errors)
	movl $1, A(value)
	movl $(0xc4600 + TRAMPOLINE / 4096), APIC + 0x300
4:	ret

/* 1: the same counter with and without LOCK */
race:
	mov $20000, %ecx
1:	lock incl A(atomic)
	mov A(racy), %eax
	imul $1, %eax, %eax
	inc %eax
	mov %eax, A(racy)
	loop 1b
	ret

/* 2: processor 0 rewrites a function that the others call */
patched:
	mov $200, %ecx
	test %ebp, %ebp
	jz 3f
1:	call patch_me /* until it returns ECX */
	cmp %ecx, %eax
	je 2f
	cmp A(value), %eax /* older than what was there before the call: stale */
	pause
	jmp 1b
2:	lock incl A(atomic)
	loop 1b
	ret
3:	mov %ecx, A(patch_me) + 1
	mov A(cpus), %edx
	dec %edx
	imul $201, %edx, %eax
	imul %ecx, %edx
	sub %edx, %eax
4:	pause /* until all have seen it */
	cmp %eax, A(atomic)
	jb 4b
	ja 5f
	loop 3b
	ret
5:	incl A(errors)
	ret
	.balign 64
patch_me:
	mov $0, %eax
	ret
	.balign 64

/* 3: processor 0 sends each of the others 100 interrupts, which they sleep for */
ipis:
	test %ebp, %ebp
	jnz 4f
	mov $1, %ebx
1:	mov $100, %ecx
2:	mov A(seen)(,%ebx,4), %eax
	mov %ebx, %edx
	shl $24, %edx
	mov %edx, APIC + 0x310
	movl $0x4040, APIC + 0x300
3:	pause
	cmp A(seen)(,%ebx,4), %eax
	je 3b
	loop 2b
	inc %ebx
	cmp A(cpus), %ebx
	jb 1b
	ret
4:	sti
5:	hlt
	cli
	cmpl $100, A(seen)(,%ebp,4)
	jae 6f
	sti
	jmp 5b
6:	ret

/* 4: processor 0 stores what the others wait for with MONITOR and MWAIT */
monitored:
	mov $100, %ebx
	test %ebp, %ebp
	jz 4f
1:	mov $A(line), %eax
	xor %ecx, %ecx
	xor %edx, %edx
	monitor
	cmp %ebx, A(line)
	je 2f
	xor %eax, %eax
	mwait
	lock incl A(racy) /* wake-ups */
	jmp 1b
2:	lock incl A(atomic)
	dec %ebx
	jnz 1b
	ret
4:	mov $100000, %ecx
	loop . /* the others sleep meanwhile */
	mov %ebx, A(line)
	mov A(cpus), %edx
	dec %edx
	imul $101, %edx, %eax
	imul %ebx, %edx
	sub %edx, %eax
5:	pause
	cmp %eax, A(atomic)
	jb 5b
	dec %ebx
	jnz 4b
	ret

/* 5: processor 1 computes, the others wait for it: with PAUSE, ... */
long_wait:
	cmp $1, %ebp
	je 2f
1:	pause
	cmpl $0, A(value)
	je 1b
	ret
2:	mov $1000000, %ecx
	loop .
	incl A(value)
	ret

/* 6: ... and without */
spin:
	cmp $1, %ebp
	je 2b
1:	cmpl $0, A(value)
	je 1b
	ret

/* 7: processor 0 sleeps, then stores what the others wait for, with TPAUSE, UMONITOR and UMWAIT */
timed:
	mov $20, %ebx
	test %ebp, %ebp
	jz 4f
1:	mov $A(line), %edi
	umonitor %edi
	cmp %ebx, A(line)
	je 2f
	mov $10000000, %eax
	call deadline
	umwait %ecx
	lock incl A(racy) /* wake-ups */
	jmp 1b
2:	lock incl A(atomic)
	dec %ebx
	jnz 1b
	mov $100000, %eax /* at last all sleep */
	jmp nap
4:	mov $100000, %eax
	call nap
	mov %ebx, A(line)
	dec %ebx
	jnz 4b
	mov $100000, %eax

/* Sleeps for EAX ticks. Early is an error. */
nap:	call deadline
	mov %eax, %esi
	mov %edx, %edi
	tpause %ecx
	rdtsc
	sub %esi, %eax
	sbb %edi, %edx
	jnc 1f
	lock incl A(errors)
1:	ret

/* EDX:EAX: EAX ticks from now; ECX: 0. */
deadline:
	mov %eax, %ecx
	rdtsc
	add %ecx, %eax
	adc $0, %edx
	xor %ecx, %ecx
	ret

	.balign 16
idt:	.fill 0x41 * 8, 1, 0
	.balign 16
	.fill 1024, 1, 0
stacks:	.fill 1024 * 9, 1, 0
smp_guest_end:
	.section .note.GNU-stack, "", @progbits
