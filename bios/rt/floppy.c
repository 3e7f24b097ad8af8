/*
 * INT 13h for diskettes: 82077AA controller at 3F0h, data through 8237 channel 2, IRQ 6 with its
 * flag at 40:3Eh, media state at 40:90h, parameters through the vector of INT 1Eh.
 */
#include "bios/rt/disk.h"

#define DOR  0x3f2
#define MSR  0x3f4
#define FIFO 0x3f5
#define DIR  0x3f7
#define CCR  0x3f7

/* By CMOS type: 360 KB, 1.2 MB, 720 KB, 1.44 MB, 2.88 MB (types 5 and 6). */
static const struct {
	u8 cylinders, heads, spt, rate, gap;
} types[] = {{0, 0, 0, 0, 0},      {40, 2, 9, 2, 0x2a},  {80, 2, 15, 0, 0x1b}, {80, 2, 9, 2, 0x2a},
	     {80, 2, 18, 0, 0x1b}, {80, 2, 36, 3, 0x1b}, {80, 2, 36, 3, 0x1b}};

void irq_floppy(struct regs *r)
{
	set8(0x3e, bda8(0x3e) | 0x80);
	eoi_master();
}

static void finish(struct regs *r, u8 status)
{
	set8(0x41, status);
	r->ah = status;
	if (status)
		fail(r);
	else
		ok(r);
}

static u8 parameter(u8 n)
{
	return peek8(peek16(0, 0x1e * 4 + 2), (u16)(peek16(0, 0x1e * 4) + n));
}

static bool await_fifo(u8 direction)
{
	struct deadline d;
	deadline_set(&d, 1000);
	while ((inb(MSR) & 0xc0) != (0x80 | direction))
		if (expired(&d))
			return false;
	return true;
}

static bool send(const u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!await_fifo(0))
			return false;
		outb(FIFO, bytes[i]);
	}
	return true;
}

static bool receive(u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!await_fifo(0x40))
			return false;
		bytes[i] = inb(FIFO);
	}
	return true;
}

static bool await_irq(void)
{
	struct deadline d;
	deadline_set(&d, 3000);
	while (!(bda8(0x3e) & 0x80)) {
		if (expired(&d))
			return false;
		let_irqs();
	}
	set8(0x3e, bda8(0x3e) & 0x7f);
	return true;
}

static bool sense_interrupt(u8 *st0)
{
	u8 c = 0x08, answer[2];
	if (!send(&c, 1) || !receive(answer, 2))
		return false;
	*st0 = answer[0];
	return true;
}

static bool reset_controller(void)
{
	u8 st0, specify[3] = {0x03, parameter(0), parameter(1) & 0xfe};
	u8 dor = inb(DOR);
	outb(0x21, inb(0x21) & 0xbf);
	set8(0x3e, 0);
	outb(DOR, dor & 0xf8);
	delay_us(20);
	outb(DOR, (u8)((dor & 0xf0) | 0x0c));
	if (!await_irq())
		return false;
	for (unsigned i = 0; i < 4; i++)
		sense_interrupt(&st0);
	return send(specify, 3);
}

static void motor_on(u8 unit)
{
	set8(0x40, 0xff);
	u8 was = bda8(0x3f), bit = (u8)(1 << unit);
	outb(DOR, (u8)(0x0c | unit | bit << 4));
	if (!(was & bit))
		delay_us(20000);
	set8(0x3f, (was & 0xf0) | bit);
	set8(0x40, parameter(2));
}

static u8 seek_wait(void)
{
	u8 st0 = 0;
	if (!await_irq() || !sense_interrupt(&st0))
		return DISK_TIMEOUT;
	return (st0 & 0xe0) == 0x20 ? 0 : DISK_SEEK;
}

static u8 recalibrate(u8 unit)
{
	u8 c[2] = {0x07, unit};
	if (!send(c, 2))
		return DISK_CONTROLLER;
	u8 e = seek_wait();
	if (!e) {
		set8(0x3e, bda8(0x3e) | 1 << unit);
		set8(0x94u + unit, 0);
	}
	return e;
}

static u8 seek(u8 unit, u8 cylinder, u8 head)
{
	u8 c[3] = {0x0f, (u8)(head << 2 | unit), cylinder}, e = 0;
	if (!(bda8(0x3e) & 1 << unit))
		e = recalibrate(unit);
	if (e || bda8(0x94u + unit) == cylinder)
		return e;
	if (!send(c, 3))
		return DISK_CONTROLLER;
	e = seek_wait();
	set8(0x94u + unit, cylinder);
	return e;
}

static u8 drive_type(u8 unit)
{
	return unit < floppy_count ? drives[floppy_map[unit]].media : 0;
}

static u8 set_dma(u32 linear, u32 bytes, u8 operation)
{
	if ((linear & 0xffff) + bytes > 0x10000)
		return DISK_BOUNDARY;
	outb(0x0a, 0x06);
	outb(0x0c, 0);
	outb(0x0b, operation == DISK_READ ? 0x46 : operation == DISK_WRITE ? 0x4a : 0x42);
	outb(0x04, (u8)linear);
	outb(0x04, (u8)(linear >> 8));
	outb(0x81, (u8)(linear >> 16));
	outb(0x05, (u8)(bytes - 1));
	outb(0x05, (u8)((bytes - 1) >> 8));
	outb(0x0a, 0x02);
	return 0;
}

static u8 result_code(const u8 *st)
{
	if (!(st[0] & 0xc0))
		return 0;
	if (st[0] & 0x08)
		return DISK_TIMEOUT;
	if (st[1] & 0x02)
		return DISK_PROTECTED;
	if (st[1] & 0x20)
		return DISK_BAD_CRC;
	if (st[1] & 0x05)
		return st[1] & 0x01 ? DISK_ADDRESS_MARK : DISK_NOT_FOUND;
	return st[1] & 0x80 ? DISK_NOT_FOUND : DISK_CONTROLLER;
}

/* One command that ends with seven result bytes. */
static u8 run(const u8 *c, unsigned n)
{
	u8 st[7];
	if (!send(c, n))
		return DISK_CONTROLLER;
	if (!await_irq()) {
		reset_controller();
		return DISK_TIMEOUT;
	}
	return receive(st, 7) ? result_code(st) : DISK_CONTROLLER;
}

/* The change line: a new diskette may be of another kind. True: it was changed. */
static bool changed(u8 unit)
{
	if (!(inb(DIR) & 0x80))
		return false;
	set8(0x90u + unit, bda8(0x90u + unit) & ~0x10);
	/* stepping clears the line if there is a diskette */
	u8 c[3] = {0x0f, unit, 1};
	if (!(bda8(0x3e) & 1 << unit))
		recalibrate(unit);
	if (send(c, 3))
		seek_wait();
	recalibrate(unit);
	return true;
}

static const u8 rates_of[7][3] = {{0, 0, 0}, {2, 2, 2}, {0, 1, 2}, {2, 2, 2},
				  {0, 2, 2}, {3, 0, 2}, {3, 0, 2}};

/* Finds the diskette's data rate by reading an address mark; 40:90h keeps it. */
static u8 know_media(u8 unit)
{
	u8 state = bda8(0x90u + unit), type = drive_type(unit);
	if (state & 0x10)
		return 0;
	u8 e = recalibrate(unit);
	if (e)
		return e;
	for (unsigned i = 0; i < 3; i++) {
		u8 rate = rates_of[type][i], c[2] = {0x4a, unit};
		outb(CCR, rate);
		e = run(c, 2);
		if (!e) {
			set8(0x90u + unit, rate << 6 | 0x10 | 0x07);
			return 0;
		}
		if (e == DISK_TIMEOUT)
			break;
	}
	return e == DISK_ADDRESS_MARK || e == DISK_CONTROLLER ? DISK_TIMEOUT : e;
}

static u8 prepare(u8 unit)
{
	motor_on(unit);
	if (changed(unit)) {
		if (inb(DIR) & 0x80)
			return DISK_TIMEOUT;     /* still set after stepping: no diskette */
		if (bda8(0x90u + unit) & 0x08) { /* and it had been accessed */
			set8(0x90u + unit, bda8(0x90u + unit) & ~0x08);
			return DISK_CHANGED;
		}
	}
	u8 e = know_media(unit);
	outb(CCR, bda8(0x90u + unit) >> 6);
	if (!e)
		set8(0x90u + unit, bda8(0x90u + unit) | 0x08);
	return e;
}

static u8 move(struct regs *r, u8 unit, u8 operation)
{
	u8 cylinder = r->ch, head = r->dh, sector = r->cl & 63, spt = parameter(4);
	u32 linear = r->es * 16u + r->bx, bytes = r->al * 512u;
	if (!r->al || r->al > 72 || head > 1 || !sector)
		return DISK_BAD_COMMAND;
	u8 e = prepare(unit);
	if (e || (e = set_dma(linear, bytes, operation == DISK_VERIFY ? DISK_VERIFY : operation)))
		return e;
	if ((e = seek(unit, cylinder, head)))
		return e;
	bool both = sector + r->al - 1u > spt && head == 0; /* on to the other side */
	u8 c[9] = {(u8)((operation == DISK_WRITE ? 0x45 : 0x46) | (both ? 0x80 : 0)),
		   (u8)(head << 2 | unit),
		   cylinder,
		   head,
		   sector,
		   2,
		   spt,
		   parameter(5),
		   0xff};
	return run(c, 9);
}

static void transfer(struct regs *r, u8 unit, u8 operation)
{
	u8 e = 0;
	for (unsigned try = 0; try < 2; try++) {
		e = move(r, unit, operation);
		if (!e || e == DISK_CHANGED || e == DISK_BOUNDARY || e == DISK_BAD_COMMAND ||
		    e == DISK_PROTECTED || e == DISK_TIMEOUT)
			break;
		set8(0x3e, bda8(0x3e) & 0x80);
	}
	if (e)
		r->al = 0;
	finish(r, e);
}

static void format(struct regs *r, u8 unit)
{
	u8 spt = parameter(4), e = prepare(unit);
	if (e == DISK_TIMEOUT && !(inb(DIR) & 0x80)) { /* unformatted: no rate can be found */
		outb(CCR, types[drive_type(unit)].rate);
		e = 0;
	}
	if (!e)
		e = set_dma(r->es * 16u + r->bx, spt * 4u, DISK_WRITE);
	if (!e)
		e = seek(unit, r->ch, r->dh);
	u8 c[6] = {0x4d, (u8)(r->dh << 2 | unit), 2, spt, parameter(7), parameter(8)};
	finish(r, e ? e : run(c, 6));
}

static void parameters(struct regs *r, u8 unit)
{
	u8 type = drive_type(unit);
	r->ax = 0;
	r->bx = type;
	r->dl = floppy_count;
	if (!type) {
		r->cx = 0;
		r->dh = 0;
		r->es = 0;
		r->di = 0;
		finish(r, floppy_count ? 0 : DISK_BAD_COMMAND);
		return;
	}
	r->ch = types[type].cylinders - 1;
	r->cl = types[type].spt;
	r->dh = 1;
	extern const u8 diskette_parameters[];
	r->es = RT_CS;
	r->di = (u16)(u32)diskette_parameters;
	finish(r, 0);
}

static void set_media(struct regs *r, u8 unit)
{
	static const u8 states[] = {0, 0x93, 0x74, 0x15, 0x97};
	if (r->ah == 0x17) {
		if (r->al >= 1 && r->al <= 4)
			set8(0x90u + unit, states[r->al]);
		finish(r, r->al >= 1 && r->al <= 4 ? 0 : DISK_BAD_COMMAND);
		return;
	}
	u8 type = drive_type(unit), last = r->ch;
	extern const u8 diskette_parameters[];
	if (last >= types[type].cylinders || (r->cl & 63) > types[type].spt) {
		finish(r, 0x0c);
		return;
	}
	r->es = RT_CS;
	r->di = (u16)(u32)diskette_parameters;
	finish(r, 0);
}

static void change_status(struct regs *r, u8 unit)
{
	motor_on(unit);
	finish(r, changed(unit) ? DISK_CHANGED : 0);
}

void floppy_service(struct regs *r, u8 unit)
{
	if (r->ah == 0x08 && unit < 2) {
		parameters(r, unit);
		return;
	}
	if (r->ah == 0x15 && unit < 4) {
		r->ah = drive_type(unit) ? 2 : 0; /* with change line */
		ok(r);
		return;
	}
	if (r->ah == 0x01) {
		u8 status = bda8(0x41);
		r->ah = status;
		if (status)
			fail(r);
		else
			ok(r);
		return;
	}
	if (!drive_type(unit)) {
		finish(r, unit < 2 && floppy_count && r->ah ? DISK_TIMEOUT
			  : r->ah                           ? DISK_BAD_COMMAND
							    : 0);
		return;
	}
	switch (r->ah) {
	case 0x00: finish(r, reset_controller() ? 0 : DISK_CONTROLLER); break;
	case 0x02: transfer(r, unit, DISK_READ); break;
	case 0x03: transfer(r, unit, DISK_WRITE); break;
	case 0x04: transfer(r, unit, DISK_VERIFY); break;
	case 0x05: format(r, unit); break;
	case 0x16: change_status(r, unit); break;
	case 0x17:
	case 0x18: set_media(r, unit); break;
	default: finish(r, DISK_BAD_COMMAND); break;
	}
}

/* CMOS 10h: type of the first drive in the upper half, of the second in the lower. */
void detect_floppies(void *unused)
{
	u8 type = cmos_read(0x10);
	unsigned n = 0;
	while (n < MAX_DRIVES && drives[n].kind)
		n++;
	for (u8 unit = 0; unit < 2 && n < MAX_DRIVES; unit++) {
		u8 t = unit ? type & 15 : type >> 4;
		if (t < 1 || t > 6)
			continue;
		drives[n] = (struct drive){.kind = DRIVE_FLOPPY,
					   .slave = unit,
					   .media = t,
					   .sector_bytes = 512,
					   .cylinders = types[t].cylinders,
					   .heads = 2,
					   .spt = types[t].spt};
		floppy_map[floppy_count++] = (u8)n++;
	}
	if (floppy_count)
		reset_controller();
}
