/*
 * A small binary translator: the guest's ring-0 code is rewritten, block by block, into code that runs in ring 3. Innocuous
 * instructions are copied; CLI, STI, PUSHF, POPF become a few instructions on a virtual interrupt flag; the other sensitive ones call
 * out. It knows the instructions that the labs' guests use, and stops a guest at one that it does not.
 */
#ifndef LAB_BT_H
#define LAB_BT_H

#include "lab.h"

#define BT_VECTOR_CALL 48   /* INT: a sensitive instruction */
#define BT_VECTOR_BRANCH 49 /* INT: the way to a block that is not translated yet */
#define BT_VECTOR_RET 47    /* INT: RET */

struct bt {
	uw blocks, insns, inlined, callouts; /* translated so far */
	uw refused;			     /* address of what it does not know; 0: nothing */
};
extern struct bt bt;
extern volatile u8 bt_vif; /* the guest's interrupt flag; in a page that translated code may write */

/* Forgets all translations. */
void bt_reset(void);
/* Runs the guest's @fn to its RET. @emulate carries out the guest's instruction at @ip (its length; 0: the guest is stopped). */
struct outcome *bt_run(uw fn, uw arg, unsigned (*emulate)(struct trap *t, const u8 *ip));
/* From lab_hook: true if the trap was the translator's. */
int bt_trap(struct trap *t);
/* The guest's address for @ip in translated code; *@exact: it is the beginning of what one guest instruction became. 0: none. */
uw bt_guest_ip(uw ip, int *exact);

#endif
