/*
 * Ways into and out of the 16-bit run time: interrupt stubs, calls to other people's interrupt handlers, the switch to
 * protected mode and back that the power-on code and INT 15h AH=87h use, the parking place of the other processors, and the
 * addresses that an IBM PC/AT's BIOS has.
 *
 * An interrupt switches to the run time's own stack (data segment RT_SEG), so that C code, whose pointers know no segments,
 * sees locals and globals in one segment, and callers need only a few bytes of stack. stack_next is where a stack that comes
 * from elsewhere may begin: it is lowered around everything during which others may call in.
 */
#include "bios/layout.h"

	.code16
	.section .text, "ax"

/* Frame of struct regs (rt.h) on the run time's stack */
#define F_EDI   0
#define F_ESI   4
#define F_EBP   8
#define F_EBX   12
#define F_EDX   16
#define F_ECX   20
#define F_EAX   24
#define F_DS    28
#define F_ES    30
#define F_FS    32
#define F_GS    34
#define F_IP    36
#define F_CS    38
#define F_FLAGS 40
#define F_FN    42
#define F_ESP   44
#define F_SS    48
#define F_RETRY 50
#define F_SIZE  52

/* From and to a frame at @at: the registers that no way in or out needs for itself. */
	.macro GET_GENERAL at
	movl F_EDI(\at), %edi
	movl F_ESI(\at), %esi
	movl F_EBP(\at), %ebp
	movl F_EDX(\at), %edx
	movl F_ECX(\at), %ecx
	.endm
	.macro PUT_GENERAL at
	movl %edi, F_EDI(\at)
	movl %esi, F_ESI(\at)
	movl %ebp, F_EBP(\at)
	movl %edx, F_EDX(\at)
	movl %ecx, F_ECX(\at)
	.endm
/* The registers that calls from C to others share, from and to a frame at %ebx (itself last) and, where nothing else is known, %ds. */
	.macro LOAD_REGS
	GET_GENERAL %ebx
	movl F_EAX(%ebx), %eax
	movw F_ES(%ebx), %es
	pushw F_DS(%ebx)
	movl F_EBX(%ebx), %ebx
	popw %ds
	.endm
/* On the stack: EBX, DS, flags. */
	.macro STORE_REGS
	PUT_GENERAL %ebx
	movl %eax, F_EAX(%ebx)
	popl F_EBX(%ebx)
	popw F_DS(%ebx)
	popw F_FLAGS(%ebx)
	movw %es, F_ES(%ebx)
	.endm
/* To 32-bit code; @keep: the bits of CR0 that stay. */
	.macro PROTECTED target, keep=0xffffffff
	lgdtl %cs:gdt_pointer
	movl %cr0, %eax
	.if \keep != 0xffffffff
	andl $\keep, %eax
	.endif
	orb $1, %al
	movl %eax, %cr0
	ljmpl $SEL_CODE32, $\target
	.endm
/* From 16-bit protected mode to real mode, segments with the limit of @selector, DS at the run time's data. */
	.macro REAL selector
	movw $\selector, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw $SEL_DATA16, %ax
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $RT_CS, $9f
9:	movw $RT_SEG, %ax
	movw %ax, %ds
	lidtl %cs:real_idt
	.endm
/* What calls from C keep, and the mark below which others may use the stack. */
	.macro KEEP_FOR_CALL
	pushl %ebx
	pushl %esi
	pushl %edi
	pushl %ebp
	pushl stack_next
	.endm
	.macro BACK_FROM_CALL
	popl stack_next
	popl %ebp
	popl %edi
	popl %esi
	popl %ebx
	retl
	.endm

/* Caller's stack at int_enter: handler, IP, CS, flags. */
	.globl int_enter
int_enter:
	cli
	cld
	pushw %ds
	pushl %eax
	movw $RT_SEG, %ax
	movw %ax, %ds
	movl %ebx, saved_ebx
	movl %esp, saved_esp
	movw %fs, saved_fs
	movw %ss, %ax
	movw %ax, %fs
	movzwl %sp, %ebx
	cmpw $RT_SEG, %ax
	je 1f
	movl stack_next, %ebx
1:	pushw %ds
	popw %ss
	movl %ebx, %esp
	subl $F_SIZE, %esp
	movw %ax, F_SS(%esp)
	movw $0, F_RETRY(%esp)
	movl saved_esp, %ebx
	movl %ebx, F_ESP(%esp)
	movzwl %bx, %ebx
	PUT_GENERAL %esp
	movl saved_ebx, %eax
	movl %eax, F_EBX(%esp)
	movl %fs:(%ebx), %eax
	movl %eax, F_EAX(%esp)
	movw %fs:4(%ebx), %ax
	movw %ax, F_DS(%esp)
	movw %es, F_ES(%esp)
	movw saved_fs, %ax
	movw %ax, F_FS(%esp)
	movw %gs, F_GS(%esp)
	movl %fs:8(%ebx), %eax
	movl %eax, F_IP(%esp)
	movw %fs:12(%ebx), %ax
	movw %ax, F_FLAGS(%esp)
	movzwl %fs:6(%ebx), %ecx
	movw %cx, F_FN(%esp)
	pushw %ds
	popw %es
	movl %esp, %eax
	calll *%ecx

	cli
	cld
	GET_GENERAL %esp
	movw F_SS(%esp), %fs
	movzwl F_ESP(%esp), %ebx
	movl F_EAX(%esp), %eax
	movl %eax, %fs:(%ebx)
	movw F_DS(%esp), %ax
	movw %ax, %fs:4(%ebx)
	movl F_IP(%esp), %eax
	movl %eax, %fs:8(%ebx)
	movw F_FLAGS(%esp), %ax
	movw %ax, %fs:12(%ebx)
	movl F_EBX(%esp), %eax
	movl %eax, saved_ebx
	movw F_RETRY(%esp), %ax
	movw %ax, saved_retry
	movw F_ES(%esp), %es
	movw F_GS(%esp), %gs
	movw F_SS(%esp), %ax
	movl F_ESP(%esp), %ebx
	movw F_FS(%esp), %fs
	movw %ax, %ss
	movl %ebx, %esp
	movl saved_ebx, %ebx
	cmpw $0, saved_retry
	jne 2f
	popl %eax
	popw %ds
	addw $2, %sp
	iretw
	/* What was asked for is not there: let interrupts happen on the caller's stack, and ask again. */
2:	popl %eax
	popw %ds
	sti
	hlt
	jmp int_enter

	.macro STUB name, handler
	.globl \name
\name:	pushw $\handler
	jmp int_enter
	.endm
	STUB stub_00_nothing, int_nothing
	STUB stub_irq_master, irq_unexpected
	STUB stub_irq_slave, irq_unexpected_slave
	STUB stub_05, int_05
	STUB stub_08, irq_timer
	STUB stub_09, irq_keyboard
	STUB stub_0e, irq_floppy
	STUB stub_10, int_10
	STUB stub_13, int_13
	STUB stub_14, int_14
	STUB stub_15, int_15
	STUB stub_16, int_16
	STUB stub_17, int_17
	STUB stub_1a, int_1a
	STUB stub_70, irq_rtc
	STUB stub_74, irq_mouse
	STUB stub_75, irq_fpu
	STUB stub_76, irq_disk

	/* INT 11h, 12h: too small for the long way. */
	.globl stub_11, stub_12
stub_11:
	pushw %ds
	movw $0x40, %ax
	movw %ax, %ds
	movw 0x10, %ax
	popw %ds
	iretw
stub_12:
	pushw %ds
	movw $0x40, %ax
	movw %ax, %ds
	movw 0x13, %ax
	popw %ds
	iretw

/* Plug and Play BIOS entry: there are no services behind the installation check. */
	.globl pnp_real_entry
pnp_real_entry:
	movw $0x82, %ax
	lretw

/* POST Memory Manager: a far call with arguments on the stack; made to look like an interrupt. */
	.globl pmm_entry
pmm_entry:
	pushfw
	pushw %cs
	pushw $1f
	pushw $pmm_call
	jmp int_enter
1:	lretw

/* ---- calls from C to interrupt handlers ---------------------------------------------------- */

/* void call_int(unsigned vector [eax], struct regs *r [edx]): as if INT vector with r's registers; they come back, flags too. */
	.globl call_int
call_int:
	KEEP_FOR_CALL
	xorl %ecx, %ecx
	movw %cx, %fs
	movl %fs:(,%eax,4), %eax
	jmp 3f
/* void call_far(u32 seg_off [eax], struct regs *r [edx]): a far call; flags come back. */
	.globl call_far
call_far:
	KEEP_FOR_CALL
	movl $1, %ecx
3:	leal -0x60(%esp), %ebx
	movl %ebx, stack_next
	pushl %edx
	jecxz 5f
	jmp 6f
5:	movw F_FLAGS(%edx), %cx
	andw $1, %cx
	orw $2, %cx
	pushw %cx
6:	pushw %cs
	pushw $4f
	pushl %eax
	movl %edx, %ebx
	LOAD_REGS
	lretw
4:	cli
	cld
	pushfw
	pushw %ds
	pushl %ebx
	movw $RT_SEG, %bx
	movw %bx, %ds
	movzwl %sp, %esp
	movl 8(%esp), %ebx
	STORE_REGS
	addw $4, %sp
	pushw %ds
	popw %es
	BACK_FROM_CALL

/* void call_mouse(u32 seg_off [eax], const u16 *packet [edx]): the handler of INT 15h AX=C207h takes four words on the stack. */
	.globl call_mouse
call_mouse:
	KEEP_FOR_CALL
	leal -0x60(%esp), %ebx
	movl %ebx, stack_next
	pushw (%edx)
	pushw 2(%edx)
	pushw 4(%edx)
	pushw 6(%edx)
	pushw %cs
	pushw $1f
	pushl %eax
	lretw
1:	cli
	cld
	movw $RT_SEG, %ax
	movw %ax, %ds
	movw %ax, %es
	movzwl %sp, %esp
	addw $8, %sp
	BACK_FROM_CALL

/* void wait_irq(void): one halt with interrupts on; the stack below is free for whom they bring. */
	.globl wait_irq
wait_irq:
	pushl stack_next
	leal -0x20(%esp), %ecx
	movl %ecx, stack_next
	sti
	hlt
	cli
	cld
	popl stack_next
	retl
/* void let_irqs(void): the same without the halt. */
	.globl let_irqs
let_irqs:
	pushl stack_next
	leal -0x20(%esp), %ecx
	movl %ecx, stack_next
	sti
	nop
	nop
	cli
	cld
	popl stack_next
	retl

/* ---- protected mode ------------------------------------------------------------------------ */

/* void move_block(u32 gdt_linear [eax], u32 words [edx]): INT 15h AH=87h with the caller's table. */
	.globl move_block
move_block:
	pushl %ebx
	pushl %esi
	pushl %edi
	pushw %fs
	movl %edx, %ecx
	subl $16, %esp
	movw $0x2f, 8(%esp)
	movl %eax, 10(%esp)
	sgdtl (%esp)
	lgdtl 8(%esp)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmp $0x20, $7f
7:	movw $0x10, %si
	movw %si, %ds
	movw $0x18, %si
	movw %si, %es
	xorl %esi, %esi
	xorl %edi, %edi
	rep movsw
	movw $0x28, %si
	movw %si, %ds
	movw %si, %es
	decl %eax
	movl %eax, %cr0
	ljmp $RT_CS, $8f
8:	movw $RT_SEG, %si
	movw %si, %ds
	movw %si, %es
	lgdtl (%esp)
	addl $16, %esp
	popw %fs
	popl %edi
	popl %esi
	popl %ebx
	retl

/* The power-on code calls down here: far pointer or interrupt in bridge_target, registers in bridge_regs. */
	.globl bridge_down
bridge_down: /* 16-bit protected mode, interrupts off */
	REAL SEL_DATA16
	jmp 1f
	.globl bridge_down_big
bridge_down_big:
	REAL SEL_BIG16
1:	movw bridge_ss, %ss
	movl bridge_sp, %esp
	pushfw
	pushw %cs
	pushw $2f
	pushl bridge_target
	movl $bridge_regs, %ebx
	LOAD_REGS
	lretw
2:	pushfw
	cli
	cld
	pushw %ds
	pushl %ebx
	movw $RT_SEG, %bx
	movw %bx, %ds
	movl $bridge_regs, %ebx
	STORE_REGS
	PROTECTED bridge_up

/* The end of S3, from 16-bit protected mode: on to wake_vector, with no stack that would be known. */
	.globl wake_down
wake_down:
	REAL SEL_DATA16
	ljmpw *wake_vector

/* void call_near(void): far entry for the power-on code; EAX is a C function of the run time, EDX its argument. */
	.globl rt_call
rt_call:
	pushw %ds
	pushw %es
	pushl %ebp
	movw $RT_SEG, %cx
	movw %cx, %ds
	movw %cx, %es
	movl %esp, %ebp
	movw %ss, saved_ss
	movw %cx, %ss
	movl stack_next, %esp
	pushw saved_ss
	pushw $0
	movl %eax, %ecx
	movl %edx, %eax
	calll *%ecx
	addl $2, %esp
	popw %cx
	movw %cx, %ss
	movl %ebp, %esp
	popl %ebp
	popw %es
	popw %ds
	lretw

/* INT 18h, INT 19h: back to the power-on code, which chooses the next device. */
	.globl stub_18, stub_19
stub_18:
	cli
	movw $RT_SEG, %ax
	movw %ax, %ds
	movl $1, boot_again
	jmp to_power_on_entry
stub_19:
	cli
	movw $RT_SEG, %ax
	movw %ax, %ds
	movl $2, boot_again
to_power_on_entry:
	PROTECTED post_again

	.balign 8
	.globl gdt_table
gdt_table:
	.quad 0
	.quad 0x00cf9b000000ffff /* 08h: 32-bit code, flat */
	.quad 0x00cf93000000ffff /* 10h: data, flat */
	.quad 0x00009b0f0000ffff /* 18h: 16-bit code at F0000h */
	.quad 0x000093000000ffff /* 20h: 16-bit data, as real mode has it */
	.quad 0x008f93000000ffff /* 28h: the same with 4 GiB */
gdt_pointer:
	.word . - gdt_table - 1
	.long 0xf0000 + gdt_table
real_idt:
	.word 0x3ff
	.long 0

/* ---- the other processors ------------------------------------------------------------------ */

/* Start-up vector F0h. Loads the model-specific registers that all processors share, counts itself and sleeps. */
	.section .ap, "ax"
	.code16
ap_entry:
	cli
	movw $RT_SEG, %ax
	movw %ax, %ds
	movl $ap_msrs, %esi
1:	movl (%esi), %ecx
	testl %ecx, %ecx
	jz 2f
	movl 4(%esi), %eax
	movl 8(%esi), %edx
	wrmsr
	addl $12, %esi
	jmp 1b
2:	movl %cr0, %eax
	andl $0x9fffffff, %eax
	movl %eax, %cr0
	movl $1, %eax
	cpuid
	shrl $24, %ebx
	lock btsl %ebx, ap_present
	lock incl ap_count
3:	cli
	hlt
	jmp 3b

/* ---- fixed places -------------------------------------------------------------------------- */

	.section .fixed, "ax"
	.code16
	.macro AT place
	.org \place - 0xe000
	.endm
	AT 0xe000
	.asciz "Orrery BIOS"
	AT 0xe05b
	.globl post_entry
post_entry:
	cli
	cld
	/* Shutdown status (CMOS 0Fh): a program that reset the processor to leave protected mode wants to go on. */
	movb $0x8f, %al
	outb %al, $0x70
	inb $0x71, %al
	movb %al, %bl
	testb %al, %al
	jz 1f
	movb $0x8f, %al
	outb %al, $0x70
	xorb %al, %al
	outb %al, $0x71
	cmpb $0xfe, %bl /* the end of ACPI S3 */
	je 5f
	cmpb $0x05, %bl
	je 2f
	cmpb $0x0a, %bl
	je 3f
	cmpb $0x09, %bl
	je 4f
1:	PROTECTED post_start, 0x9fffffff
5:	PROTECTED post_resume, 0x9fffffff
2:	movb $0x20, %al /* 05h: end of interrupt first */
	outb %al, $0x20
	outb %al, $0xa0
3:	xorw %ax, %ax
	movw %ax, %ds
	ljmpw *0x467
4:	xorw %ax, %ax /* 09h: in the middle of INT 15h AH=87h: return to its caller */
	movw %ax, %ds
	lssw 0x467, %sp
	popw %ds
	popw %es
	popaw
	iretw

	AT 0xe2c3
	jmp stub_nmi
	AT 0xe3fe
	jmp stub_13
	AT 0xe401 /* fixed disk parameter tables 1-46 are not kept: types are read from the disks */
	AT 0xe6f2
	jmp stub_19
	AT 0xe6f5 /* system configuration, INT 15h AH=C0h */
	.globl system_configuration
system_configuration:
	.word 8
	.byte 0xfc, 0x00, 0x01 /* PC/AT model, submodel, revision */
	.byte 0x74             /* second 8259A, RTC, INT 15h AH=4Fh, extended BIOS data area */
	.byte 0x40             /* INT 16h AH=09h */
	.byte 0x00, 0x00, 0x00
	AT 0xe729
	.word 0x0417, 0x0300, 0x0180, 0x00c0, 0x0060, 0x0030, 0x0018, 0x000c /* baud rate divisors */
	AT 0xe739
	jmp stub_14
	AT 0xe82e
	jmp stub_16
	AT 0xe987
	jmp stub_09
	AT 0xec59
	jmp stub_13
	AT 0xef57
	jmp stub_0e
	AT 0xefc7 /* diskette parameters, INT 1Eh: 1.44 MB */
	.globl diskette_parameters
diskette_parameters:
	.byte 0xaf, 0x02, 0x25, 0x02, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08
	AT 0xefd2
	jmp stub_17
	AT 0xf065
	jmp stub_10
	AT 0xf841
	jmp stub_12
	AT 0xf84d
	jmp stub_11
	AT 0xf859
	jmp stub_15
	AT 0xfe6e
	jmp stub_1a
	AT 0xfea5
	jmp stub_08
	AT 0xff00
stub_nmi: /* nothing here makes one that could be answered */
	iretw
	AT 0xff53
	iretw
	AT 0xff54
	jmp stub_05
	AT 0xfff0
	.globl reset_vector
reset_vector:
	ljmp $RT_CS, $post_entry
	.ascii "11/22/26"
	.byte 0, 0xfc, 0
	.org 0x2000

	.section .note.GNU-stack, "", %progbits
