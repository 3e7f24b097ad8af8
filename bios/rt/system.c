/* INT 15h: A20, block move, memory sizes, system configuration, waits, joystick; PS/2 mouse and APM
 * elsewhere. */
#include "bios/rt/clock.h"

extern const u8 system_configuration[];

static void a20(struct regs *r)
{
	u8 v = inb(0x92);
	ok(r);
	switch (r->al) {
	case 0: outb(0x92, v & 0xfc); break;
	case 1: outb(0x92, (u8)((v & 0xfe) | 2)); break;
	case 2: r->al = v >> 1 & 1; break;
	case 3: r->bx = 3; break; /* both the 8042 and port 92h */
	default: fail_ah(r, 0x86); return;
	}
	r->ah = 0;
}

/* AH=87h: ES:SI is a table of six descriptors whose fourth and fifth are ours to fill. */
static void block_move(struct regs *r)
{
	if (in_v86()) { /* a memory manager that runs us this way does it itself */
		fail_ah(r, 3);
		return;
	}
	u8 a20_was = inb(0x92);
	u32 table = r->es * 16u + r->si;
	poke16(r->es, r->si + 0x08u, 0x2f);
	poke16(r->es, r->si + 0x0au, (u16)table);
	poke8(r->es, r->si + 0x0cu, (u8)(table >> 16));
	poke8(r->es, r->si + 0x0du, 0x93);
	poke16(r->es, r->si + 0x0eu, 0);
	poke32(r->es, r->si + 0x20u, 0x0000ffff);
	poke32(r->es, r->si + 0x24u, 0x00009b0f);
	poke32(r->es, r->si + 0x28u, (u32)((RT_BASE & 0xffff) << 16 | 0xffff));
	poke32(r->es, r->si + 0x2cu, 0x00009300 | RT_BASE >> 16);
	outb(0x92, (u8)((a20_was & 0xfe) | 2));
	move_block(table, r->cx);
	outb(0x92, a20_was & 0xfe);
	r->ah = 0;
	ok(r);
}

static void e820(struct regs *r)
{
	if (r->edx != 0x534d4150 || r->ebx >= e820_count || r->ecx < 20) { /* "SMAP" */
		fail_ah(r, 0x86);
		return;
	}
	far_write(r->es, r->di, &e820_map[r->ebx], 20);
	r->eax = 0x534d4150;
	r->ecx = 20;
	r->ebx = r->ebx + 1 < e820_count ? r->ebx + 1 : 0;
	ok(r);
}

/* KiB from 1 MiB to 16 MiB in @a, 64-KiB blocks above in @b. */
static void sizes(u16 *a, u16 *b)
{
	u32 m = memory_below_4g;
	*a = m <= 0x100000 ? 0 : (u16)(MIN(m, 0x1000000u) - 0x100000 + 0) / 1024;
	if (m > 0x100000)
		*a = (u16)((MIN(m, 0x1000000u) - 0x100000) >> 10);
	*b = m > 0x1000000 ? (u16)((m - 0x1000000) >> 16) : 0;
}

static void big_memory(struct regs *r)
{
	u16 a, b;
	sizes(&a, &b);
	switch (r->al) {
	case 0x01:
		r->ax = r->cx = a;
		r->bx = r->dx = b;
		ok(r);
		break;
	case 0x20: e820(r); break;
	case 0x81:
		r->eax = r->ecx = a;
		r->ebx = r->edx = b;
		ok(r);
		break;
	default: fail_ah(r, 0x86); break;
	}
}

void int_15(struct regs *r)
{
	switch (r->ah) {
	case 0x24: a20(r); break;
	case 0x4f: break; /* CF stays set: the key is not swallowed */
	case 0x53: apm(r); break;
	case 0x52:
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x85:
	case 0x90:
	case 0x91:
		r->ah = 0;
		ok(r);
		break;
	case 0x83:
	case 0x86: wait_service(r); break;
	case 0x87: block_move(r); break;
	case 0x88:
		r->ax = memory_below_4g <= 0x100000
			    ? 0
			    : (u16)MIN((memory_below_4g - 0x100000) >> 10, 0xfc00u);
		ok(r);
		break;
	case 0xc0:
		r->es = RT_CS;
		r->bx = (u16)(u32)system_configuration;
		r->ah = 0;
		ok(r);
		break;
	case 0xc1:
		r->es = bda16(0x0e);
		ok(r);
		break;
	case 0xc2: mouse_service(r); break;
	case 0xe8: big_memory(r); break;
	default: fail_ah(r, 0x86); break;
	}
}
