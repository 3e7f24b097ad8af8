/*
 * The labs' common part in assembly: entry from a Multiboot loader, the way to 64-bit mode, trap entries, and changing rings.
 * References: SDM Vol. 3A, 9.8.5 (entering IA-32e mode), 6.12 and 6.14 (traps), Vol. 2A IRET.
 */
#include "boot.h"

	MULTIBOOT_HEADER

	.text
	.code32
	.globl start32
start32:
	cli
	movl $boot_stack_top, %esp
	pushl $2
	popfl
#ifdef __x86_64__
	/* The first 2 MiB by small pages, up to 1 GiB by large ones. Only the last level says who may. */
	movl $lab_pdpt + 7, lab_pml4
	movl $lab_pd + 7, lab_pdpt
	MAP_FIRST_GIB lab_pd
	xorl %ecx, %ecx
1:	movl %ecx, %eax
	shll $12, %eax
	orl $3, %eax
	movl %eax, lab_pt(,%ecx,8)
	incl %ecx
	cmpl $512, %ecx
	jb 1b
	movl $lab_pt + 7, lab_pd
	ENTER_LONG_MODE lab_pml4, 0x900, 0x80010021, boot_gdtr, start64 /* LME, NXE; PG, WP, NE, PE. Who wants SYSCALL sets SCE */
	.code64
start64:
#else
	movl %cr0, %eax
	orl $0x21, %eax
	movl %eax, %cr0
	lgdt boot_gdtr
	ljmp $0x08, $2f
2:
#endif
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	call lab_start
1:	cli
	hlt
	jmp 1b

	.section .rodata
	.balign 8
boot_gdt:
	.quad 0
#ifdef __x86_64__
	.quad 0x00af9b000000ffff
#else
	.quad 0x00cf9b000000ffff
#endif
	.quad 0x00cf93000000ffff
boot_gdtr:
	.word 23
	.long boot_gdt, 0

	.text
/* ---- traps: each stub leaves a struct trap on the stack ---- */
#ifdef __x86_64__
#define WORD .quad
#else
#define WORD .long
#endif
	.altmacro
	.macro TRAPS from, to, has_error
n = \from
	.rept \to - \from + 1
	TRAP %n, \has_error
n = n + 1
	.endr
	.endm

	TRAPS 0, 7, 0
	TRAPS 8, 8, 1
	TRAPS 9, 9, 0
	TRAPS 10, 14, 1
	TRAPS 15, 16, 0
	TRAPS 17, 17, 1
	TRAPS 18, 20, 0
	TRAPS 21, 21, 1
	TRAPS 32, 50, 0
	TRAP 128, 0

trap_common:
#ifdef __x86_64__
	.irp r, rax, rbx, rcx, rdx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\r
	.endr
	cld
	movq %rsp, %rdi
	call lab_trap
	.globl trap_return
trap_return:
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rdx, rcx, rbx, rax
	popq %\r
	.endr
	addq $16, %rsp
	iretq
#else
	.irp r, eax, ebx, ecx, edx, ebp, esi, edi, ds
	pushl %\r
	.endr
	cld
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	pushl %esp
	call lab_trap
	addl $4, %esp
	.globl trap_return
trap_return:
	popl %eax
	movl %eax, %ds
	movl %eax, %es
	.irp r, edi, esi, ebp, edx, ecx, ebx, eax
	popl %\r
	.endr
	addl $8, %esp
	iretl
#endif

	.section .rodata
	.balign 8
	.globl trap_entries
	.macro ENTRY number
	WORD \number, trap_\number
	.endm
	.macro ENTRIES from, to
n = \from
	.rept \to - \from + 1
	ENTRY %n
n = n + 1
	.endr
	.endm
trap_entries:
	ENTRIES 0, 21
	ENTRIES 32, 50
	ENTRY 128
	WORD 0, 0
	.noaltmacro

/* ---- rings: enter_at(cs, ss, ip, sp, flags, arg, ds); leave_at(value) makes it return @value ---- */
	.text
	.globl enter_at, leave_at, ring_exit
#ifdef __x86_64__
enter_at:
	.irp r, rbx, rbp, r12, r13, r14, r15
	pushq %\r
	.endr
	pushq saved_sp
	movq %rsp, saved_sp
	movq 64(%rsp), %rax /* ds */
	movl %eax, %ds
	movl %eax, %es
	pushq %rsi
	pushq %rcx
	pushq %r8
	pushq %rdi
	pushq %rdx
	movq %r9, %rdi
	movq %r9, %rax
	iretq
leave_at:
	movq saved_sp, %rsp
	movq %rdi, %rax
	movl $0x10, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	movl %ecx, %ss
	popq saved_sp
	.irp r, r15, r14, r13, r12, rbp, rbx
	popq %\r
	.endr
	ret
#else
enter_at:
	.irp r, ebx, ebp, esi, edi
	pushl %\r
	.endr
	pushl saved_sp
	movl %esp, saved_sp
	movl %esp, %ebp
	movl 48(%ebp), %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	testb $3, 24(%ebp)
	jnz 1f
	movl 36(%ebp), %esp /* the same ring: IRET takes no stack from the stack */
	jmp 2f
1:	pushl 28(%ebp)
	pushl 36(%ebp)
2:	pushl 40(%ebp)
	pushl 24(%ebp)
	pushl 32(%ebp)
	movl 44(%ebp), %eax
	iretl
leave_at:
	movl 4(%esp), %eax
	movl saved_sp, %esp
	movl $0x10, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	movl %ecx, %fs
	movl %ecx, %gs
	popl saved_sp
	.irp r, edi, esi, ebp, ebx
	popl %\r
	.endr
	ret
#endif

	.globl ring_exit0
ring_exit0: /* ring 0 may be forbidden to execute user pages */
	int $0x80
	.section .user, "ax"
ring_exit:
	int $0x80

	.bss
	.balign 16
saved_sp: .skip 16
#ifdef __x86_64__
	.balign 4096
	.globl lab_pml4
lab_pml4: .skip 4096
lab_pdpt: .skip 4096
lab_pd: .skip 4096
lab_pt: .skip 4096
#endif
boot_stack: .skip 16384
boot_stack_top:
	.section .note.GNU-stack, "", %progbits
