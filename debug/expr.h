/*
 * Expressions of the debugger: conditions, addresses, values. All arithmetic is on unsigned 64-bit numbers.
 *
 *   numbers     10, 0x1f, 0b101, 'A'
 *   registers   $rax or rax, eax, ax, al; rip, rflags; cs, cs.base, cs.limit; cr0..; dr0..; gdtr.base; efer; cpl; cpu;
 *               icount; xmm0 (low half)
 *   flags       $cf $pf $af $zf $sf $tf $if $df $of
 *   MSRs        msr[0xc0000080]
 *   memory      byte[A] word[A] dword[A] qword[A] by linear address; pbyte[A].. by physical; *A is as wide as the mode
 *   symbols     start_kernel, or &name where a register has the same name
 *   of a stop   $value $old $addr $size $n $write (what a watched access, port, MSR... saw)
 *   operators   ! ~ - * / % + << >> < <= > >= == != & ^ | && || ?: ( ), as in C
 */
#ifndef ORRERY_DEBUG_EXPR_H
#define ORRERY_DEBUG_EXPR_H

#include "base/types.h"
#include "machine/errtext.h"

struct debugger;
struct cpu;
struct seen;
struct expr;

/** Parses the whole of @text, or with @rest up to where it cannot go on (then *@rest points there). NULL with a message. */
struct expr *expr_parse(struct debugger *d, const char *text, const char **rest, struct errtext *e);
void expr_free(struct expr *x);
/** 0, or -EFAULT (memory is not there), -ENOENT (no such thing now), with a message. @seen may be NULL. */
MUST_CHECK int expr_eval(const struct expr *x, struct debugger *d, struct cpu *cpu, const struct seen *seen, u64 *value,
			 struct errtext *e);
/** Both at once, on the selected processor. */
MUST_CHECK int expr_value(struct debugger *d, const char *text, const char **rest, u64 *value, struct errtext *e);

/** A register by its name (as above, without $). False: there is none. */
bool expr_reg_get(struct cpu *cpu, const char *name, u64 *value);
/** Writes it; derived state follows. False: none, or not writable. On the machine's thread, while it stands. */
bool expr_reg_set(struct cpu *cpu, const char *name, u64 value);

#endif
