/*
 * APM 1.2 BIOS (INT 15h AH=53h): real-mode interface with one device class, "all devices"; idle
 * halts, state 3 switches the machine off through the PIIX4. Protected-mode connections are
 * refused.
 */
#include "bios/rt/rt.h"

static u8 connected, version;

static void apm_error(struct regs *r, u8 code)
{
	r->ah = code;
	fail(r);
}

static void power_off(void)
{
	u16 pm = 0x600;
	outl(0xcf8, 0x80000b40); /* 00:01.3, PMBA */
	u32 base = inl(0xcfc);
	if ((base & 1) && (base & 0xffc0))
		pm = base & 0xffc0;
	outw(pm + 4, 0x2000); /* SLP_EN, SLP_TYP 0 */
}

static void set_state(struct regs *r)
{
	if (r->bx != 1 && r->bx != 0x01ff) {
		apm_error(r, 0x09);
		return;
	}
	if (r->cx == 3)
		power_off();
	else if (r->cx > 4)
		apm_error(r, 0x0a);
}

void apm(struct regs *r)
{
	ok(r);
	switch (r->al) {
	case 0x00: /* installation check */
		if (r->bx) {
			apm_error(r, 0x09);
			break;
		}
		r->ax = 0x0102;
		r->bx = 0x504d;
		r->cx = 0x0000;
		break;
	case 0x01:
		if (connected)
			apm_error(r, 0x02);
		connected = 1;
		break;
	case 0x02: apm_error(r, 0x06); break;
	case 0x03: apm_error(r, 0x08); break;
	case 0x04:
		if (!connected)
			apm_error(r, 0x03);
		connected = 0;
		break;
	case 0x05: wait_irq(); break;
	case 0x06: break;
	case 0x07: set_state(r); break;
	case 0x08:
	case 0x0d:
	case 0x0f:
	case 0x10: break;
	case 0x0a: /* power status: mains, no battery */
		r->bx = 0x01ff;
		r->cx = 0x80ff;
		r->dx = 0xffff;
		r->si = 0;
		break;
	case 0x0b: apm_error(r, 0x80); break; /* no event */
	case 0x0c: r->cx = 0; break;
	case 0x0e: /* driver version */
		version = 1;
		r->ax = 0x0102;
		break;
	default: apm_error(r, 0x09); break;
	}
}
