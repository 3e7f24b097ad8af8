/*
 * Demonstration guest: entry, the way from protected to long mode, trap and SYSCALL entries,
 * and the ring 3 program.
 * References: SDM Vol. 3A, 9.8.5 (entering IA-32e mode), 5.8.8 (SYSCALL), 6.14 (64-bit interrupts).
 */
#include "base/guest/boot.h"

	MULTIBOOT_HEADER

	.text
	.code32
	.globl start32
start32:
	cli
	movl $boot_stack_top, %esp
	/* PDPT[0]: 512 pages of 2 MiB, supervisor; PDPT[1]: the user's page table */
	movl $pdpt + 7, pml4
	movl $pd_kernel + 3, pdpt
	movl $pd_user + 7, pdpt + 8
	movl $pt_user + 7, pd_user
	MAP_FIRST_GIB pd_kernel
	ENTER_LONG_MODE pml4, 0x101, 0x80010000, gdt_pointer, start64 /* LME, SCE; PG, WP */

	.code64
start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl $boot_stack_top, %esp
	call guest_main
1:	cli
	hlt
	jmp 1b

/* ---- traps: each stub leaves a struct trap on the stack ------------------------------------- */
	TRAP 3, 0
	TRAP 6, 0
	TRAP 8, 1
	TRAP 13, 1
	TRAP 14, 1
	TRAP 32, 0
	TRAP 39, 0

trap_common:
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\r
	.endr
	cld
	movq %rsp, %rdi
	call guest_trap
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\r
	.endr
	addq $16, %rsp
	iretq

	.globl trap_entries
	.section .rodata
	.balign 8
trap_entries: /* vector, entry */
	.quad 3, trap_3, 6, trap_6, 8, trap_8, 13, trap_13, 14, trap_14
	.quad 32, trap_32, 39, trap_39, 0, 0

/* ---- SYSCALL: RCX holds the return address, R11 the flags; arguments RAX, RDI, RSI ---------- */
	.text
	.globl syscall_entry
syscall_entry:
	movq %rsp, user_rsp
	movq $syscall_stack_top, %rsp
	pushq %rcx
	pushq %r11
	movq %rsi, %rdx
	movq %rdi, %rsi
	movq %rax, %rdi
	call guest_syscall
	popq %r11
	popq %rcx
	movq user_rsp, %rsp
	sysretq

/* void enter_user(u64 rip, u64 rsp): returns when the program has called exit */
	.globl enter_user, leave_user
enter_user:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, kernel_rsp
	pushq $0x1b /* SS */
	pushq %rsi
	pushq $0x202
	pushq $0x23 /* 64-bit user CS */
	pushq %rdi
	iretq
leave_user:
	movq kernel_rsp, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* ---- the ring 3 program: position independent, it runs from 1 GiB --------------------------- */
	.section .user, "ax"
	.globl user_program
user_program:
	leaq hello(%rip), %rdi
	movl $1, %eax
	syscall
	movl %cs, %edi
	movl $2, %eax
	syscall
	leaq try_cli(%rip), %rdi
	movl $1, %eax
	syscall
	cli                     /* 1 byte: the kernel steps over it */
	leaq try_kernel(%rip), %rdi
	movl $1, %eax
	syscall
	movl 0x100000, %eax     /* 7 bytes */
	leaq try_write(%rip), %rdi
	movl $1, %eax
	syscall
	movl %eax, 0x40000000   /* 7 bytes */
	leaq try_hole(%rip), %rdi
	movl $1, %eax
	syscall
	movl 0x40100000, %eax   /* 7 bytes */
	xorl %eax, %eax
	syscall
hello:	.asciz "hello from ring 3, through SYSCALL"
try_cli: .asciz "trying CLI"
try_kernel: .asciz "trying to read the kernel at 0x100000"
try_write: .asciz "trying to write my own code page"
try_hole: .asciz "trying to read a page that is not there"

	.section .rodata
	.balign 8
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

	.data
	.balign 8
	.globl gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 08: kernel code, 64-bit */
	.quad 0x00cf93000000ffff /* 10: kernel data */
	.quad 0x00cff3000000ffff /* 18: user data */
	.quad 0x00affb000000ffff /* 20: user code, 64-bit */
	.quad 0, 0               /* 28: TSS, filled at run time */
gdt_end:

	.bss
	.balign 4096
	.globl pml4, pt_user
pml4:	.skip 4096
pdpt:	.skip 4096
pd_kernel: .skip 4096
pd_user: .skip 4096
pt_user: .skip 4096
	.globl user_stack
user_stack: .skip 4096
boot_stack: .skip 16384
boot_stack_top:
syscall_stack: .skip 8192
syscall_stack_top:
	.globl trap_stack_top
trap_stack: .skip 8192
trap_stack_top:
user_rsp: .quad 0
kernel_rsp: .quad 0
	.section .note.GNU-stack, "", %progbits
