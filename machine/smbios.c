/* SMBIOS tables: see smbios.h. */
#include "machine/smbios.h"

#include <stdio.h>

#define HANDLE_CHASSIS 0x0300
#define HANDLE_CPU     0x0400
#define HANDLE_MEMORY  0x1000
#define HANDLE_MODULE  0x1100
#define HANDLE_RANGE   0x1300

struct out {
	struct smbios *s;
	u8 *now; /* the structure being written */
	u8 texts;
	unsigned count, largest;
};

static void put(u8 *p, unsigned at, u64 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[at + i] = (u8)(v >> (8 * i));
}

/* Header (6.1.2): type, length of the formatted part, handle. */
static u8 *begin(struct out *o, u8 type, u8 length, u16 handle)
{
	if (o->s->size + length + 256 > SMBIOS_TABLES_MAX)
		return NULL;
	o->now = o->s->tables + o->s->size;
	memset(o->now, 0, length);
	o->now[0] = type;
	o->now[1] = length;
	put(o->now, 2, handle, 2);
	o->s->size += length;
	o->texts = 0;
	o->count++;
	return o->now;
}

/* Appends a string to the structure: its number goes to @at. An empty one would end the strings: it has number 0 (6.1.3). */
static void text(struct out *o, unsigned at, const char *t)
{
	size_t n = strnlen(t, 64);
	if (!n)
		return;
	memcpy(o->s->tables + o->s->size, t, n);
	o->s->tables[o->s->size + n] = 0;
	o->s->size += (u32)n + 1;
	o->now[at] = ++o->texts;
}

static void end(struct out *o)
{
	o->s->tables[o->s->size++] = 0;
	if (!o->texts)
		o->s->tables[o->s->size++] = 0;
	o->largest = MAX(o->largest, (unsigned)(o->s->tables + o->s->size - o->now));
}

static void firmware(struct out *o)
{
	u8 *p = begin(o, 0, 24, 0);
	put(p, 6, 0xe800, 2); /* segment */
	put(p, 10, BIT(7) | BIT(11) | BIT(15) | BIT(16),
	    8);       /* PCI, upgradeable, boot from CD, selectable boot */
	p[18] = 0x01; /* ACPI */
	p[19] = 0x1c; /* virtual machine, UEFI or not, targeted content */
	p[22] = p[23] = 0xff;
	text(o, 4, "Orrery");
	text(o, 5, "0.1");
	text(o, 8, "01/01/2026");
	end(o);
}

static void computer(struct out *o)
{
	u8 *p = begin(o, 1, 27, 0x0100);
	for (unsigned i = 0; i < 16; i++) /* UUID: the same in every run */
		p[8 + i] = (u8)(0x6f + i * 17);
	p[24] = 6; /* wake-up: power switch */
	text(o, 4, "Orrery");
	text(o, 5, "Orrery PC");
	text(o, 6, "i440FX");
	end(o);
}

static void chassis(struct out *o)
{
	u8 *p = begin(o, 3, 22, HANDLE_CHASSIS);
	p[5] = 1;                         /* other */
	p[9] = p[10] = p[11] = p[12] = 3; /* states: safe */
	text(o, 4, "Orrery");
	end(o);
}

static void processor(struct out *o, const struct smbios_config *cfg, unsigned i)
{
	char socket[16];
	u8 *p = begin(o, 4, 42, (u16)(HANDLE_CPU + i));
	if (!p)
		return;
	p[5] = 3; /* central processor */
	p[6] = 1;
	put(p, 18, 500, 2);
	put(p, 20, 500, 2); /* MHz: the pace of virtual time */
	put(p, 22, 500, 2);
	p[24] = 0x41; /* populated, enabled */
	p[25] = 1;
	put(p, 26, 0xffff, 2);
	put(p, 28, 0xffff, 2);
	put(p, 30, 0xffff, 2);
	p[35] = p[36] = p[37] = 1; /* cores, threads */
	put(p, 38, BIT(2), 2);     /* 64 bits */
	put(p, 40, 2, 2);
	snprintf(socket, sizeof(socket), "CPU %u", i);
	text(o, 4, socket);
	text(o, 7, "Orrery");
	text(o, 16, cfg->cpu_name ? cfg->cpu_name : "Orrery");
	end(o);
}

static void memory(struct out *o, const struct smbios_config *cfg)
{
	u64 kb = (cfg->ram_low_bytes + cfg->ram_high_bytes) >> 10, mb = kb >> 10;
	u8 *p = begin(o, 16, 23, HANDLE_MEMORY);
	p[4] = 1; /* other */
	p[5] = 3; /* system memory */
	p[6] = 6; /* multi-bit ECC */
	put(p, 7, MIN(kb, 0x80000000ull), 4);
	put(p, 11, 0xfffe, 2);
	put(p, 13, 1, 2);
	if (kb >= 0x80000000ull)
		put(p, 15, kb << 10, 8);
	end(o);
	p = begin(o, 17, 40, HANDLE_MODULE);
	put(p, 4, HANDLE_MEMORY, 2);
	put(p, 6, 0xfffe, 2);
	put(p, 8, 0xffff, 2);
	put(p, 10, 0xffff, 2);
	put(p, 12, mb < 0x7fff ? mb : 0x7fff, 2);
	p[14] = 9; /* DIMM */
	p[18] = 7; /* RAM */
	put(p, 19, 2, 2);
	if (mb >= 0x7fff)
		put(p, 28, mb, 4);
	text(o, 16, "DIMM 0");
	end(o);
}

static void range(struct out *o, u64 from, u64 bytes, u16 handle)
{
	u8 *p = begin(o, 19, 31, handle);
	if ((from + bytes) >> 10 > 0xffffffffull) {
		put(p, 4, 0xffffffff, 4);
		put(p, 8, 0xffffffff, 4);
		put(p, 15, from, 8);
		put(p, 23, from + bytes - 1, 8);
	} else {
		put(p, 4, from >> 10, 4);
		put(p, 8, ((from + bytes) >> 10) - 1, 4);
	}
	put(p, 12, HANDLE_MEMORY, 2);
	p[14] = 1;
	end(o);
}

static u8 checksum(const u8 *p, unsigned n)
{
	u8 sum = 0;
	while (n--)
		sum = (u8)(sum + *p++);
	return (u8)-sum;
}

/* The entry point (5.2.1). Firmware that places the tables makes the checksums. */
static void anchor(const struct out *o, const struct smbios_config *cfg)
{
	u8 *a = o->s->anchor;
	memset(a, 0, SMBIOS_ANCHOR_BYTES);
	memcpy(a, "_SM_", 4);
	a[5] = SMBIOS_ANCHOR_BYTES;
	a[6] = 2;
	a[7] = 8;
	put(a, 8, o->largest, 2);
	memcpy(a + 16, "_DMI_", 5);
	put(a, 22, o->s->size, 2);
	put(a, 24, cfg->table_address, 4);
	put(a, 28, o->count, 2);
	a[30] = 0x28;
	a[21] = checksum(a + 16, 15);
	a[4] = checksum(a, SMBIOS_ANCHOR_BYTES);
}

void smbios_build(const struct smbios_config *cfg, struct smbios *s)
{
	struct out o = {.s = s};
	s->size = 0;
	firmware(&o);
	computer(&o);
	chassis(&o);
	for (unsigned i = 0; i < MIN(cfg->cpus, 16u); i++)
		processor(&o, cfg, i);
	memory(&o, cfg);
	range(&o, 0, cfg->ram_low_bytes, HANDLE_RANGE);
	if (cfg->ram_high_bytes)
		range(&o, BIT64(32), cfg->ram_high_bytes, HANDLE_RANGE + 1);
	begin(&o, 32, 11, 0x2000); /* boot: no errors */
	end(&o);
	begin(&o, 127, 4, 0x7f00);
	end(&o);
	anchor(&o, cfg);
}
