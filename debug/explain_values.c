/* Architectural values in words: SDM Vol. 3A, figures 2-7, 2-8, 3-8, 4-11, 6-2, 6-6, tables 3-1, 3-2, 6-1. */
#include <stdio.h>
#include "debug/explain_values.h"

#include "cpu/exec/system.h"
#include "cpu/mmu/internal.h"

const char *const segment_names[NSEGS] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

const char *exception_name(unsigned vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
					    "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};

	return vector < ARRAY_SIZE(names) ? names[vector] : "interrupt";
}

const char *exception_title(unsigned vector)
{
	static const char *const titles[] = {
	    "divide error", "debug exception", "non-maskable interrupt", "breakpoint", "overflow", "BOUND range exceeded",
	    "invalid opcode", "device not available", "double fault", "coprocessor segment overrun", "invalid TSS",
	    "segment not present", "stack fault", "general protection", "page fault", "reserved", "x87 floating-point error",
	    "alignment check", "machine check", "SIMD floating-point exception", "virtualization exception",
	    "control protection"};

	return vector < ARRAY_SIZE(titles) ? titles[vector] : "interrupt";
}

PRINTF_LIKE(2, 3) static void more(char *t, const char *fmt, ...)
{
	size_t n = strlen(t);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t + n, VALUE_TEXT - n, fmt, ap);
	va_end(ap);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

static void size_text(char *t, u32 limit)
{
	if (limit == 0xffffffff)
		more(t, " (4 GiB)");
}

static void code_or_data(char *t, u32 ar, u32 base, u32 limit)
{
	if (ar & AR_TYPE_CODE)
		more(t, "%s%s%s code", ar & AR_L ? "64-bit" : ar & AR_DB ? "32-bit" : "16-bit",
		     ar & AR_TYPE_ED ? " conforming" : "", ar & AR_TYPE_WR ? " readable" : " execute-only");
	else
		more(t, "%s%s data", ar & AR_TYPE_ED ? "expand-down " : "", ar & AR_TYPE_WR ? "writable" : "read-only");
	if (!(ar & AR_L) || !(ar & AR_TYPE_CODE)) {
		more(t, ", base 0x%x, limit 0x%x", base, limit);
		size_text(t, limit);
	}
}

static const char *system_name(unsigned type, bool lma)
{
	static const char *const names[] = {"reserved type 0", "available 16-bit TSS", "LDT", "busy 16-bit TSS", "16-bit call gate",
					    "task gate", "16-bit interrupt gate", "16-bit trap gate", "reserved type 8",
					    "available 32-bit TSS", "reserved type 10", "busy 32-bit TSS", "32-bit call gate",
					    "reserved type 13", "32-bit interrupt gate", "32-bit trap gate"};
	static const char *const long_names[] = {[2] = "LDT", [9] = "available 64-bit TSS", [11] = "busy 64-bit TSS",
						 [12] = "64-bit call gate", [14] = "64-bit interrupt gate",
						 [15] = "64-bit trap gate"};

	if (!lma)
		return names[type];
	return long_names[type] ? long_names[type] : "type that does not exist in IA-32e mode";
}

static bool is_gate(unsigned type)
{
	return type == ST_CALL16 || type == ST_TASK || type == ST_INT16 || type == ST_TRAP16 || type == ST_CALL ||
	       type == ST_INT || type == ST_TRAP;
}

void value_gate(char *t, u64 raw, u64 high, bool lma)
{
	unsigned type = raw >> 40 & 15, s = raw >> 44 & 1;
	u64 off = (raw & 0xffff) | (type & 8 ? raw >> 32 & 0xffff0000 : 0) | (lma ? high << 32 : 0);

	*t = 0;
	if (!raw && !high) {
		more(t, "empty (all zero)");
		return;
	}
	if (s)
		more(t, "code or data segment of type %u where a gate belongs", type);
	else
		more(t, "%s", system_name(type, lma));
	if (!s && is_gate(type) && type == ST_TASK)
		more(t, " to TSS %04x", (unsigned)(raw >> 16 & 0xffff));
	else if (!s && is_gate(type))
		more(t, " to %04x:%llx", (unsigned)(raw >> 16 & 0xffff), (unsigned long long)off);
	more(t, ", DPL %u, %s", (unsigned)(raw >> 45 & 3), raw >> 47 & 1 ? "present" : "not present");
	if (lma && (raw >> 32 & 7))
		more(t, ", IST %u", (unsigned)(raw >> 32 & 7));
}

void value_desc(char *t, u64 raw, bool lma)
{
	u32 ar = desc_ar(raw);
	unsigned type = ar & AR_TYPE;

	if (!(ar & AR_S) && is_gate(type)) {
		value_gate(t, raw, 0, lma);
		return;
	}
	*t = 0;
	if (!raw) {
		more(t, "empty (all zero)");
		return;
	}
	if (ar & AR_S)
		code_or_data(t, ar, desc_base(raw), desc_limit(raw));
	else
		more(t, "%s, base 0x%x, limit 0x%x", system_name(type, lma), desc_base(raw), desc_limit(raw));
	more(t, ", DPL %u, %s", ar_dpl(ar), ar & AR_P ? "present" : "not present");
	if ((ar & (AR_S | AR_TYPE_CODE)) == (AR_S | AR_TYPE_CODE) && (ar & (AR_L | AR_DB)) == (AR_L | AR_DB))
		more(t, ", both L and D");
}

void value_segment(char *t, const struct seg *s, u64 base)
{
	*t = 0;
	more(t, "selector %04x: ", s->sel);
	if (s->ar & AR_UNUSABLE) {
		more(t, "unusable (null)");
		return;
	}
	if (s->ar & AR_S)
		code_or_data(t, s->ar, (u32)base, s->limit);
	else
		more(t, "%s, base 0x%llx, limit 0x%x", system_name(s->ar & AR_TYPE, false), (unsigned long long)base, s->limit);
	more(t, ", DPL %u", ar_dpl(s->ar));
}

void value_selector(char *t, u16 sel)
{
	*t = 0;
	if (!(sel & ~3))
		more(t, "null selector, RPL %u", sel & 3);
	else
		more(t, "index %u of the %s, RPL %u", sel >> 3, sel & 4 ? "LDT" : "GDT", sel & 3);
}

void value_error(char *t, u32 err)
{
	const char *table = err & 2 ? "IDT" : err & 4 ? "LDT" : "GDT";

	*t = 0;
	if (err & 2)
		more(t, "gate %u of the IDT%s", err >> 3, err & 1 ? ", external event" : "");
	else if (err & ~1u)
		more(t, "selector %04x: index %u of the %s%s", err & 0xfffc, err >> 3, table, err & 1 ? ", external event" : "");
	else if (err & 1)
		more(t, "external event");
}

/* ---- paging --------------------------------------------------------------------------------------------------------- */

void value_pte(char *t, u64 e, unsigned size, bool leaf)
{
	*t = 0;
	if (!(e & PTE_P)) {
		more(t, "not present");
		return;
	}
	more(t, "present, %s, %s", e & PTE_W ? "writable" : "read-only", e & PTE_U ? "user" : "supervisor");
	if (size == 8 && e & PTE_NX)
		more(t, ", execute-disable");
	if (e & PTE_A)
		more(t, ", accessed");
	if (leaf && e & PTE_D)
		more(t, ", dirty");
	if (e & PTE_PS)
		more(t, leaf ? ", PS (large page)" : ", bit 7 (PS)");
	if (leaf && e & PTE_G)
		more(t, ", global");
	if (leaf && size == 8 && (e >> PTE_PKEY_SHIFT & 15))
		more(t, ", key %u", (unsigned)(e >> PTE_PKEY_SHIFT & 15));
}

void value_epte(char *t, u64 e, bool leaf)
{
	static const char *const types[] = {"UC", "WC", "2 (reserved)", "3 (reserved)", "WT", "WP", "WB",
					    "7 (reserved)"};

	*t = 0;
	if (!(e & 7)) {
		more(t, "not present");
		return;
	}
	more(t, "%c%c%c", e & 1 ? 'R' : '-', e & 2 ? 'W' : '-', e & 4 ? 'X' : '-');
	if (leaf)
		more(t, ", memory type %s", types[e >> 3 & 7]);
	if (e & PTE_PS)
		more(t, leaf ? ", large page" : ", bit 7");
	if (e >> MMU_PHYS_BITS & (BIT64(52 - MMU_PHYS_BITS) - 1))
		more(t, ", address beyond %u bits", MMU_PHYS_BITS);
}

void value_pf(char *t, u32 err)
{
	*t = 0;
	more(t, "%s %s, %s", err & PF_U ? "user" : "supervisor", err & PF_I ? "fetch" : err & PF_W ? "write" : "read",
	     err & PF_P ? "the page is present" : "not present");
	if (err & PF_RSVD)
		more(t, ", reserved bit");
	if (err & PF_PK)
		more(t, ", protection key");
}

/* ---- registers of bits ---------------------------------------------------------------------------------------------- */

struct bit_name {
	u8 bit;
	const char *name;
};

static void names(char *t, u64 v, const struct bit_name *b, unsigned n)
{
	*t = 0;
	for (unsigned i = 0; i < n; i++)
		if (v >> b[i].bit & 1)
			more(t, "%s%s", *t ? " " : "", b[i].name);
	if (!*t)
		more(t, "none of its bits");
}
#define NAMES(t, v, ...)                                                                                   \
	do {                                                                                               \
		static const struct bit_name b[] = {__VA_ARGS__};                                          \
		names(t, v, b, ARRAY_SIZE(b));                                                             \
	} while (0)

void value_cr0(char *t, u64 v)
{
	NAMES(t, v, {0, "PE"}, {1, "MP"}, {2, "EM"}, {3, "TS"}, {4, "ET"}, {5, "NE"}, {16, "WP"}, {18, "AM"}, {29, "NW"},
	      {30, "CD"}, {31, "PG"});
}

void value_cr4(char *t, u64 v)
{
	NAMES(t, v, {0, "VME"}, {1, "PVI"}, {2, "TSD"}, {3, "DE"}, {4, "PSE"}, {5, "PAE"}, {6, "MCE"}, {7, "PGE"}, {8, "PCE"},
	      {9, "OSFXSR"}, {10, "OSXMMEXCPT"}, {11, "UMIP"}, {12, "LA57"}, {13, "VMXE"}, {14, "SMXE"}, {16, "FSGSBASE"},
	      {17, "PCIDE"}, {18, "OSXSAVE"}, {20, "SMEP"}, {21, "SMAP"}, {22, "PKE"});
}

void value_efer(char *t, u64 v)
{
	NAMES(t, v, {0, "SCE"}, {8, "LME"}, {10, "LMA"}, {11, "NXE"});
}

void value_rflags(char *t, u64 v)
{
	NAMES(t, v, {0, "CF"}, {2, "PF"}, {4, "AF"}, {6, "ZF"}, {7, "SF"}, {8, "TF"}, {9, "IF"}, {10, "DF"}, {11, "OF"},
	      {14, "NT"}, {16, "RF"}, {17, "VM"}, {18, "AC"}, {19, "VIF"}, {20, "VIP"}, {21, "ID"});
	more(t, ", IOPL %u", (unsigned)(v >> 12 & 3));
}

void value_xcr0(char *t, u64 v)
{
	NAMES(t, v, {0, "x87"}, {1, "SSE"}, {2, "AVX"}, {5, "opmask"}, {6, "ZMM_Hi256"}, {7, "Hi16_ZMM"}, {9, "PKRU"});
}

void value_mxcsr(char *t, u64 v)
{
	NAMES(t, v, {0, "IE"}, {1, "DE"}, {2, "ZE"}, {3, "OE"}, {4, "UE"}, {5, "PE"}, {6, "DAZ"}, {7, "IM"}, {8, "DM"}, {9, "ZM"},
	      {10, "OM"}, {11, "UM"}, {12, "PM"}, {15, "FZ"});
}

void value_dr6(char *t, u64 v)
{
	NAMES(t, v, {0, "B0"}, {1, "B1"}, {2, "B2"}, {3, "B3"}, {13, "BD"}, {14, "BS"}, {15, "BT"});
}

void value_x87(char *t, u64 v)
{
	NAMES(t, v, {0, "IE"}, {1, "DE"}, {2, "ZE"}, {3, "OE"}, {4, "UE"}, {5, "PE"}, {6, "SF"}, {7, "ES"}, {15, "B"});
}

void value_bits(char *t, u64 v)
{
	*t = 0;
	for (int hi = 63; hi >= 0; hi--) {
		int lo = hi;

		if (!(v >> hi & 1))
			continue;
		while (lo > 0 && (v >> (lo - 1) & 1))
			lo--;
		more(t, lo == hi ? "%s%d" : "%s%d:%d", *t ? ", " : "", hi, lo);
		hi = lo;
	}
}
