/* AML emitter: see aml.h. PkgLength (ACPI 20.2.4) is inserted when a construct closes, since it
 * counts its own bytes. */
#include "machine/aml.h"

void aml_bytes(struct aml *a, const void *p, u32 n)
{
	if (a->overflow || n > a->max - a->n) {
		a->overflow = true;
		return;
	}
	memcpy(a->p + a->n, p, n);
	a->n += n;
}

void aml_byte(struct aml *a, u8 v)
{
	aml_bytes(a, &v, 1);
}

static void aml_le(struct aml *a, u64 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(a, (u8)(v >> (8 * i)));
}

void aml_name(struct aml *a, const char *name)
{
	while (*name == '\\')
		aml_byte(a, (u8)*name++);
	u32 n = (u32)strlen(name);
	if (n == 0) {
		aml_byte(a, 0x00); /* NullName */
	} else if (n == 8) {
		aml_byte(a, 0x2e); /* DualNamePrefix */
	}
	aml_bytes(a, name, n);
}

void aml_int(struct aml *a, u64 v)
{
	static const u8 prefix[] = {0, 0x0a, 0x0b, 0, 0x0c, 0, 0, 0, 0x0e};
	unsigned bytes = v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffff ? 4 : 8;
	if (v <= 1) {
		aml_byte(a, (u8)v);
		return;
	}
	aml_byte(a, prefix[bytes]);
	aml_le(a, v, bytes);
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, 0x0d);
	aml_bytes(a, s, (u32)strlen(s) + 1);
}

static u8 hex(char c)
{
	return (u8)(c <= '9' ? c - '0' : (c & ~0x20) - 'A' + 10);
}

void aml_eisaid(struct aml *a, const char *id)
{
	unsigned l = (id[0] & 31u) << 10 | (id[1] & 31u) << 5 | (id[2] & 31u);
	const u8 b[5] = {0x0c, (u8)(l >> 8), (u8)l, (u8)(hex(id[3]) << 4 | hex(id[4])),
			 (u8)(hex(id[5]) << 4 | hex(id[6]))};
	aml_bytes(a, b, sizeof(b));
}

static void begin(struct aml *a)
{
	if (a->depth == AML_DEPTH) {
		a->overflow = true;
		return;
	}
	a->open[a->depth++] = a->n;
}

void aml_end(struct aml *a)
{
	if (a->overflow || !a->depth) {
		a->overflow = true;
		return;
	}
	u32 at = a->open[--a->depth], len = a->n - at;
	unsigned bytes = len + 1 <= 63 ? 1 : len + 2 <= 4095 ? 2 : 3;
	const u8 pad[3] = {0};
	aml_bytes(a, pad, bytes);
	if (a->overflow)
		return;
	memmove(a->p + at + bytes, a->p + at, len);
	len += bytes;
	if (bytes == 1) {
		a->p[at] = (u8)len;
		return;
	}
	a->p[at] = (u8)((bytes - 1) << 6 | (len & 15));
	for (unsigned i = 1; i < bytes; i++)
		a->p[at + i] = (u8)(len >> (8 * i - 4));
}

void aml_scope(struct aml *a, const char *name)
{
	aml_byte(a, 0x10);
	begin(a);
	aml_name(a, name);
}

void aml_device(struct aml *a, const char *name)
{
	aml_bytes(a, "\x5b\x82", 2);
	begin(a);
	aml_name(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned args)
{
	aml_byte(a, 0x14);
	begin(a);
	aml_name(a, name);
	aml_byte(a, (u8)(args | 8)); /* serialized: our methods create named fields */
}

void aml_package(struct aml *a, unsigned elements)
{
	aml_byte(a, 0x12);
	begin(a);
	aml_byte(a, (u8)elements);
}

void aml_if(struct aml *a)
{
	aml_byte(a, 0xa0);
	begin(a);
}

void aml_name_op(struct aml *a, const char *name)
{
	aml_byte(a, 0x08);
	aml_name(a, name);
}

void aml_name_int(struct aml *a, const char *name, u64 v)
{
	aml_name_op(a, name);
	aml_int(a, v);
}

void aml_hid(struct aml *a, const char *id)
{
	aml_name_op(a, "_HID");
	aml_eisaid(a, id);
}

void aml_return_op(struct aml *a)
{
	aml_byte(a, 0xa4);
}

void aml_pci_bytes(struct aml *a, const char *region, u8 offset, const char *fields, unsigned count)
{
	aml_bytes(a, "\x5b\x80", 2);
	aml_name(a, region);
	aml_byte(a, 2); /* PCI_Config */
	aml_int(a, offset);
	aml_int(a, count);
	aml_bytes(a, "\x5b\x81", 2);
	begin(a);
	aml_name(a, region);
	aml_byte(a, 1); /* ByteAcc, NoLock, Preserve */
	for (unsigned i = 0; i < count; i++) {
		aml_bytes(a, fields + 4 * i, 4);
		aml_byte(a, 8);
	}
	aml_end(a);
}

void aml_resources(struct aml *a)
{
	aml_byte(a, 0x11);
	begin(a);
	a->resources = a->n;
	aml_bytes(a, "\x0b\0\0", 3); /* BufferSize, patched at the end */
}

void aml_resources_end(struct aml *a)
{
	aml_bytes(a, "\x79\0", 2); /* end tag; checksum 0: not checked */
	if (a->overflow)
		return;
	u32 size = a->n - a->resources - 3;
	a->p[a->resources + 1] = (u8)size;
	a->p[a->resources + 2] = (u8)(size >> 8);
	aml_end(a);
}

void aml_res_io(struct aml *a, u16 base, u8 len)
{
	aml_bytes(a, "\x47\x01", 2);
	aml_le(a, base, 2);
	aml_le(a, base, 2);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_res_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, 0x22);
	aml_le(a, BIT(irq), 2);
}

void aml_res_interrupts(struct aml *a, const u32 *irq, unsigned count)
{
	aml_byte(a, 0x89);
	aml_le(a, 2 + 4 * count, 2);
	aml_byte(a, 0x09); /* consumer, level, active high, shared */
	aml_byte(a, (u8)count);
	for (unsigned i = 0; i < count; i++)
		aml_le(a, irq[i], 4);
}

void aml_res_memory(struct aml *a, u32 base, u32 len, bool writable)
{
	aml_bytes(a, "\x86\x09\0", 3);
	aml_byte(a, writable);
	aml_le(a, base, 4);
	aml_le(a, len, 4);
}

static void window(struct aml *a, enum aml_space space, u32 min, u32 max, unsigned bytes)
{
	static const u8 type_flags[] = {
	    [AML_SPACE_MEMORY] = 1, [AML_SPACE_IO] = 3, [AML_SPACE_BUS] = 0};
	aml_byte(a, bytes == 2 ? 0x88 : 0x87);
	aml_le(a, 3 + 5 * bytes, 2);
	aml_byte(a, (u8)space);
	aml_byte(a, 0x0c); /* producer, minimum and maximum fixed, positive decode */
	aml_byte(a, type_flags[space]);
	aml_le(a, 0, bytes); /* granularity */
	aml_le(a, min, bytes);
	aml_le(a, max, bytes);
	aml_le(a, 0, bytes); /* translation */
	aml_le(a, (u64)max - min + 1, bytes);
}

void aml_res_word_window(struct aml *a, enum aml_space space, u16 min, u16 max)
{
	window(a, space, min, max, 2);
}

void aml_res_dword_window(struct aml *a, enum aml_space space, u32 min, u32 max)
{
	window(a, space, min, max, 4);
}
