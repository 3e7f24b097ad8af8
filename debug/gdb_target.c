/* The registers GDB sees: see gdb_target.h; names and features of the GDB manual, G.5.5. */
#define _GNU_SOURCE
#include "debug/gdb_target.h"

#include <stdio.h>
#include <stdlib.h>
#include "cpu/exec/system.h"
#include "cpu/exec/vec.h"
#include "cpu/exec/x87.h"

enum kind {
	K_GPR, K_PC, K_FLAGS, K_SEL, K_ST, K_FCTRL, K_FSTAT, K_FTAG, K_FISEG, K_FIOFF, K_FOSEG, K_FOOFF, K_FOP, K_XMM, K_MXCSR, K_YMMH,
	K_BASE, K_LIMIT, K_CR, K_EFER, K_XCR0, K_DR, K_GDTR, K_IDTR, K_GDTL, K_IDTL, K_CPL, K_ARCHPC, K_KGS,
};

#define GPR(n, b, i) {n, b, K_GPR, i}
#define EIGHT(p, b, k)                                                                                  \
	{p "0", b, k, 0}, {p "1", b, k, 1}, {p "2", b, k, 2}, {p "3", b, k, 3}, {p "4", b, k, 4}, {p "5", b, k, 5},            \
	    {p "6", b, k, 6}, {p "7", b, k, 7}
#define EIGHT_MORE(p, s, b, k)                                                                           \
	{p "8" s, b, k, 8}, {p "9" s, b, k, 9}, {p "10" s, b, k, 10}, {p "11" s, b, k, 11}, {p "12" s, b, k, 12},              \
	    {p "13" s, b, k, 13}, {p "14" s, b, k, 14}, {p "15" s, b, k, 15}
#define YMM8                                                                                             \
	{"ymm0h", 128, K_YMMH, 0}, {"ymm1h", 128, K_YMMH, 1}, {"ymm2h", 128, K_YMMH, 2}, {"ymm3h", 128, K_YMMH, 3},            \
	    {"ymm4h", 128, K_YMMH, 4}, {"ymm5h", 128, K_YMMH, 5}, {"ymm6h", 128, K_YMMH, 6}, {"ymm7h", 128, K_YMMH, 7}
#define SELECTORS                                                                                        \
	{"cs", 32, K_SEL, CS}, {"ss", 32, K_SEL, SS}, {"ds", 32, K_SEL, DS}, {"es", 32, K_SEL, ES}, {"fs", 32, K_SEL, FS},     \
	    {"gs", 32, K_SEL, GS}
#define X87                                                                                              \
	EIGHT("st", 80, K_ST), {"fctrl", 32, K_FCTRL, 0}, {"fstat", 32, K_FSTAT, 0}, {"ftag", 32, K_FTAG, 0},                  \
	    {"fiseg", 32, K_FISEG, 0}, {"fioff", 32, K_FIOFF, 0}, {"foseg", 32, K_FOSEG, 0}, {"fooff", 32, K_FOOFF, 0},        \
	    {"fop", 32, K_FOP, 0}
#define SYSTEM                                                                                           \
	{"cr0", 64, K_CR, 0}, {"cr2", 64, K_CR, 2}, {"cr3", 64, K_CR, 3}, {"cr4", 64, K_CR, 4}, {"cr8", 64, K_CR, 8},          \
	    {"efer", 64, K_EFER, 0}, {"xcr0", 64, K_XCR0, 0}, {"dr0", 64, K_DR, 0}, {"dr1", 64, K_DR, 1},                      \
	    {"dr2", 64, K_DR, 2}, {"dr3", 64, K_DR, 3}, {"dr6", 64, K_DR, 6}, {"dr7", 64, K_DR, 7}, {"es_base", 64, K_BASE, ES}, \
	    {"cs_base", 64, K_BASE, CS}, {"ss_base", 64, K_BASE, SS}, {"ds_base", 64, K_BASE, DS}, {"ldtr", 32, K_SEL, LDTR},  \
	    {"ldtr_base", 64, K_BASE, LDTR}, {"tr", 32, K_SEL, TR}, {"tr_base", 64, K_BASE, TR}, {"cs_limit", 32, K_LIMIT, CS}, \
	    {"ss_limit", 32, K_LIMIT, SS}, {"ds_limit", 32, K_LIMIT, DS}, {"tr_limit", 32, K_LIMIT, TR},                       \
	    {"gdtr_base", 64, K_GDTR, 0}, {"gdtr_limit", 32, K_GDTL, 0}, {"idtr_base", 64, K_IDTR, 0},                         \
	    {"idtr_limit", 32, K_IDTL, 0}, {"cpl", 32, K_CPL, 0}, {"arch_rip", 64, K_ARCHPC, 0},                               \
	    {"kernel_gs_base", 64, K_KGS, 0}

static const struct gdb_register regs64[] = {
    GPR("rax", 64, RAX), GPR("rbx", 64, RBX), GPR("rcx", 64, RCX), GPR("rdx", 64, RDX), GPR("rsi", 64, RSI), GPR("rdi", 64, RDI),
    GPR("rbp", 64, RBP), GPR("rsp", 64, RSP), GPR("r8", 64, 8), GPR("r9", 64, 9), GPR("r10", 64, 10), GPR("r11", 64, 11),
    GPR("r12", 64, 12), GPR("r13", 64, 13), GPR("r14", 64, 14), GPR("r15", 64, 15), {"rip", 64, K_PC, 0},
    {"eflags", 32, K_FLAGS, 0}, SELECTORS, X87, EIGHT("xmm", 128, K_XMM), EIGHT_MORE("xmm", "", 128, K_XMM),
    {"mxcsr", 32, K_MXCSR, 0}, YMM8, EIGHT_MORE("ymm", "h", 128, K_YMMH), {"fs_base", 64, K_BASE, FS}, {"gs_base", 64, K_BASE, GS},
    SYSTEM};
static const struct gdb_register regs32[] = {
    GPR("eax", 32, RAX), GPR("ecx", 32, RCX), GPR("edx", 32, RDX), GPR("ebx", 32, RBX), GPR("esp", 32, RSP), GPR("ebp", 32, RBP),
    GPR("esi", 32, RSI), GPR("edi", 32, RDI), {"eip", 32, K_PC, 0}, {"eflags", 32, K_FLAGS, 0}, SELECTORS, X87,
    EIGHT("xmm", 128, K_XMM), {"mxcsr", 32, K_MXCSR, 0}, YMM8, {"fs_base", 64, K_BASE, FS}, {"gs_base", 64, K_BASE, GS}, SYSTEM};

const struct gdb_register *gdb_register_at(enum gdb_arch arch, unsigned n)
{
	if (arch == GDB_X86_64)
		return n < ARRAY_SIZE(regs64) ? &regs64[n] : NULL;
	return n < ARRAY_SIZE(regs32) ? &regs32[n] : NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static struct x87_reg *st(struct cpu *cpu, unsigned i)
{
	return &cpu->x87.r[(x87_top(&cpu->x87) + i) & 7];
}

/* The full tag word (SDM Vol. 1, 8.1.7) from the abridged one and the contents. */
static u16 full_tags(const struct cpu *cpu)
{
	u16 tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const struct x87_reg *r = &cpu->x87.r[i];
		unsigned exp = r->se & 0x7fff, tag = 2;

		if (!(x87_valid(&cpu->x87) >> i & 1))
			tag = 3;
		else if (!exp && !r->mant)
			tag = 1;
		else if (exp && exp != 0x7fff && r->mant >> 63)
			tag = 0;
		tags |= (u16)(tag << 2 * i);
	}
	return tags;
}

static u64 read_cr(struct cpu *cpu, unsigned n)
{
	switch (n) {
	case 0: return cpu->cr0;
	case 2: return cpu->cr2;
	case 3: return cpu->cr3;
	case 4: return cpu->cr4;
	}
	return cpu->bus.get_cr8 ? cpu->bus.get_cr8(cpu->bus.ctx) : 0;
}

static u64 read_plain(struct debugger *d, struct cpu *cpu, const struct gdb_register *r)
{
	switch ((enum kind)r->kind) {
	case K_GPR: return cpu->r[r->index];
	case K_PC: return dbg_pc(cpu);
	case K_FLAGS: return dbg_rflags(d, cpu);
	case K_SEL: return cpu->seg[r->index].sel;
	case K_FCTRL: return cpu->x87.cw;
	case K_FSTAT: return x87_sw(&cpu->x87);
	case K_FTAG: return full_tags(cpu);
	case K_FISEG: return cpu->x87.fcs;
	case K_FIOFF: return (u32)cpu->x87.fip;
	case K_FOSEG: return cpu->x87.fds;
	case K_FOOFF: return (u32)cpu->x87.fdp;
	case K_FOP: return cpu->x87.fop;
	case K_MXCSR: return cpu->mxcsr;
	case K_BASE: return seg_base(cpu, r->index);
	case K_LIMIT: return cpu->seg[r->index].limit;
	case K_CR: return read_cr(cpu, r->index);
	case K_EFER: return cpu->efer;
	case K_XCR0: return cpu->xcr0;
	case K_DR: return cpu->dr[r->index];
	case K_GDTR: return cpu->gdtr.base;
	case K_IDTR: return cpu->idtr.base;
	case K_GDTL: return cpu->gdtr.limit;
	case K_IDTL: return cpu->idtr.limit;
	case K_CPL: return cpu->cpl;
	case K_ARCHPC: return cpu->rip;
	case K_KGS: return cpu->kernel_gs_base;
	default: return 0;
	}
}

void gdb_register_get(struct debugger *d, struct cpu *cpu, const struct gdb_register *r, u8 *out)
{
	u64 v;

	switch (r->kind) {
	case K_ST:
		memcpy(out, &st(cpu, r->index)->mant, 8);
		memcpy(out + 8, &st(cpu, r->index)->se, 2);
		break;
	case K_XMM: memcpy(out, &cpu->v[r->index].q[0], 16); break;
	case K_YMMH: memcpy(out, &cpu->v[r->index].q[2], 16); break;
	default:
		v = read_plain(d, cpu, r);
		memcpy(out, &v, r->bits / 8);
		break;
	}
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static bool write_selector(struct cpu *cpu, unsigned seg, u16 sel)
{
	if (cpu->seg[seg].sel == sel)
		return true;
	if (seg >= LDTR || (seg == CS && cpu_protected(cpu)))
		return false;
	if (seg != CS)
		return !load_seg(cpu, seg, sel);
	seg_install_real(cpu, CS, sel, cpu_v86(cpu));
	cpu_mode_changed(cpu);
	return true;
}

static bool write_cr(struct cpu *cpu, unsigned n, u64 v)
{
	switch (n) {
	case 0: return !cr0_write(cpu, v);
	case 2: cpu->cr2 = v; return true;
	case 3: return !cr3_write(cpu, v);
	case 4: return !cr4_write(cpu, v);
	}
	if (v >> 4 || !cpu->bus.set_cr8)
		return false;
	cpu->bus.set_cr8(cpu->bus.ctx, (u8)v);
	return true;
}

static bool write_dr(struct cpu *cpu, unsigned n, u64 v)
{
	if (n >= 6 && v >> 32)
		return false;
	cpu->dr[n] = n == 7 ? v | DR7_FIXED : v;
	cpu_mode_changed(cpu);
	return true;
}

static bool write_gpr(struct cpu *cpu, const struct gdb_register *r, u64 v)
{
	if (r->bits == 32 && (cpu->efer & EFER_LMA)) /* an i386's view: the upper half stays */
		v |= cpu->r[r->index] & 0xffffffff00000000;
	cpu->r[r->index] = cpu->efer & EFER_LMA ? v : (u32)v;
	return true;
}

static bool write_plain(struct debugger *d, struct cpu *cpu, const struct gdb_register *r, u64 v)
{
	if (v == read_plain(d, cpu, r))
		return true;
	switch ((enum kind)r->kind) {
	case K_GPR: return write_gpr(cpu, r, v);
	case K_PC: dbg_set_rip(cpu, cpu_long64(cpu) ? v : (u32)(v - seg_base(cpu, CS))); return true;
	case K_ARCHPC: dbg_set_rip(cpu, v); return true;
	case K_FLAGS: rflags_load(cpu, (u32)v, ~(u32)FL_VM); return true;
	case K_SEL: return write_selector(cpu, r->index, (u16)v);
	case K_FCTRL: x87_set_cw(&cpu->x87, (u16)v); return true;
	case K_FSTAT: x87_set_sw(&cpu->x87, (u16)v); return true;
	case K_FTAG:
		x87_set_tag_word(&cpu->x87, (u16)v);
		return true;
	case K_FISEG: cpu->x87.fcs = (u16)v; return true;
	case K_FIOFF: cpu->x87.fip = v; return true;
	case K_FOSEG: cpu->x87.fds = (u16)v; return true;
	case K_FOOFF: cpu->x87.fdp = v; return true;
	case K_FOP: cpu->x87.fop = v & 0x7ff; return true;
	case K_MXCSR:
		if (v >> 16)
			return false;
		cpu->mxcsr = (u32)v;
		cpu_mode_changed(cpu);
		return true;
	case K_BASE:
		if (!canonical_base(cpu, v))
			return false;
		cpu->r[R_SEGBASE + r->index] = v;
		cpu_mode_changed(cpu);
		return true;
	case K_CR: return write_cr(cpu, r->index, v);
	case K_EFER: return !msr_write(cpu, 0xc0000080, v);
	case K_DR: return write_dr(cpu, r->index, v);
	case K_KGS: return !msr_write(cpu, 0xc0000102, v);
	default: return false;
	}
}

bool gdb_register_set(struct debugger *d, struct cpu *cpu, const struct gdb_register *r, const u8 *in)
{
	struct fault fault = cpu->fault;
	struct vm_fault vm_fault = cpu->vm_fault;
	u64 v = 0;
	bool done;

	switch (r->kind) {
	case K_ST:
		memcpy(&st(cpu, r->index)->mant, in, 8);
		memcpy(&st(cpu, r->index)->se, in + 8, 2);
		return true;
	case K_XMM: memcpy(&cpu->v[r->index].q[0], in, 16); return true;
	case K_YMMH: memcpy(&cpu->v[r->index].q[2], in, 16); return true;
	}
	memcpy(&v, in, r->bits / 8);
	done = write_plain(d, cpu, r, v);
	cpu->fault = fault;
	cpu->vm_fault = vm_fault;
	return done;
}

/* ---- the description ------------------------------------------------------------------------------------------------ */

static const char *type_of(const struct gdb_register *r)
{
	switch (r->kind) {
	case K_GPR: return r->index == RSP || r->index == RBP ? "data_ptr" : r->bits == 64 ? "int64" : "int32";
	case K_PC: return "code_ptr";
	case K_FLAGS: return "i386_eflags";
	case K_ST: return "i387_ext";
	case K_XMM: return "vec128";
	case K_MXCSR: return "i386_mxcsr";
	case K_YMMH: return "uint128";
	case K_CR: return r->index == 0 ? "cr0_flags" : r->index == 4 ? "cr4_flags" : "uint64";
	case K_EFER: return "efer_flags";
	}
	return r->bits == 64 ? "uint64" : "int";
}

static const char *feature_of(enum gdb_arch arch, const struct gdb_register *r)
{
	switch (r->kind) {
	case K_XMM:
	case K_MXCSR: return "org.gnu.gdb.i386.sse";
	case K_YMMH: return "org.gnu.gdb.i386.avx";
	case K_BASE: return arch == GDB_X86_64 && (r->index == FS || r->index == GS) ? "org.gnu.gdb.i386.segments" : "org.orrery.system";
	case K_SEL: return r->index >= LDTR ? "org.orrery.system" : "org.gnu.gdb.i386.core";
	}
	return r->kind >= K_LIMIT ? "org.orrery.system" : "org.gnu.gdb.i386.core";
}

static void flags(FILE *f, const char *id, unsigned size, const char *const names[], const u8 bits[])
{
	fprintf(f, "<flags id=\"%s\" size=\"%u\">", id, size);
	for (unsigned i = 0; names[i]; i++)
		fprintf(f, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", names[i], bits[i], bits[i]);
	fprintf(f, "</flags>\n");
}

static void types_of(FILE *f, const char *feature)
{
	if (!strcmp(feature, "org.gnu.gdb.i386.core"))
		flags(f, "i386_eflags", 4,
		      (const char *const[]){"CF", "PF", "AF", "ZF", "SF", "TF", "IF", "DF", "OF", "NT", "RF", "VM", "AC", "VIF", "VIP",
					    "ID", NULL},
		      (const u8[]){0, 2, 4, 6, 7, 8, 9, 10, 11, 14, 16, 17, 18, 19, 20, 21});
	if (!strcmp(feature, "org.gnu.gdb.i386.sse")) {
		fprintf(f, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
			   "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
			   "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
			   "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
			   "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
			   "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
			   "<field name=\"uint128\" type=\"uint128\"/></union>\n");
		flags(f, "i386_mxcsr", 4,
		      (const char *const[]){"IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "FZ", NULL},
		      (const u8[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15});
	}
	if (strcmp(feature, "org.orrery.system"))
		return;
	flags(f, "cr0_flags", 8,
	      (const char *const[]){"PE", "MP", "EM", "TS", "ET", "NE", "WP", "AM", "NW", "CD", "PG", NULL},
	      (const u8[]){0, 1, 2, 3, 4, 5, 16, 18, 29, 30, 31});
	flags(f, "cr4_flags", 8,
	      (const char *const[]){"VME", "PVI", "TSD", "DE", "PSE", "PAE", "MCE", "PGE", "PCE", "OSFXSR", "OSXMMEXCPT", "UMIP", "LA57",
				    "VMXE", "SMXE", "FSGSBASE", "PCIDE", "OSXSAVE", "SMEP", "SMAP", "PKE", NULL},
	      (const u8[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 21, 22});
	flags(f, "efer_flags", 8, (const char *const[]){"SCE", "LME", "LMA", "NXE", NULL}, (const u8[]){0, 8, 10, 11});
}

char *gdb_target_xml(enum gdb_arch arch)
{
	static const char *const names[] = {"i386:x86-64", "i386", "i8086"};
	const struct gdb_register *r;
	const char *feature = "";
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target><architecture>%s</architecture>\n",
		names[arch]);
	for (unsigned i = 0; (r = gdb_register_at(arch, i)); i++) {
		if (strcmp(feature, feature_of(arch, r))) {
			fprintf(f, "%s<feature name=\"%s\">\n", *feature ? "</feature>\n" : "", feature_of(arch, r));
			feature = feature_of(arch, r);
			types_of(f, feature);
		}
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>\n", r->name, r->bits, type_of(r), i);
	}
	fprintf(f, "</feature></target>\n");
	fclose(f);
	return text;
}
