/*
 * A Multiboot guest that has in it what a tracer can get wrong (test_trace.c): faults at the start, middle and end of blocks, code
 * that rewrites itself, an instruction across two pages, interrupts in the middle of loops, strings that are interrupted, port
 * I/O, a ring 3 excursion, single steps, and every processor at once. 32-bit, flat, no paging. Ends by power-off.
 */
#define LOAD 0x100000
#define A(x) ((x) - trace_guest + LOAD)
#define TRAMPOLINE 0x8000
#define APIC 0xfee00000
#include "tests/flat32.h"

	.section .rodata
	.code32
	.balign 4096
	.global trace_guest, trace_guest_end, trace_guest_planted, trace_guest_function
trace_guest:
	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), LOAD, LOAD, 0, 0, A(start)
cpus:	.long 0 /* +32 */
trace_guest_planted:
	.long 1 /* +36: the test changes it for a run that differs */
online:	.long 1
done:	.long 0
ticks:	.long 0
	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
tss_descriptor: .quad 0
gdtr:	.word 6 * 8 - 1
	.long A(gdt)
idtr:	.word 0x81 * 8 - 1
	.long A(idt)
tss:	.fill 26, 4, 0
	.balign 8
idt:	.fill 0x81, 8, 0

start:
	mov $A(stacks), %esp
	FLAT_SEGMENTS $A(stacks)
	mov %cr4, %eax
	or $0x200, %eax /* OSFXSR */
	mov %eax, %cr4
	mov $A(skip2), %eax /* #DE of a 2-byte DIV, #UD of UD2 */
	mov $0, %edx
	call gate
	mov $6, %edx
	call gate
	mov $A(trap), %eax
	mov $1, %edx
	call gate
	mov $A(fault_err), %eax
	mov $13, %edx
	call gate
	mov $A(tick), %eax
	mov $0x20, %edx
	call gate
	mov $A(back), %eax
	mov $0x80, %edx
	call gate
	orb $0x60, A(idt) + 0x80 * 8 + 5
	lidt A(idtr)
	/* the timer, fast */
	mov $0x11, %al
	out %al, $0x20
	mov $0x20, %al
	out %al, $0x21
	mov $4, %al
	out %al, $0x21
	mov $1, %al
	out %al, $0x21
	mov $0xfe, %al
	out %al, $0x21
	mov $0x34, %al
	out %al, $0x43
	mov $5, %al
	out %al, $0x40
	xor %al, %al
	out %al, $0x40
	/* the other processors */
	cmpl $1, A(cpus)
	je 2f
	movl $0x1ff, APIC + 0xf0
	mov $A(trampoline), %esi
	mov $TRAMPOLINE, %edi
	mov $(trampoline_end - trampoline), %ecx
	rep movsb
	movl $0xc4500, APIC + 0x300
	movl $(0xc4600 + TRAMPOLINE / 4096), APIC + 0x300
1:	pause
	mov A(online), %eax
	cmp A(cpus), %eax
	jb 1b
2:	mov $150, %ebp
round:	sti
	call work
	cli
	dec %ebp
	jnz round
	lock incl A(done)
1:	pause
	mov A(done), %eax
	cmp A(cpus), %eax
	jb 1b
	/* ring 3 and back */
	push $0x23
	push $0x40000
	push $2
	push $0x1b
	push $A(user)
	iret
user:	mov $7, %ecx
1:	loop 1b
	int $0x80
back:	mov $0x604, %dx
	mov $0x2000, %ax
	out %ax, %dx
	jmp .

/* Some of everything. */
	.global trace_guest_function
trace_guest_function:
work:
	xor %ebx, %ebx
	xor %edx, %edx
	mov $5, %eax
	div %ebx          /* #DE in the middle */
	add $1, %ebx
	ud2
	mov $0xffff, %eax
	mov %eax, %fs     /* #GP(fffc) */
	nop
	/* code that rewrites itself, behind and before where it runs */
	mov A(trace_guest_planted), %eax
	mov %eax, A(patch) + 1
	jmp patch
patch:	mov $0, %eax
	add %eax, A(ticks)
	incb A(ahead) + 1
ahead:	mov $0, %al
	call straddle
	/* strings that a timer interrupt can break */
	cld
	mov $A(trace_guest), %esi
	mov $0x300000, %edi
	mov $3000, %ecx
	rep movsb
	mov $90, %ecx
1:	imul $3, %ecx, %eax
	push %eax
	pop %edx
	test $1, %cl
	jz 2f
	xor %edx, %eax
2:	loop 1b
	movdqa %xmm0, %xmm1
	/* single steps */
	pushf
	orl $0x100, (%esp)
	popf
	nop
	mov $3, %eax
	pushf
	andl $~0x100, (%esp)
	popf
	ret

	.balign 4096
	.fill 4093, 1, 0x90
straddle:
	nop
	mov $0x12345678, %eax /* across the page */
	ret

gate:	mov %ax, A(idt)(,%edx,8)
	movw $8, A(idt) + 2(,%edx,8)
	movw $0x8e00, A(idt) + 4(,%edx,8)
	ror $16, %eax
	mov %ax, A(idt) + 6(,%edx,8)
	rol $16, %eax
	ret
skip2:	addl $2, (%esp)
	iret
fault_err:
	add $4, %esp
	addl $2, (%esp)
	iret
trap:	iret
tick:	push %eax
	incl A(ticks)
	mov $0x20, %al
	out %al, $0x20
	pop %eax
	iret

	AP_TRAMPOLINE 47
ap_start:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov APIC + 0x20, %eax
	shr $24, %eax
	shl $10, %eax
	lea A(stacks)(%eax), %esp
	lidt A(idtr)
	lock incl A(online)
	mov $20, %ebp
1:	mov $100, %ecx
2:	add %ecx, %eax
	loop 2b
	ud2
	lock incl A(ticks)
	dec %ebp
	jnz 1b
	lock incl A(done)
1:	cli
	hlt
	jmp 1b
	.balign 1024
	.fill 1024, 1, 0
stacks:
	.fill 9216, 1, 0
trace_guest_end:
	.section .note.GNU-stack, "", @progbits
