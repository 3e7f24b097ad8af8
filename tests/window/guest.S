/*
 * The guest of tests/window: says on COM1 what comes from keyboard ("k 1e") and mouse ("m 08"), draws a text screen of its own,
 * powers off when the power button is pressed unless an 'n' (31h) came before. Polls; no interrupts. The mouse is given a wheel.
 * From the first 't' (14h) on it asks the USB tablet for positions, too ("t 01" and five more bytes).
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
1:	cmpb	$0, tablet
	je	1f
	call	tablet_report
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
3:	cmp	$0x14, %bl
	jne	5f
	cmpb	$0, tablet
	jne	5f
	call	tablet_on
5:	cmp	$0x31, %bl
	jne	4f
	movb	$1, stubborn
4:	call	say
	jmp	events
2:	pause
	jmp	events

/* AL, a space, the byte in BL */
say:	call	put
	mov	$' ', %al
	call	put
	mov	%bl, %al
	shr	$4, %al
	call	nibble
	mov	%bl, %al
	and	$15, %al
	call	nibble
	mov	$'\n', %al
	jmp	put

/* UHCI (00:01.2) with one queue; the tablet keeps address 0. Frame list, queue head and transfers stand at 2 MiB. */
#define UHCI   0xc0e0
#define FRAMES 0x200000
#define QH     0x201000
#define TD     0x201100
#define SETUP  0x201200
#define ACTIVE 0x18800000
tablet_on:
	mov	$0x80000a20, %eax
	mov	$(UHCI | 1), %ecx
	call	pci_write
	mov	$0x80000a04, %eax
	mov	$5, %ecx
	call	pci_write
	mov	$FRAMES, %edi
	mov	$1024, %ecx
	mov	$(QH | 2), %eax
	rep stosl
	movl	$1, QH
	movl	$1, QH + 4
	mov	$(UHCI + 8), %dx
	mov	$FRAMES, %eax
	out	%eax, %dx
	mov	$(UHCI + 0x10), %dx /* reset of port 1, then enable */
	mov	$0x200, %ax
	out	%ax, %dx
	xor	%eax, %eax
	out	%ax, %dx
	mov	$0x0e, %ax
	out	%ax, %dx
	mov	$UHCI, %dx
	mov	$0xc1, %ax
	out	%ax, %dx
	movl	$0x00010900, SETUP /* SET_CONFIGURATION 1 */
	movl	$0, SETUP + 4
	movl	$(TD + 0x20 + 4), TD
	movl	$ACTIVE, TD + 4
	movl	$(7 << 21 | 0x2d), TD + 8
	movl	$SETUP, TD + 12
	movl	$1, TD + 0x20
	movl	$ACTIVE, TD + 0x24
	movl	$(0x7ff << 21 | 0x69), TD + 0x28
	movl	$0, TD + 0x2c
	movl	$TD, QH + 4
1:	pause
	testl	$0x800000, TD + 0x24
	jnz	1b
	movb	$1, tablet
ask:	movl	$1, TD
	movl	$ACTIVE, TD + 4
	movl	$(5 << 21 | 1 << 15 | 0x69), TD + 8
	movl	$(SETUP + 16), TD + 12
	movl	$TD, QH + 4
	ret

tablet_report:
	testl	$0x800000, TD + 4
	jnz	1f
	mov	$(SETUP + 16), %esi
	mov	$6, %ecx
2:	mov	(%esi), %bl
	mov	$'t', %al
	call	say
	inc	%esi
	loop	2b
	jmp	ask
1:	ret

pci_write: /* ECX to the register that EAX names */
	mov	$0xcf8, %dx
	out	%eax, %dx
	mov	$0xcfc, %dx
	mov	%ecx, %eax
	out	%eax, %dx
	ret

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
tablet:	.byte	0
	.section .bss
	.skip	4096
stack:
