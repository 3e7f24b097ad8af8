/*
 * The guest of tests/window: says on COM1 what comes from keyboard ("k 1e") and mouse ("m 08"), draws a text screen of its own,
 * powers off when the power button is pressed unless an 'n' (31h) came before. Polls; no interrupts. The mouse is given a wheel.
 */
	.code32
	.section .text
	.globl _start
	.balign 4
	.long 0x1badb002, 0x0, -0x1badb002
_start:
	cli
	mov	$stack, %esp
	mov	$0x60, %al		/* translation on, no interrupts */
	out	%al, $0x64
	call	wait_in
	mov	$0x40, %al
	out	%al, $0x60
	mov	$mouse_setup, %esi
1:	lodsb
	test	%al, %al
	jz	2f
	mov	%al, %bl
	call	wait_in
	mov	$0xd4, %al
	out	%al, $0x64
	call	wait_in
	mov	%bl, %al
	out	%al, $0x60
	call	read_byte		/* ACK */
	jmp	1b
2:	call	paint
	mov	$ready, %esi
	call	print
events:
	mov	$0x600, %dx		/* PM1 status: bit 8 is the power button (ACPI 4.8.3.1) */
	in	%dx, %ax
	test	$0x100, %ax
	jz	1f
	mov	$0x100, %ax
	out	%ax, %dx
	cmpb	$0, stubborn
	jne	1f
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
1:	in	$0x64, %al
	test	$1, %al
	jz	2f
	mov	%al, %ah
	in	$0x60, %al
	mov	%al, %bl
	mov	$'k', %al
	test	$0x20, %ah
	jz	3f
	mov	$'m', %al
	jmp	4f
3:	cmp	$0x31, %bl
	jne	4f
	movb	$1, stubborn
4:	call	put
	mov	$' ', %al
	call	put
	mov	%bl, %al
	shr	$4, %al
	call	nibble
	mov	%bl, %al
	and	$15, %al
	call	nibble
	mov	$'\n', %al
	call	put
	jmp	events
2:	pause
	jmp	events

wait_in:
	in	$0x64, %al
	test	$2, %al
	jnz	wait_in
	ret

read_byte:
	in	$0x64, %al
	test	$1, %al
	jz	read_byte
	in	$0x60, %al
	ret

nibble:
	add	$'0', %al
	cmp	$'9', %al
	jbe	put
	add	$'a' - '9' - 1, %al
put:	push	%edx
	mov	$0x3f8, %dx
	out	%al, %dx
	pop	%edx
	ret

print:	lodsb
	test	%al, %al
	jz	1f
	call	put
	jmp	print
1:	ret

/* Every character in every colour: a picture in which each shifted pixel shows. */
paint:	mov	$0xb8000, %edi
	xor	%ecx, %ecx
1:	mov	%cl, %al
	mov	%ecx, %edx
	shr	$3, %edx
	mov	%dl, %ah
	and	$0x7f, %ah
	stosw
	inc	%ecx
	cmp	$2000, %ecx
	jb	1b
	ret

	.section .data
mouse_setup:
	.byte	0xff, 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf3, 200, 0xf4, 0
ready:	.asciz	"ready\n"
stubborn: .byte	0
	.section .bss
	.skip	4096
stack:
