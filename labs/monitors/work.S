/*
 * The guest of the four monitors: a kernel's everyday operations, each a hundred times. It believes to be in ring 0.
 * work_NAME: as written for the bare machine. para_NAME: the same, rewritten to ask the monitor (hypercalls).
 */
#define N 100
	.section .user, "ax"
	.macro WORK name
	.globl work_\name
work_\name:
	movl $N, %r8d
1:
	.endm
	.macro END
	decl %r8d
	jnz 1b
	ret
	.endm

	WORK plain		/* nothing sensitive */
	addq $3, %rax
	xorq %r8, %rax
	addq %rax, %rdx
	END

	WORK masks		/* a lock: interrupts off and on */
	cli
	sti
	END

	WORK flags		/* the same, restoring what was */
	pushfq
	cli
	popfq
	END

	WORK cr3		/* a switch of address spaces */
	movq %cr3, %rax
	movq %rax, %cr3
	END

	WORK out		/* a device */
	outb %al, $0x80
	END

	WORK sidt		/* where is my IDT? */
	leaq 64(%rdi), %rdi
	subq $64, %rdi
	sidt (%rdi)
	END

	WORK cpuid
	xorl %eax, %eax
	cpuid
	END

	/* Is this the bare machine? RAX: 1 CS is not of ring 0; 2 IF is not what CLI made it; 4 not our IDT; 8 POPF did not restore IF.
	 * RDI: a page to write to: 16 bytes of scratch, at 32 the IDT's address. */
	.globl work_look
work_look:
	xorl %r9d, %r9d
	movl %cs, %eax
	testl $3, %eax
	jz 1f
	orl $1, %r9d
1:	sti
	cli
	pushfq
	popq %rax
	testl $0x200, %eax
	jz 1f
	orl $2, %r9d
1:	sidt (%rdi)
	movq 2(%rdi), %rax
	cmpq 32(%rdi), %rax
	jz 1f
	orl $4, %r9d
1:	sti
	pushfq
	cli
	popfq
	pushfq
	popq %rax
	testl $0x200, %eax
	jnz 1f
	orl $8, %r9d
1:	movl %r9d, %eax
	ret

	/* Misbehaviour. */
	.globl work_write, work_loop, work_undefined
work_write:		/* RDI: the monitor's memory */
	movl $0, (%rdi)
	ret
work_loop:
	cli
1:	jmp 1b
work_undefined:
	ud2

/* ---- paravirtual: RAX is the hypercall, RDX its argument; the interrupt flag is a byte shared with the monitor ---- */
	.macro PARA name
	.globl para_\name
para_\name:
	movl $N, %r8d
1:
	.endm

	PARA plain
	addq $3, %rax
	xorq %r8, %rax
	addq %rax, %rdx
	END
	PARA masks
	movb $0, bt_vif
	movb $1, bt_vif
	END
	PARA flags
	movzbl bt_vif, %eax
	movb $0, bt_vif
	movb %al, bt_vif
	END
	PARA cr3
	movl $1, %eax
	int $48
	movq %rax, %rdx
	movl $2, %eax
	int $48
	END
	PARA out
	movl $3, %eax
	int $48
	END
	PARA sidt		/* it knows its own */
	movq 32(%rdi), %rax
	END
	PARA cpuid
	movl $4, %eax
	int $48
	END
	.globl para_loop
para_loop:
	movb $0, bt_vif
1:	jmp 1b
	.globl para_bad		/* a hypercall that does not exist */
para_bad:
	movl $999, %eax
	int $48
	ret
	.section .note.GNU-stack, "", %progbits
