/* What the machine boots: files from the host, the ROM, direct kernel entry and reset. */
#include "machine/machine_internal.h"

#include <stdlib.h>
#include <zlib.h>
#include "devices/display/vga.h"
#include "machine/acpi.h"
#include "machine/bios_data.h"

#define FILE_MAX (2ull << 30)
#define ROM_MAX  (16u << 20)

/* ---- files ---------------------------------------------------------------------------------- */

static int read_file(const char *path, const char *what, struct loaded_file *f, struct errtext *e)
{
	int r = host_file_read(path, FILE_MAX, &f->data, &f->size);
	/* kvm-unit-tests looks for these words */
	return r ? err_set(e, r, "could not open %s '%s': %s", what, path, host_file_why(r)) : 0;
}

/* Kernels are often shipped gzipped for GRUB, which unpacks them (Xen, Multiboot). */
static int gunzip(struct loaded_file *f, const char *path, struct errtext *e)
{
	if (f->size < 18 || f->data[0] != 0x1f || f->data[1] != 0x8b)
		return 0;
	z_stream z = {.next_in = f->data, .avail_in = (uInt)f->size};
	u64 max = 0, have = 0;
	u8 *out = NULL;
	int r = inflateInit2(&z, 15 + 16);
	while (r == Z_OK) {
		if (have == max) {
			max = max ? max * 2 : 4u << 20;
			u8 *grown = max <= FILE_MAX ? realloc(out, max) : NULL;
			if (!grown)
				break;
			out = grown;
		}
		u64 piece = MIN(max - have, 1u << 30);
		z.next_out = out + have;
		z.avail_out = (uInt)piece;
		r = inflate(&z, Z_NO_FLUSH);
		have += piece - z.avail_out;
		if (r == Z_BUF_ERROR && z.avail_in == 0)
			break;
	}
	inflateEnd(&z);
	if (r != Z_STREAM_END) {
		free(out);
		return err_set(e, -ENOEXEC, "%s: damaged or truncated gzip file", path);
	}
	free(f->data);
	f->data = out;
	f->size = have;
	return 0;
}

static int load_kernel(struct machine *m, struct errtext *e)
{
	if (m->cfg.kernel) {
		int r = read_file(m->cfg.kernel, "kernel", &m->kernel, e);
		return r ? r : gunzip(&m->kernel, m->cfg.kernel, e);
	}
	m->kernel.data = malloc(m->cfg.embedded_kernel_bytes + 1);
	if (!m->kernel.data)
		return err_set(e, -ENOMEM, "no memory for the kernel");
	memcpy(m->kernel.data, m->cfg.embedded_kernel, m->cfg.embedded_kernel_bytes);
	m->kernel.size = m->cfg.embedded_kernel_bytes;
	return 0;
}

/* One module per comma; "file arg arg" up to the comma; ",," is a comma. @*text moves behind. */
static char *next_module(char **text)
{
	char *start = *text, *in = start, *out = start;
	while (*in && !(*in == ',' && in[1] != ',')) {
		if (*in == ',')
			in++;
		*out++ = *in++;
	}
	*text = *in ? in + 1 : NULL;
	*out = 0;
	return start;
}

static int add_module(struct machine *m, char *text, bool with_args, struct errtext *e)
{
	char path[4096];
	size_t n = with_args ? strcspn(text, " ") : strlen(text);
	if (m->module_count == BOOT_MODULES_MAX)
		return err_set(e, -E2BIG, "-initrd: more than %d modules", BOOT_MODULES_MAX);
	if (n >= sizeof(path))
		return err_set(e, -EINVAL, "-initrd: the file name is too long");
	memcpy(path, text, n);
	path[n] = 0;
	struct loaded_file *f = &m->module_file[m->module_count];
	int r = read_file(path, "initrd", f, e);
	if (!r && !f->size && !with_args)
		fprintf(stderr, "orrery: warning: -initrd %s is empty\n", path);
	if (!r)
		m->module[m->module_count++] = (struct boot_module){{f->data, f->size}, text};
	return r;
}

static int load_modules(struct machine *m, struct errtext *e)
{
	bool many = m->kind == BOOT_MULTIBOOT1 || m->kind == BOOT_MULTIBOOT2;
	m->initrd_text = strdup(m->cfg.initrd);
	if (!m->initrd_text)
		return err_set(e, -ENOMEM, "no memory for -initrd");
	if (!many)
		return add_module(m, m->initrd_text, false, e);
	int r = 0;
	for (char *rest = m->initrd_text; !r && rest;)
		r = add_module(m, next_module(&rest), true, e);
	return r;
}

static const char *kernel_name(const struct machine *m)
{
	if (!m->cfg.kernel)
		return m->cfg.embedded_name ? m->cfg.embedded_name : "kernel";
	return m->cfg.kernel;
}

/* A copy: flash may be written one day, and two machines share nothing. */
static int load_embedded_bios(struct machine *m, struct errtext *e)
{
	if (!m->cfg.embedded_bios)
		return err_set(e, -EINVAL, "nothing to boot: give -kernel or -bios");
	m->bios.data = malloc(m->cfg.embedded_bios_bytes);
	if (!m->bios.data)
		return err_set(e, -ENOMEM, "no memory for the BIOS");
	memcpy(m->bios.data, m->cfg.embedded_bios, m->cfg.embedded_bios_bytes);
	m->bios.size = m->cfg.embedded_bios_bytes;
	return 0;
}

static bool has_flash(const struct machine *m)
{
	for (unsigned i = 0; i < m->cfg.drives; i++)
		if (m->cfg.drive[i].interface == DRIVE_PFLASH)
			return true;
	return false;
}

int machine_load_files(struct machine *m, struct errtext *e)
{
	bool direct = m->cfg.kernel || m->cfg.embedded_kernel;
	int r = 0;
	if (m->cfg.bios)
		r = read_file(m->cfg.bios, "BIOS image", &m->bios, e);
	else if (!direct && !has_flash(m))
		r = load_embedded_bios(m, e);
	if (r || !direct)
		return r               ? r
		       : m->cfg.initrd ? err_set(e, -EINVAL, "-initrd needs -kernel")
				       : 0;
	if (m->cfg.bios)
		return err_set(e, -EINVAL, "-kernel starts without firmware: leave -bios out");
	if ((r = load_kernel(m, e)))
		return r;
	const struct boot_bytes kernel = {m->kernel.data, m->kernel.size};
	r = boot_probe(&kernel, kernel_name(m), &m->kind, e);
	return r ? r : m->cfg.initrd ? load_modules(m, e) : 0;
}

void machine_free_files(struct machine *m)
{
	free(m->kernel.data);
	free(m->bios.data);
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		free(m->module_file[i].data);
	free(m->initrd_text);
}

/* ---- firmware
 * ---------------------------------------------------------------------------------------------- */

static struct mem_region *add_rom(struct machine *m, u64 base, u8 *host, u64 size, const char *name)
{
	int err = 0;
	const struct mem_region r = {.base = base,
				     .size = size,
				     .host = host,
				     .name = name,
				     .kind = MEM_ROM,
				     .prio = MEM_PRIO_ROM,
				     .reads = true,
				     .writes = true};
	return bus_add_mem(&m->bus, &r, &err);
}

int machine_map_rom(struct machine *m, struct errtext *e)
{
	u64 n = m->bios.size;
	const char *name = m->cfg.bios ? m->cfg.bios : "the built-in BIOS";
	if (!m->bios.data)
		return 0;
	if (!n || n > ROM_MAX || n & 0xffff)
		return err_set(e, -ENOEXEC,
			       "%s: a BIOS image must be a multiple of 64 KiB up to 16 MiB, this "
			       "has %llu bytes",
			       name, (unsigned long long)n);
	u64 low = MIN(n, 0x20000); /* the last 128 KiB also stand below 1 MiB */
	m->rom[0] = add_rom(m, RAM_HIGH_BASE - n, m->bios.data, n, "bios");
	m->rom[1] = add_rom(m, 0x100000 - low, m->bios.data + (n - low), low, "bios below 1 MiB");
	if (!m->rom[0] || !m->rom[1])
		return err_set(e, -EINVAL, "%s: the BIOS image overlaps a device", name);
	return 0;
}

/* ---- direct boot
 * -------------------------------------------------------------------------------------------- */

static void set_segment(struct cpu *cpu, unsigned seg, u16 sel, u32 base, u32 limit, u32 ar)
{
	cpu->seg[seg] = (struct seg){.sel = sel, .ar = ar, .limit = limit};
	cpu->r[R_SEGBASE + seg] = base;
}

#define AR_FLAT_CODE (0xbu | AR_S | AR_P | AR_DB | AR_G)
#define AR_FLAT_DATA (0x3u | AR_S | AR_P | AR_DB | AR_G)
#define AR_REAL_DATA (0x3u | AR_S | AR_P)

static void enter(struct cpu *cpu, const struct boot_entry *b)
{
	static const u8 data_segs[] = {ES, SS, DS, FS, GS};
	bool prot = b->mode == BOOT_PROT32;
	if (prot) {
		cpu->cr0 = (cpu->cr0 | CR0_PE) & ~(u64)(CR0_CD | CR0_NW);
		cpu->gdtr = (struct dtr){.base = b->gdt_base, .limit = b->gdt_limit};
		set_segment(cpu, CS, b->cs, 0, 0xffffffff, AR_FLAT_CODE);
	} else {
		set_segment(cpu, CS, b->real_cs, b->real_cs * 16u, 0xffff, AR_REAL_DATA);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(data_segs); i++)
		set_segment(cpu, data_segs[i], prot ? b->ds : b->real_ds,
			    prot ? 0 : b->real_ds * 16u, prot ? 0xffffffff : 0xffff,
			    prot ? AR_FLAT_DATA : AR_REAL_DATA);
	for (unsigned i = RAX; i <= R15; i++)
		cpu->r[i] = 0;
	cpu->r[RAX] = b->eax;
	cpu->r[RBX] = b->ebx;
	cpu->r[RSI] = b->esi;
	cpu->r[RSP] = b->esp;
	cpu->rip = b->eip;
	cpu->cpl = 0;
	cpu->a20_masked = false;
	cpu_set_rflags(cpu, FL_R1);
	cpu_mode_changed(cpu);
	mmu_flush_all(cpu);
	cpu_blocks_flush(cpu);
}

/* vga=N of the Linux command line (Documentation/admin-guide/svga.rst): VBE modes are 200h above their number. */
static void choose_picture(struct machine *m, struct boot_request *req)
{
	const char *at = req->cmdline;
	char *end;
	while ((at = strstr(at, "vga=")) && at != req->cmdline && at[-1] != ' ')
		at += 4;
	unsigned long mode = at ? strtoul(at + 4, &end, 0) : 0;
	struct vga_picture p;
	if (mode < 0x300 || mode > 0x3ff || m->kind != BOOT_LINUX)
		return;
	if (vga_vbe_mode(m->pc.vga, (unsigned)mode - 0x200, &p))
		log_line(&m->log, LOG_GUEST_ERRORS, "vga=0x%lx: no such mode; the screen stays in text", mode);
	else
		req->picture = (struct boot_picture){p.w, p.h, p.bpp, p.pitch, p.base, p.bytes};
}

/* An adapter can also have come by -device. */
static bool has_display_adapter(const struct machine *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->pc.pci.fn); i++)
		if (m->pc.pci.fn[i] && m->pc.pci.fn[i]->ident->class_code >> 16 == 0x03)
			return true;
	return false;
}

struct acpi_config machine_acpi_config(const struct machine *m, u32 pm_base)
{
	return (struct acpi_config){
	    .cpus = m->cfg.cpus,
	    .low_ram_bytes = m->ram.low_bytes,
	    .hpet = !m->cfg.no_hpet,
	    .vga = has_display_adapter(m),
	    .pm_base = pm_base,
	};
}

static int direct_boot(struct machine *m, struct errtext *e)
{
	const struct acpi_config acpi = machine_acpi_config(m, 0);
	struct boot_request req = {
	    .name = kernel_name(m),
	    .kernel = {m->kernel.data, m->kernel.size},
	    .cmdline = m->cfg.append ? m->cfg.append : "",
	    .modules = m->module,
	    .module_count = m->module_count,
	    .text_display = m->pc.vga != NULL,
	};
	struct boot_entry entry;
	u8 *low = ram_at(&m->ram, 0, 0x100000);
	if (!low)
		return err_set(e, -EINVAL, "direct boot needs at least 1 MiB of RAM");
	memset(low, 0, 0x100000);
	bios_data_area(low);
	if (m->pc.vga)
		bios_video_data(low);
	pc_firmware_setup(&m->pc);
	if (m->pc.vga) {
		vga_text_mode(m->pc.vga);
		choose_picture(m, &req);
	}
	int r = acpi_build(&acpi, low + ACPI_SEGMENT, &req.rsdp, e);
	if (r || (r = boot_load(m->kind, &req, &m->ram, &entry, e)))
		return r;
	bios_program_chips(&m->bus);
	enter(m->cpus[0], &entry);
	return 0;
}

int machine_start_guest(struct machine *m, struct errtext *e)
{
	return m->kernel.data ? direct_boot(m, e) : 0;
}

static void reset_cpus(struct machine *m)
{
	m->reset_wanted = m->reset_cpu_only = m->suspended = false;
	m->halt_virtual_ns = 0;
	for (unsigned i = 0; i < m->cpu_count; i++) {
		struct cpu *cpu = m->cpus[i];
		cpu_event_clear(cpu, CPU_EV_NMI | CPU_EV_SMI | CPU_EV_INIT | CPU_EV_SIPI | CPU_EV_STOP);
		cpu_reset(cpu, false);
		mmu_flush_all(cpu);
	}
	cpu_blocks_flush(m->cpu);
	machine_switch_cpu(m, m->cpus[0]);
}

/* Where the operating system left FACS.Firmware_Waking_Vector (ACPI 6.0, 5.2.10); 0: nowhere. */
static u32 waking_vector(struct machine *m)
{
	u8 *segment = ram_at(&m->ram, ACPI_SEGMENT, 0x10000);
	u32 vector = 0;
	for (unsigned at = 0; segment && at < 0x10000; at += 64)
		if (!memcmp(segment + at, "FACS", 4)) {
			memcpy(&vector, segment + at + 12, 4);
			break;
		}
	return vector;
}

/* Firmware finds its way to the waking vector by itself. Without any, this does what it would (ACPI 6.0, 16.3.1). */
void machine_wake(struct machine *m)
{
	u16 status = pc_wake_status(&m->pc);
	u32 vector = m->kernel.data ? waking_vector(m) : 0;
	if (m->kernel.data && (!vector || vector > 0xfffff)) {
		log_unimplemented(&m->log, "waking vector %08x: the machine resets instead", vector);
		machine_reset(m);
		return;
	}
	pc_reset(&m->pc, RESET_WAKE);
	reset_cpus(m);
	if (m->kernel.data) {
		const struct boot_entry entry = {
		    .mode = BOOT_REAL16, .real_cs = (u16)(vector >> 4), .eip = vector & 15};
		pc_firmware_setup(&m->pc);
		bios_program_chips(&m->bus);
		enter(m->cpus[0], &entry);
	}
	pc_wake(&m->pc, status);
}

void machine_reset(struct machine *m)
{
	struct errtext e;
	bool cpu_only = m->reset_cpu_only && !m->kernel.data;
	machine_all_written(m);
	if (!cpu_only)
		pc_reset(&m->pc, RESET_HARD);
	reset_cpus(m);
	/* The same bytes loaded once before: this cannot fail, and would be ours to fix. */
	if (!cpu_only && machine_start_guest(m, &e)) {
		snprintf(m->explanation, sizeof(m->explanation), "after reset: %s", e.s);
		m->end = END_HANG;
	}
}
