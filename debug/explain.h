/*
 * Why did it fault? Every exception the processor delivered lately, in words: the instruction, the check that failed, the
 * descriptor, page-table entry, gate, TSS, MSR or control bit it looked at with its value, and where the SDM says so.
 *
 * The facts come from the checks that executed (cpu/fault_log.h); here they are only put into words. What belongs to the
 * machine's thread is called there, or while the machine does not run.
 */
#ifndef ORRERY_DEBUG_EXPLAIN_H
#define ORRERY_DEBUG_EXPLAIN_H

#include "cpu/fault_log.h"
#include "debug/view.h"
#include "machine/machine.h"

/* What fault.value is; the rows of explain_rules.def name it. */
enum explain_value {
	EV_NONE, EV_NUMBER, EV_PTE, EV_EPTE, EV_LINEAR, EV_CODE, EV_OFFSET, EV_SEGMENT, EV_SELECTOR, EV_DESC, EV_GATE, EV_VECTOR,
	EV_TSS, EV_IOMAP, EV_PORT, EV_CPL, EV_RFLAGS, EV_CR0, EV_CR3, EV_CR4, EV_EFER, EV_XCR0, EV_DR6, EV_MSR, EV_MSRVALUE,
	EV_FEATURE, EV_X87, EV_MXCSR, EV_DIVISOR,
};

struct explain_rule {
	const char *why;
	enum explain_value value;
	const char *sdm;
	const char *hint; /* may be NULL */
};
/** The row of @why, or NULL. */
const struct explain_rule *explain_rule(const char *why);
/** The @i-th row, NULL behind the last. */
const struct explain_rule *explain_rule_at(unsigned i);

/* Whoever knows names of addresses; fn writes "symbol+0x12", or nothing, and returns @buf. */
struct explain_names {
	const char *(*fn)(const void *ctx, u64 addr, char *buf, size_t n);
	const void *ctx;
};

/** One record. @names may be NULL. A new reference; NULL: no memory. */
json_t *explain_record(struct cpu *cpu, const struct fault_record *r, const struct explain_names *names);
/**
 * The newest delivery on processor @cpu, or the newest that began with or met exception @vector (-1: any): the whole chain of
 * exceptions, each with its own explanation. A tree that says so where there was none.
 */
json_t *explain_last(struct machine *m, unsigned cpu, int vector, const struct explain_names *names);
/** Shutdown of processor @cpu: the chain, its state, the code and stack where it stood. The machine must still be as it was then. */
json_t *explain_shutdown(struct machine *m, unsigned cpu, const struct explain_names *names);
/** The newest @max exceptions of all processors, newest first, as a table. */
json_t *explain_list(struct machine *m, unsigned max);

/** The text of what the functions above return; malloc'ed, lines end in \n. NULL: no memory. */
char *explain_to_text(const json_t *tree);

#endif
