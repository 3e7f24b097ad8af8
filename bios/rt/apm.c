/*
 * APM 1.2 BIOS (INT 15h AH=53h): the real-mode interface, and the connections from protected mode (apm_entry.S), with one
 * device class, "all devices"; idle halts, state 3 switches the machine off through the PIIX4.
 */
#include "bios/layout.h"
#include "bios/rt/rt.h"

#define CODE_BYTES 0xfff0

extern u8 apm_entry16[], apm_entry32[];
u8 apm_connected; /* 1: real mode, 2: 16-bit, 3: 32-bit protected mode */
static u8 version;

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

/* Errors 02h, 05h and 07h say which connection there is. */
static void connect(struct regs *r, u8 mode)
{
	static const u8 taken[] = {0, 0x02, 0x05, 0x07};
	if (r->bx) {
		apm_error(r, 0x09);
		return;
	}
	if (apm_connected) {
		apm_error(r, taken[apm_connected]);
		return;
	}
	apm_connected = mode;
	if (mode == 1)
		return;
	r->ax = RT_CS;
	r->esi = mode == 2 ? CODE_BYTES : (u32)CODE_BYTES << 16 | CODE_BYTES;
	r->di = RT_DATA_SIZE;
	if (mode == 2) {
		r->bx = (u16)(u32)apm_entry16;
		r->cx = RT_SEG;
	} else {
		r->ebx = (u16)(u32)apm_entry32;
		r->cx = RT_CS;
		r->dx = RT_SEG;
	}
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
		r->cx = 0x0003; /* 16-bit and 32-bit protected mode, too */
		break;
	case 0x01:
	case 0x02:
	case 0x03: connect(r, r->al); break;
	case 0x04:
		if (!apm_connected)
			apm_error(r, 0x03);
		apm_connected = 0;
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
