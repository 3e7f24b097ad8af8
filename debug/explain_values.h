/* Architectural values in words, for explanations: shared by debug/explain*.c only. */
#ifndef ORRERY_DEBUG_EXPLAIN_VALUES_H
#define ORRERY_DEBUG_EXPLAIN_VALUES_H

#include "debug/explain.h"

#define VALUE_TEXT 400

/* All write at most VALUE_TEXT bytes to @t, terminated. */
/** A descriptor of the GDT or LDT, gates included. @lma: IA-32e mode, where types mean other things. */
void value_desc(char *t, u64 raw, bool lma);
/** A gate of the IDT. @high: its upper half in IA-32e mode. */
void value_gate(char *t, u64 raw, u64 high, bool lma);
void value_selector(char *t, u16 sel);
/** The flags of a paging-structure entry of @size (4, 8) bytes; @leaf: it maps a page. */
void value_pte(char *t, u64 e, unsigned size, bool leaf);
void value_epte(char *t, u64 e, bool leaf);
/** A segment register's hidden part. */
void value_segment(char *t, const struct seg *s, u64 base);
/** Names of the bits of CR0, CR4, EFER, RFLAGS, XCR0, MXCSR, DR6, the x87 status word, a #PF error code. */
void value_cr0(char *t, u64 v);
void value_cr4(char *t, u64 v);
void value_efer(char *t, u64 v);
void value_rflags(char *t, u64 v);
void value_xcr0(char *t, u64 v);
void value_mxcsr(char *t, u64 v);
void value_dr6(char *t, u64 v);
void value_x87(char *t, u64 v);
void value_pf(char *t, u32 err);
/** An error code that is a selector (SDM Vol. 3A, 6.13). */
void value_error(char *t, u32 err);
/** Numbers of the bits that are set: "bits 63, 13:12". */
void value_bits(char *t, u64 v);
/** "#GP", "general protection". */
const char *exception_name(unsigned vector);
const char *exception_title(unsigned vector);
extern const char *const segment_names[NSEGS];

#endif
