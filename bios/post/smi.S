/*
 * What runs in system management mode. The processor enters at SMBASE + 8000h as in real mode, with segments at 0 that reach 4 GiB, and RSM
 * gives back every register, so nothing is saved. Both pieces are copied to where they run (post/smm.c).
 */
#include "bios/layout.h"

#define PM1_CNT      0x604 /* as post/pci.c places it */
#define ACPI_ENABLE  0xf1
#define ACPI_DISABLE 0xf0
#define SCI_EN       1

	.code16
	.text
/* The first SMI after reset: takes SMBASE from smm_base to the state-save map, whose form the revision tells (AMD64's, or that of the P6). */
	.globl smm_relocate, smm_relocate_end, smm_handler, smm_handler_end
smm_relocate:
	movl $SMBASE_RESET + 0xfef8, %esi
	addr32 cmpw $0x64, SMBASE_RESET + 0xfefc
	jne 1f
	movl $SMBASE_RESET + 0xff00, %esi
1:	addr32 movl RT_BASE + smm_base, %eax
	addr32 movl %eax, (%esi)
	addr32 movl $0, RT_BASE + smm_base
	rsm
smm_relocate_end:

/* Every other: port B2h holds what the system wants. */
smm_handler:
	inb $0xb2, %al
	movw $PM1_CNT, %dx
	cmpb $ACPI_ENABLE, %al
	je 1f
	cmpb $ACPI_DISABLE, %al
	jne 3f
	inw %dx, %ax
	andw $~SCI_EN, %ax
	jmp 2f
1:	inw %dx, %ax
	orw $SCI_EN, %ax
2:	outw %ax, %dx
	xorb %al, %al
	outb %al, $0xb3
3:	rsm
smm_handler_end:

	.section .note.GNU-stack, "", %progbits
