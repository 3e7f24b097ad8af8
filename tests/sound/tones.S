/*
 * A boot sector that makes itself heard: a second of the speaker, of the Sound Blaster's samples and of its FM, with a third of a
 * second of silence behind each; then it switches the machine off. Sleeps between the timer's ticks, so that a busy host keeps up.
 */
	.code16
	.globl _start
_start:
	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7c00, %sp
	sti
	call	gap

	mov	$0xb6, %al		/* the speaker: 1193182 / 2711 = 440 Hz */
	out	%al, $0x43
	mov	$0x97, %al
	out	%al, $0x42
	mov	$0x0a, %al
	out	%al, $0x42
	in	$0x61, %al
	or	$3, %al
	out	%al, $0x61
	call	second
	in	$0x61, %al
	and	$0xfc, %al
	out	%al, $0x61
	call	gap

	mov	$0x2000, %ax		/* 11025 samples, 18 of each 36 up: 306 Hz; below 64 KiB, and not across a page of the DMA's */
	mov	%ax, %es
	xor	%di, %di
	mov	$0xb0, %al
2:	mov	$18, %cx
	rep stosb
	xor	$0xf0, %al
	cmp	$11025, %di
	jb	2b
	mov	$setup, %si		/* pairs of a port below 100h and a value */
3:	lodsw
	test	%al, %al
	jz	4f
	movzbw	%al, %dx
	mov	%ah, %al
	out	%al, %dx
	jmp	3b
4:	mov	$0x226, %dx		/* reset the DSP */
	mov	$1, %al
	out	%al, %dx
	mov	$100, %cx
5:	in	%dx, %al
	loop	5b
	xor	%al, %al
	out	%al, %dx
	mov	$0x22e, %dx
6:	in	%dx, %al
	test	%al, %al
	jns	6b
	mov	$0x22a, %dx
	in	%dx, %al		/* AAh */
	mov	$0x22c, %dx
	mov	$commands, %si
	mov	$(commands_end - commands), %cx
7:	in	%dx, %al
	test	%al, %al
	js	7b
	lodsb
	out	%al, %dx
	loop	7b
	call	second
	call	gap

	mov	$0x388, %dx
	mov	$fm, %si
8:	lodsw
	test	%al, %al
	jz	9f
	out	%al, %dx
	inc	%dx
	mov	%ah, %al
	out	%al, %dx
	dec	%dx
	jmp	8b
9:	call	second
	mov	$0xb0, %al
	out	%al, %dx
	inc	%dx
	xor	%al, %al
	out	%al, %dx
	call	gap
	mov	$0x604, %dx
	mov	$0x2000, %ax
	out	%ax, %dx
	hlt

gap:	mov	$6, %cx
	jmp	ticks
second:	mov	$18, %cx
ticks:	mov	0x46c, %ax
1:	hlt
	cmp	0x46c, %ax
	je	1b
	loop	ticks
	ret

/* DMA channel 1, single, from 20000h, 11025 bytes (8237A data sheet) */
setup:	.byte	0x0a, 5, 0x0c, 0, 0x0b, 0x49, 0x02, 0, 0x02, 0, 0x83, 2, 0x03, 0x10, 0x03, 0x2b, 0x0a, 1, 0
/* speaker on, time constant 256 - 1000000 / 11025, 8-bit single-cycle output */
commands:
	.byte	0xd1, 0x40, 165, 0x14, 0x10, 0x2b
commands_end:
/* the modulator is silent, the carrier a sine: 580 * 2^4 * 49716 / 2^20 = 440 Hz */
fm:	.byte	0x01, 0x20, 0x40, 0x3f, 0x60, 0xf0, 0x80, 0x0f, 0x23, 0x21, 0x43, 0x00, 0x63, 0xf0, 0x83, 0x0f
	.byte	0xc0, 0x01, 0xa0, 0x44, 0xb0, 0x32, 0
	.org	510
	.word	0xaa55
