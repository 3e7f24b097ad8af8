/*
 * A firmware image that goes from the reset vector through real, protected and long mode to ring 3 and back by a system call, and
 * then counts for ever: what gdb is led through by modes.gdb. Linked at F0000h; 64 KiB.
 */
.intel_syntax noprefix
.code16
.text
.globl _start
_start:
real_mode:
	cli
	xor ax, ax
	mov ss, ax
	mov sp, 0x7c00
	call real_function
	mov ax, 0x2000
	mov ds, ax
	mov word ptr [0x10], 0x1234	/* linear 20010h */
	mov ds, cs:[zero - _start]
	lgdt cs:[gdtr - _start]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	.byte 0x66, 0xea
	.long protected_mode
	.word 8
real_function:
	mov bx, 0xbeef
	ret

.code32
.globl protected_mode, protected_function, long_mode, user_mode, counting
protected_mode:
	mov eax, 16
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, 0x7c00
	call protected_function
	/* Tables: PML4 at 1000h, PDPT 2000h, PD 3000h with one 2-MiB page, the user's too. */
	xor eax, eax
	mov edi, 0x1000
	mov ecx, 0xc00
	rep stosd
	mov dword ptr [0x1000], 0x2007
	mov dword ptr [0x2000], 0x3007
	mov dword ptr [0x3000], 0x87
	mov eax, 0x1000
	mov cr3, eax
	mov eax, 0x620
	mov cr4, eax
	mov ecx, 0xc0000080
	mov eax, 0x901
	xor edx, edx
	wrmsr
	mov eax, 0x80010033
	mov cr0, eax
	.byte 0xea
	.long long_mode
	.word 24
protected_function:
	mov ecx, 0x11223344
	add ecx, 1
	ret

.code64
long_mode:
	mov rax, 0x123456789abcdef0
	movq xmm0, rax
	fninit
	fld1
	mov ecx, 0xc0000081
	xor eax, eax
	mov edx, 0x230018
	wrmsr
	mov ecx, 0xc0000082
	lea rax, [rip + system_call]
	xor edx, edx
	wrmsr
	push 0x2b
	push 0x9000
	push 2
	push 0x33
	lea rax, [rip + user_mode]
	push rax
	iretq
user_mode:
	mov rdi, 7
	syscall
	mov rsi, 0x5000
counting:
	inc qword ptr [rsi]
	mov rax, [rsi]
	cmp rax, 20
	jne 1f
	mov qword ptr [rsi + 64], 0x77
1:	pause
	jmp counting
.globl system_call
system_call:
	add rdi, 35
	sysretq

.balign 8
zero:	.word 0
.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
	.quad 0x00cff3000000ffff, 0x00affb000000ffff
gdtr:	.word 7 * 8 - 1
	.long gdt
.org 0xfff0
.code16
.globl reset_vector
reset_vector:
	.byte 0xea
	.word 0, 0xf000
.org 0x10000
