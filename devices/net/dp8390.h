/* The DP8390 network interface controller as it sits on an NE2000: 32 ports, 16 KiB of buffer
 * memory, an address PROM. */
#ifndef ORRERY_DP8390_H
#define ORRERY_DP8390_H

#include "devices/net/nic.h"

#define DP8390_MEM_START 0x4000u
#define DP8390_MEM_END   0x8000u
#define DP8390_PORTS     32u

struct dp8390 {
	u8 mem[DP8390_MEM_END - DP8390_MEM_START];
	u8 prom[32];
	u8 cr, isr, imr, rcr, tcr, dcr, tsr, rsr;
	u8 pstart, pstop, bnry, tpsr, curr, next_remote;
	u16 tbcr, rsar, rbcr;
	u8 par[6], mar[8];
	u8 tally[3]; /* frame alignment errors, CRC errors, missed packets */
	bool rtl8029;
	struct nic *nic;                           /* host side */
	void (*irq)(struct device *d, bool level); /* drives the interrupt output */
};
extern const struct snapshot_desc dp8390_snapshot;

/** Power-on: the PROM from the card's address. */
void dp8390_init(struct dp8390 *c, struct nic *nic, void (*irq)(struct device *, bool));
void dp8390_reset(struct dp8390 *c);
/** Ports 0..31; @size 1, 2 or 4. */
u32 dp8390_read(struct dp8390 *c, unsigned port, unsigned size);
void dp8390_write(struct dp8390 *c, unsigned port, u32 v, unsigned size);
/** As struct port_run_ops has them. */
u32 dp8390_read_run(struct dp8390 *c, unsigned port, unsigned size, u8 *data, u32 count);
u32 dp8390_write_run(struct dp8390 *c, unsigned port, unsigned size, const u8 *data, u32 count);
/** For struct nic_ops. */
unsigned dp8390_room(const struct dp8390 *c);
void dp8390_receive(struct dp8390 *c, const u8 *frame, size_t bytes);

#endif
