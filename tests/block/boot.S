/* A boot sector: adds one to the first byte of sector 100 of the disk it came from, on the disk, and ends with that byte on
 * port E9h. */
	.code16
	.globl _start
_start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	mov	%dl, drive
	mov	$0x4200, %ax		/* INT 13h extensions: read */
	call	disk
	incb	0x8000
	mov	$0x4300, %ax		/* write */
	call	disk
	mov	$0x4200, %ax
	call	disk
	mov	0x8000, %al
	outb	%al, $0xe9
	mov	$0x10, %al
	outb	%al, $0xf4
disk:
	mov	$packet, %si
	mov	drive, %dl
	int	$0x13
	jc	fail
	ret
fail:
	mov	%ah, %al
	outb	%al, $0xf4
	hlt
	jmp	fail
packet:
	.byte	16, 0
	.word	8, 0x8000, 0
	.quad	100
drive:
	.byte	0
	.org	510
	.word	0xaa55
