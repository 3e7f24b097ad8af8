/*
 * What firmware learns through fw_cfg (QEMU's docs/specs/fw_cfg, and the names SeaBIOS and OVMF
 * look for): sizes, e820, ACPI and SMBIOS tables, the boot menu, IA32_FEATURE_CONTROL. The order of
 * boot devices goes to CMOS 38h and 3Dh.
 */
#include "machine/machine_internal.h"

#include <stdlib.h>
#include "devices/timer/rtc.h"
#include "machine/acpi.h"
#include "machine/smbios.h"

#define ITEM_RAM_SIZE  0x03
#define ITEM_NOGRAPHIC 0x04
#define ITEM_CPUS      0x05
#define ITEM_BOOT_MENU 0x0e
#define ITEM_MAX_CPUS  0x0f

static int put_file(struct machine *m, const char *name, const void *data, u32 n)
{
	int r = pc_fw_cfg_replace_file(&m->pc, name, data, n);
	return r == -ENOENT ? pc_fw_cfg_add_file(&m->pc, name, data, n) : r;
}

/* Adds the ACPI files, or brings them up to date. */
static int put_acpi(struct machine *m, u32 pm_base, struct errtext *e)
{
	const struct acpi_config cfg = machine_acpi_config(m, pm_base);
	struct acpi_files *f = malloc(sizeof(*f));
	int r =
	    f ? acpi_build_files(&cfg, f, e) : err_set(e, -ENOMEM, "no memory for the ACPI tables");
	if (!r && (put_file(m, "etc/acpi/tables", f->tables, f->tables_size) ||
		   put_file(m, "etc/acpi/rsdp", f->rsdp, sizeof(f->rsdp)) ||
		   put_file(m, "etc/table-loader", f->loader, f->loader_size)))
		r = err_set(e, -ENOMEM, "no memory for the ACPI tables");
	free(f);
	m->acpi_pm_base = pm_base;
	return r;
}

/* Each firmware puts the PM1 registers where it likes, and reads the tables afterwards: they say
 * where. */
static void file_selected(void *ctx, const char *name)
{
	struct machine *m = ctx;
	struct errtext e;
	u16 base = pc_pm_base(&m->pc);
	if (base && base != m->acpi_pm_base &&
	    (!strncmp(name, "etc/acpi/", 9) || !strcmp(name, "etc/table-loader")) &&
	    put_acpi(m, base, &e))
		log_line(&m->log, LOG_GUEST_ERRORS, "fw_cfg: %s", e.s);
}

void machine_fw_cfg_loaded(struct machine *m)
{
	struct errtext e;
	if (m->acpi_pm_base && put_acpi(m, m->acpi_pm_base, &e))
		log_line(&m->log, LOG_GUEST_ERRORS, "fw_cfg: %s", e.s);
}

static int put_smbios(struct machine *m)
{
	const struct smbios_config cfg = {
	    .cpus = m->cfg.cpus,
	    .ram_low_bytes = m->ram.low_bytes,
	    .ram_high_bytes = m->ram.size_bytes - m->ram.low_bytes,
	};
	struct smbios s;
	smbios_build(&cfg, &s);
	int r = put_file(m, "etc/smbios/smbios-anchor", s.anchor, sizeof(s.anchor));
	return r ? r : put_file(m, "etc/smbios/smbios-tables", s.tables, s.size);
}

static int put_e820(struct machine *m)
{
	struct boot_range map[BOOT_RANGES_MAX];
	u8 e820[BOOT_RANGES_MAX * 20];
	unsigned n = boot_memory_map(&m->ram, map);
	for (unsigned i = 0; i < n; i++) {
		memcpy(e820 + i * 20, &map[i].base, 8);
		memcpy(e820 + i * 20 + 8, &map[i].size, 8);
		memcpy(e820 + i * 20 + 16, &map[i].type, 4);
	}
	return put_file(m, "etc/e820", e820, n * 20);
}

/* Device codes of CMOS 3Dh and 38h: 1 floppy, 2 disk, 3 CD, 4 network. */
static u8 boot_code(char letter)
{
	const char *letters = "acdn", *at = letter ? strchr(letters, letter) : NULL;
	return at ? (u8)(at - letters + 1) : 0;
}

static int put_boot(struct machine *m)
{
	const char *order = m->cfg.boot_order ? m->cfg.boot_order : "cda";
	u8 code[3] = {0};
	u16 nographic = m->cfg.nographic, menu = m->cfg.boot_menu, wait = (u16)MIN(m->cfg.boot_menu_ms, 65535u);
	for (unsigned i = 0; i < 3 && order[i]; i++)
		code[i] = boot_code(order[i]);
	rtc_set_cmos(m->pc.rtc, 0x3d, (u8)(code[0] | code[1] << 4));
	rtc_set_cmos(m->pc.rtc, 0x38, (u8)(code[2] << 4 | 1)); /* diskettes need no signature */
	int r = pc_fw_cfg_add_item(&m->pc, ITEM_NOGRAPHIC, &nographic, 2);
	r = r ? r : pc_fw_cfg_add_item(&m->pc, ITEM_BOOT_MENU, &menu, 2);
	if (!r && (wait || (m->cfg.unwatched && !menu)))
		r = put_file(m, "etc/boot-menu-wait", &wait, 2);
	return r;
}

/* Firmware locks MSR 3Ah with VMX on when the processor has it (SDM Vol. 3C, 24.7). */
static int put_feature_control(struct machine *m)
{
	u64 value = 5;
	return cpu_has(m->cpus[0], FEAT_VMX) ? put_file(m, "etc/msr_feature_control", &value, 8)
					     : 0;
}

/*
 * For S0 to S5: bit 7, there is this state; below it, its SLP_TYP (QEMU's hw/acpi/piix4.c; OVMF's QemuFwCfgS3Enabled() looks at S3).
 * As \_S3_ and \_S5_ of machine/acpi.c have it.
 */
static int put_system_states(struct machine *m)
{
	const u8 states[6] = {0x80, 0, 0, 0x80 | 1, 0, 0x80};
	return put_file(m, "etc/system-states", states, sizeof(states));
}

static int put_items(struct machine *m)
{
	const u64 ram = m->ram.size_bytes;
	const u16 cpus = (u16)m->cfg.cpus;
	int r = pc_fw_cfg_add_item(&m->pc, ITEM_RAM_SIZE, &ram, sizeof(ram));
	r = r ? r : pc_fw_cfg_add_item(&m->pc, ITEM_CPUS, &cpus, sizeof(cpus));
	return r ? r : pc_fw_cfg_add_item(&m->pc, ITEM_MAX_CPUS, &cpus, sizeof(cpus));
}

int machine_fill_fw_cfg(struct machine *m, struct errtext *e)
{
	int r = put_items(m);
	r = r ? r : put_e820(m);
	r = r ? r : put_smbios(m);
	r = r ? r : put_boot(m);
	r = r ? r : put_feature_control(m);
	r = r ? r : put_system_states(m);
	if (r)
		return err_set(e, r, "fw_cfg refuses its items");
	pc_fw_cfg_on_select(&m->pc, file_selected, m);
	return put_acpi(m, PC_PM_BASE, e);
}
