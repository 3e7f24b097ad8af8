/* What operating systems look for: anchors, checksums, and the 32-bit PCI BIOS through BIOS32. */
#define FILE_LETTER 'T'
#include "tests/bios/guest/guest.h"

static u8 sum(u32 at, u32 n)
{
	u8 s = 0;
	while (n--)
		s = (u8)(s + far8(at++));
	return s;
}

static bool is(u32 at, const char *text)
{
	for (; *text; text++, at++)
		if (far8(at) != (u8)*text)
			return false;
	return true;
}

static u32 find(const char *text)
{
	for (u32 at = 0xe0000; at < 0x100000; at += 16)
		if (is(at, text))
			return at;
	return 0;
}

static void acpi(void)
{
	u32 at = find("RSD PTR ");
	CHECK(at);
	if (!at)
		return;
	EQUAL(sum(at, 20), 0);
	CHECK(far32(at + 16));
}

static void smbios(void)
{
	u32 at = find("_SM_");
	if (!at && find("_SM3_"))
		return;
	CHECK(at);
	if (!at)
		return;
	EQUAL(sum(at, far8(at + 5)), 0);
	CHECK(is(at + 16, "_DMI_"));
	EQUAL(sum(at + 16, 15), 0);
}

static void routing(void)
{
	u32 at = find("$PIR");
	CHECK(at);
	if (at) {
		u32 n = far8(at + 6) | far8(at + 7) << 8;
		EQUAL(sum(at, n), 0);
		EQUAL((n - 32) % 16, 0);
		EQUAL(far8(at + 9), 8);
	}
	at = find("_MP_");
	CHECK(!at == !has_cpu_feature(CPU_APIC));
	if (!at)
		return;
	EQUAL(sum(at, 16), 0);
	u32 t = far32(at + 4);
	if (t < 0x100000) {
		CHECK(is(t, "PCMP"));
		EQUAL(sum(t, far8(t + 4) | far8(t + 5) << 8), 0);
	}
}

static void bios32(void)
{
	u32 at = find("_32_");
	CHECK(at);
	if (!at)
		return;
	EQUAL(sum(at, far8(at + 9) * 16u), 0);
	struct regs r = {.eax = 0x49435024, .ebx = 0};
	call32(far32(at + 4), &r);
	EQUAL(r.al, 0);
	u32 entry = r.ebx + r.edx;
	CHECK(entry >= 0xe0000 && entry < 0x100000);
	if (r.al || entry < 0xe0000 || entry >= 0x100000)
		return;
	r = (struct regs){.eax = 0xb101};
	call32(entry, &r);
	CHECK(!CF(r));
	EQUAL(r.edx, 0x20494350);
	r = (struct regs){.eax = 0xb102, .ecx = 0x7000, .edx = 0x8086};
	call32(entry, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 8);
	r = (struct regs){.eax = 0xb10a, .ebx = 8, .edi = 0};
	call32(entry, &r);
	EQUAL(r.ecx, 0x70008086);
	r = (struct regs){.eax = 0xb102, .ecx = 0x4711, .edx = 0x8086};
	call32(entry, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 0x86);
	r = (struct regs){.eax = 0x58585858, .ebx = 0};
	call32(far32(at + 4), &r);
	EQUAL(r.al, 0x80);
}

void test_tables(void)
{
	acpi();
	smbios();
	routing();
	bios32();
	u32 at = find("$PnP");
	CHECK(at);
	if (at)
		EQUAL(sum(at, far8(at + 5)), 0);
}
