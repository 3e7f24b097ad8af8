/* The board of machine `pc`: which chip stands where, and the wires between them. */
#include "devices/pc.h"

#include <errno.h>

#include "devices/chipset/fw_cfg.h"
#include "devices/chipset/i440fx.h"
#include "devices/chipset/piix3.h"
#include "devices/chipset/piix4pm.h"
#include "devices/input/i8042.h"
#include "devices/irq/ioapic.h"
#include "devices/irq/lapic.h"
#include "devices/irq/pic.h"
#include "devices/net/nic.h"
#include "devices/serial/uart16550.h"
#include "devices/timer/rtc.h"
#include "devices/usb/usb.h"

struct board_state { /* what the board itself holds */
	u16 sources[GSI_COUNT];
	struct irq_line pic[16], ioapic[GSI_COUNT];
	u32 current_cpu;
	bool legacy_off, pic_intr;
};
/* clang-format off */
#define BOARD_FIELDS(V, S, H, P) \
	V(sources) V(pic) V(ioapic) V(current_cpu) V(legacy_off) V(pic_intr) P(2)
/* clang-format on */
SNAPSHOT(board_snapshot, "board", 1, struct board_state, BOARD_FIELDS);

/* ---- local APIC window ------------------------------------------------------------------- */

static u64 lapic_read(void *ctx, u64 offset, unsigned size)
{
	struct pc *pc = ctx;
	return lapic_mmio_read(pc->lapic[pc->current_cpu], (u32)offset, size);
}

static void lapic_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct pc *pc = ctx;
	lapic_mmio_write(pc->lapic[pc->current_cpu], (u32)offset, (u32)value, size);
}

static const struct mmio_ops lapic_ops = {lapic_read, lapic_write, 4};

/* All local APICs share one window, where CPU 0 has put its own: systems move all or none. */
static int place_window(struct pc *pc)
{
	u64 base = lapic_base(pc->lapic[0]) & ~0xfffull;
	int e = 0;
	struct mem_region r = {.base = base,
			       .size = 0x1000,
			       .ops = &lapic_ops,
			       .ctx = pc,
			       .name = "lapic",
			       .kind = MEM_MMIO,
			       .prio = MEM_PRIO_APIC,
			       .reads = true,
			       .writes = true};
	if (pc->lapic_window && pc->lapic_window->base == base)
		return 0;
	bus_batch_begin(pc->env.bus);
	bus_remove_mem(pc->env.bus, pc->lapic_window);
	pc->lapic_window = bus_add_mem(pc->env.bus, &r, &e);
	bus_batch_end(pc->env.bus);
	return e;
}

/* ---- wires ------------------------------------------------------------------------------- */

static void pic_intr_sink(void *ctx, unsigned n, bool level)
{
	struct pc *pc = ctx;
	pc->pic_intr = level;
	for (unsigned i = 0; i < pc->cpus; i++)
		lapic_set_lint(pc->lapic[i], 0, level);
}

/* IRQ8# also reaches the power management chip (82371AB, PMSTS.RTC_STS), even while the HPET stands in for the RTC. */
static void rtc_irq_sink(void *ctx, unsigned n, bool level)
{
	struct pc *pc = ctx;
	if (level)
		piix4pm_rtc_alarm(pc->piix4pm);
}

static void connect_wires(struct pc *pc)
{
	irq_connect(pic_output(pc->pic), pic_intr_sink, pc, 0);
	for (unsigned i = 0; i < 16; i++)
		irq_connect(&pc->gsi.pic[i], pic_sink, pc->pic, i);
	irq_connect(&pc->gsi.rtc, rtc_irq_sink, pc, 8);
	for (unsigned i = 0; i < GSI_COUNT; i++)
		irq_connect(&pc->gsi.ioapic[i], ioapic_sink, pc->ioapic, i);
	pc->pci.pirq = piix3_pirq;
	pc->pci.pirq_ctx = pc->piix3;
}

/* ---- memory ------------------------------------------------------------------------------ */

static int add_ram(struct pc *pc, u64 base, u64 size, u8 *host, const char *name)
{
	int err = 0;
	struct mem_region r = {.base = base,
			       .size = size,
			       .host = host,
			       .name = name,
			       .kind = MEM_RAM,
			       .prio = MEM_PRIO_RAM,
			       .reads = true,
			       .writes = true};
	if (size)
		bus_add_mem(pc->env.bus, &r, &err);
	return err;
}

/* RAM behind A0000h-FFFFFh shows only through SMRAM and PAM. */
static int add_memory(struct pc *pc, const struct pc_config *cfg)
{
	u64 low = cfg->ram_low_bytes;
	int e = add_ram(pc, 0, MIN(low, 0xa0000), cfg->ram, "ram");
	if (!e && low > 0x100000)
		e = add_ram(pc, 0x100000, low - 0x100000, cfg->ram + 0x100000, "ram");
	return e ? e : add_ram(pc, BIT64(32), cfg->ram_high_bytes, cfg->ram + low, "ram above 4G");
}

/* ---- CMOS: where firmware looks for memory sizes and drives ------------------------------ */

static void put_cmos16(struct pc *pc, unsigned index, u64 v)
{
	rtc_set_cmos(pc->rtc, index, (u8)v);
	rtc_set_cmos(pc->rtc, index + 1, (u8)(v >> 8));
}

static void fill_cmos(struct pc *pc, const struct pc_config *cfg)
{
	u64 low = cfg->ram_low_bytes, above_1m = low > 0x100000 ? low - 0x100000 : 0;
	u64 above_16m = low > 0x1000000 ? low - 0x1000000 : 0;
	put_cmos16(pc, 0x15, MIN(low >> 10, 640));
	put_cmos16(pc, 0x17, MIN(above_1m >> 10, 65535));
	put_cmos16(pc, 0x30, MIN(above_1m >> 10, 65535));
	put_cmos16(pc, 0x34, MIN(above_16m >> 16, 65535));
	put_cmos16(pc, 0x5b, cfg->ram_high_bytes >> 16 & 0xffff);
	rtc_set_cmos(pc->rtc, 0x5d, (u8)(cfg->ram_high_bytes >> 32));
	rtc_set_cmos(pc->rtc, 0x5f, (u8)(cfg->cpus - 1));
	pc_drives_to_cmos(pc);
	rtc_set_checksum(pc->rtc);
}

/* ---- building ---------------------------------------------------------------------------- */

struct part {
	const char *type;
	size_t slot; /* of the pointer in struct pc */
};

static struct device *make(struct pc *pc, const char *type, const char *id, const char *props,
			   char *err, size_t n)
{
	return device_create(&pc->env, type, id, props, err, n);
}

static int make_parts(struct pc *pc, char *err, size_t n)
{
	static const struct part parts[] = {
	    {"i440fx", offsetof(struct pc, i440fx)},    {"piix3", offsetof(struct pc, piix3)},
	    {"piix4-pm", offsetof(struct pc, piix4pm)}, {"pic", offsetof(struct pc, pic)},
	    {"ioapic", offsetof(struct pc, ioapic)},    {"dma8237", offsetof(struct pc, dma)},
	    {"pit", offsetof(struct pc, pit)},          {"rtc", offsetof(struct pc, rtc)},
	    {"i8042", offsetof(struct pc, i8042)},      {"fw_cfg", offsetof(struct pc, fw_cfg)},
	    {"piix3-ide", offsetof(struct pc, ide)},    {"fdc", offsetof(struct pc, fdc)},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		struct device *d = make(pc, parts[i].type, NULL, NULL, err, n);
		if (!d)
			return -EINVAL;
		memcpy((u8 *)pc + parts[i].slot, &d, sizeof(d));
	}
	return 0;
}

static int make_lapics(struct pc *pc, bool absent, char *err, size_t n)
{
	for (unsigned i = 0; i < pc->cpus; i++) {
		char id[16], props[40];
		snprintf(id, sizeof(id), "lapic%u", i);
		snprintf(props, sizeof(props), "index=%u,absent=%s", i, absent ? "on" : "off");
		pc->lapic[i] = make(pc, "lapic", id, props, err, n);
		if (!pc->lapic[i])
			return -EINVAL;
	}
	return 0;
}

static int make_serial(struct pc *pc, unsigned i, const char *chardev, char *err, size_t n)
{
	static const u16 base[PC_MAX_SERIAL] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	char id[16], props[PROP_TEXT_SIZE + 64];
	snprintf(id, sizeof(id), "com%u", i + 1);
	snprintf(props, sizeof(props), "iobase=%u,irq=%u,chardev=%s", base[i], i & 1 ? 3 : 4,
		 chardev);
	pc->serial[i] = make(pc, "isa-serial", id, props, err, n);
	return pc->serial[i] ? 0 : -EINVAL;
}

static int make_optional(struct pc *pc, const struct pc_config *cfg, char *err, size_t n)
{
	char props[PROP_TEXT_SIZE + 64];
	if (cfg->vga && !(pc->vga = make(pc, "VGA", NULL, NULL, err, n)))
		return -EINVAL;
	if (cfg->usb && !make(pc, "piix3-usb-uhci", NULL, NULL, err, n))
		return -EINVAL;
	if (cfg->tablet && !make(pc, "usb-tablet", NULL, NULL, err, n))
		return -EINVAL;
	if (!cfg->no_hpet && !(pc->hpet = make(pc, "hpet", NULL, NULL, err, n)))
		return -EINVAL;
	for (unsigned i = 0; i < PC_MAX_SERIAL; i++)
		if (cfg->serial[i] && make_serial(pc, i, cfg->serial[i], err, n))
			return -EINVAL;
	snprintf(props, sizeof(props), "chardev=%s", cfg->debugcon ? cfg->debugcon : "");
	if (!cfg->no_debugcon && !make(pc, "isa-debugcon", "debugcon", props, err, n))
		return -EINVAL;
	return 0;
}

static int add_window(struct pc *pc, char *err, size_t n)
{
	int e = place_window(pc);
	if (e)
		snprintf(err, n, "memory at FEE00000h is taken");
	return e;
}

static int set_fw_cfg(struct pc *pc, const struct pc_config *cfg)
{
	u16 cpus = (u16)cfg->cpus;
	u64 ram = cfg->ram_low_bytes + cfg->ram_high_bytes;
	int e = fw_cfg_set(pc->fw_cfg, 0x03, &ram, 8);
	e = e ? e : fw_cfg_set(pc->fw_cfg, 0x05, &cpus, 2);
	return e ? e : fw_cfg_set(pc->fw_cfg, 0x0f, &cpus, 2);
}

static int build(struct pc *pc, const struct pc_config *cfg, char *err, size_t n)
{
	int e = make_parts(pc, err, n);
	e = e ? e : make_lapics(pc, cfg->no_apic, err, n);
	if (e)
		return e;
	connect_wires(pc);
	e = make_optional(pc, cfg, err, n);
	e = e ? e : pc_attach_drives(pc, cfg->drive, cfg->drives, err, n);
	e = e ? e : add_window(pc, err, n);
	if (e)
		return e;
	snprintf(err, n, "memory does not fit into the address space");
	e = add_memory(pc, cfg);
	e = e ? e : set_fw_cfg(pc, cfg);
	if (e)
		return e;
	rtc_set_time(pc->rtc, cfg->rtc_start_s);
	fill_cmos(pc, cfg);
	return 0;
}

int pc_create(struct pc *pc, const struct pc_config *cfg, struct bus *bus, struct clock *clock,
	      struct log *log, const struct machine_hooks *hooks,
	      struct chardev *(*find_chardev)(void *ctx, const char *id), char *err,
	      size_t err_size)
{
	memset(pc, 0, sizeof(*pc));
	pc->env = (struct device_env){.bus = bus,
				      .clock = clock,
				      .log = log,
				      .gsi = &pc->gsi,
				      .pci = &pc->pci,
				      .find_chardev = find_chardev,
				      .ram = cfg->ram,
				      .ram_low_bytes = cfg->ram_low_bytes,
				      .display = cfg->display,
				      .audio = cfg->audio};
	if (hooks)
		pc->env.hooks = *hooks;
	pc->cpus = cfg->cpus;
	if (!cfg->cpus || cfg->cpus > PC_MAX_CPUS || cfg->ram_low_bytes > 0xc0000000u) {
		snprintf(err, err_size, "1 to %d processors, at most 3 GiB of low memory",
			 PC_MAX_CPUS);
		return -EINVAL;
	}
	pci_bus_init(&pc->pci, &pc->env);
	bus_batch_begin(bus);
	int e = build(pc, cfg, err, err_size);
	bus_batch_end(bus);
	if (e)
		pc_destroy(pc);
	return e;
}

static bool is_board_ram(const struct pc *pc, const struct mem_region *r)
{
	return r->used && r->kind == MEM_RAM && r->prio == MEM_PRIO_RAM;
}

void pc_destroy(struct pc *pc)
{
	struct bus *bus = pc->env.bus;
	bus_batch_begin(bus);
	devices_destroy_all(&pc->env);
	bus_remove_mem(bus, pc->lapic_window);
	for (unsigned i = 0; i < BUS_MAX_MEM_REGIONS; i++)
		if (is_board_ram(pc, &bus->mem[i]))
			bus_remove_mem(bus, &bus->mem[i]);
	bus_batch_end(bus);
}

void pc_reset(struct pc *pc, enum reset_kind kind)
{
	bus_batch_begin(pc->env.bus);
	devices_reset(&pc->env, kind);
	place_window(pc);
	bus_batch_end(pc->env.bus);
}

/* ---- what the firmware leaves ------------------------------------------------------------ */

static u64 place_bar(struct pci_function *f, unsigned n, u64 *io, u64 *mem)
{
	const struct pci_bar_decl *b = &f->ident->bar[n];
	u64 *next = b->kind == PCI_BAR_IO ? io : mem;
	u64 align = b->kind == PCI_BAR_IO ? b->size : MAX(b->size, 4096);
	u64 at = (*next + align - 1) & ~(align - 1);
	*next = at + b->size;
	return at;
}

static void place_function(struct pc *pc, struct pci_function *f, u64 *io, u64 *mem)
{
	u16 command = 0;
	for (unsigned n = 0; n < 6; n++) {
		if (f->ident->bar[n].kind == PCI_BAR_NONE)
			continue;
		u64 at = place_bar(f, n, io, mem);
		pci_config_write(&pc->pci, f->devfn, PCI_BAR0 + n * 4, (u32)at, 4);
		command |=
		    f->ident->bar[n].kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	}
	u16 old = pci_get16(f, PCI_COMMAND);
	pci_config_write(&pc->pci, f->devfn, PCI_COMMAND, old | command, 2);
	if (f->cfg[PCI_INTERRUPT_PIN]) {
		unsigned pirq = ((f->devfn >> 3) - 1u + f->cfg[PCI_INTERRUPT_PIN] - 1u) & 3;
		pci_config_write(&pc->pci, f->devfn, PCI_INTERRUPT_LINE, pirq < 2 ? 10 : 11, 1);
	}
}

void pc_firmware_setup(struct pc *pc)
{
	u64 io = 0xc000, mem = 0xe0000000u;
	u8 pm = 1 << 3 | 3, isa = 1 << 3, ide = 1 << 3 | 1;
	bus_batch_begin(pc->env.bus);
	pci_config_write(&pc->pci, 0, 0x59, 0x30, 1);
	for (unsigned r = 0x5a; r < 0x60; r++)
		pci_config_write(&pc->pci, 0, r, 0x33, 1);
	pci_config_write(&pc->pci, isa, 0x60, 0x0b0b0a0a, 4);
	pci_config_write(&pc->pci, ide, 0x40, 0x80008000u, 4); /* IDETIM: both channels are decoded */
	pci_config_write(&pc->pci, ide, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	pci_config_write(&pc->pci, pm, 0x40, PC_PM_BASE | 1, 4);
	pci_config_write(&pc->pci, pm, 0x80, 1, 1);
	for (unsigned i = 0; i < 256; i++)
		if (pc->pci.fn[i])
			place_function(pc, pc->pci.fn[i], &io, &mem);
	pci_config_write(&pc->pci, pm, PCI_INTERRUPT_LINE, PC_SCI_IRQ, 1);
	bus_batch_end(pc->env.bus);
	bus_io_write(pc->env.bus, 0x4d0, 0, 1);
	bus_io_write(pc->env.bus, 0x4d1, 0x0e, 1); /* IRQ 9, 10, 11 are level triggered */
	lapic_virtual_wire(pc->lapic[0]);
}

void pc_leave_to_smm(struct pc *pc)
{
	piix4pm_leave_to_smm(pc->piix4pm);
}

u16 pc_wake_status(struct pc *pc)
{
	return piix4pm_wake_status(pc->piix4pm);
}

bool pc_wakes_by_rtc(struct pc *pc)
{
	return piix4pm_wakes_by_rtc(pc->piix4pm);
}

void pc_wake(struct pc *pc, u16 status)
{
	piix4pm_wake(pc->piix4pm, status);
	rtc_set_cmos(pc->rtc, CMOS_SHUTDOWN, CMOS_SHUTDOWN_S3);
}

/* ---- the CPU's side ---------------------------------------------------------------------- */

void pc_msi(struct pc *pc, u64 addr, u32 data)
{
	apic_deliver_msi(&pc->env, addr, data);
}

u8 pc_intack(struct pc *pc, unsigned cpu)
{
	int v = lapic_intack(pc->lapic[cpu]);
	return v >= 0 ? (u8)v : pic_intack(pc->pic);
}

u8 pc_get_cr8(struct pc *pc, unsigned cpu)
{
	return lapic_get_cr8(pc->lapic[cpu]);
}

void pc_set_cr8(struct pc *pc, unsigned cpu, u8 value)
{
	lapic_set_cr8(pc->lapic[cpu], value);
}

int pc_apic_msr_read(struct pc *pc, unsigned cpu, u32 msr, u64 *value)
{
	return lapic_msr_read(pc->lapic[cpu], msr, value);
}

int pc_apic_msr_write(struct pc *pc, unsigned cpu, u32 msr, u64 value)
{
	int e = lapic_msr_write(pc->lapic[cpu], msr, value);
	if (!e && msr == 0x1b && place_window(pc))
		log_line(pc->env.log, LOG_GUEST_ERRORS,
			 "the local APIC was moved onto another device");
	return e;
}

void pc_lapic_init_reset(struct pc *pc, unsigned cpu)
{
	lapic_init_reset(pc->lapic[cpu]);
}

void pc_ferr(struct pc *pc, bool level)
{
	piix3_ferr(pc->piix3, level);
}

void pc_smm_changed(struct pc *pc, bool smm)
{
	i440fx_set_smm(pc->i440fx, smm);
}

/* ---- input ------------------------------------------------------------------------------- */

unsigned pc_serial_receive(struct pc *pc, unsigned port, const u8 *data, unsigned n)
{
	return port < PC_MAX_SERIAL && pc->serial[port] ? uart_receive(pc->serial[port], data, n)
							: 0;
}

unsigned pc_serial_room(struct pc *pc, unsigned port)
{
	return port < PC_MAX_SERIAL && pc->serial[port] ? uart_room(pc->serial[port]) : 0;
}

void pc_key(struct pc *pc, u16 set1, bool pressed)
{
	i8042_key(pc->i8042, set1, pressed);
}

void pc_mouse(struct pc *pc, int dx, int dy, int wheel, unsigned buttons)
{
	i8042_mouse(pc->i8042, dx, dy, wheel, buttons);
}

struct pc_input_state pc_input_state(const struct pc *pc)
{
	return (struct pc_input_state){.leds = i8042_leds(pc->i8042),
				       .mouse_wanted = i8042_mouse_wanted(pc->i8042),
				       .pointer_wanted = pc->env.tablet && usb_tablet_wanted(pc->env.tablet)};
}

void pc_pointer(struct pc *pc, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	if (pc->env.tablet)
		usb_tablet_move(pc->env.tablet, x, y, wheel, buttons);
}

void pc_power_button(struct pc *pc)
{
	piix4pm_power_button(pc->piix4pm);
}

unsigned pc_net_room(struct pc *pc, const struct net *net)
{
	for (struct nic *c = pc->env.nics; c; c = c->next)
		if (c->net == net)
			return c->ops->room(c->dev);
	return 0;
}

void pc_net_receive(struct pc *pc, const struct net *net, const u8 *frame, size_t bytes)
{
	for (struct nic *c = pc->env.nics; c; c = c->next)
		if (!net || c->net == net)
			nic_receive(c, frame, bytes);
}

int pc_fw_cfg_add_file(struct pc *pc, const char *name, const void *data, u32 n)
{
	return fw_cfg_add_file(pc->fw_cfg, name, data, n);
}

int pc_fw_cfg_add_item(struct pc *pc, u16 selector, const void *data, u32 n)
{
	return fw_cfg_set(pc->fw_cfg, selector, data, n);
}

int pc_fw_cfg_replace_file(struct pc *pc, const char *name, const void *data, u32 n)
{
	return fw_cfg_replace_file(pc->fw_cfg, name, data, n);
}

void pc_fw_cfg_on_select(struct pc *pc, void (*selecting)(void *ctx, const char *name), void *ctx)
{
	fw_cfg_on_select(pc->fw_cfg, selecting, ctx);
}

u16 pc_pm_base(struct pc *pc)
{
	u8 pm = 1 << 3 | 3;
	bool on = pci_config_read(&pc->pci, pm, 0x80, 1) & 1;
	return on ? (u16)(pci_config_read(&pc->pci, pm, 0x40, 2) & 0xffc0) : 0;
}

/* ---- state ------------------------------------------------------------------------------- */

static void take_state(const struct pc *pc, struct board_state *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->sources, pc->gsi.sources, sizeof(s->sources));
	memcpy(s->pic, pc->gsi.pic, sizeof(s->pic));
	memcpy(s->ioapic, pc->gsi.ioapic, sizeof(s->ioapic));
	s->current_cpu = pc->current_cpu;
	s->legacy_off = pc->gsi.legacy_off;
	s->pic_intr = pc->pic_intr;
}

void pc_save(struct pc *pc, struct snap_buf *b)
{
	struct board_state s;
	take_state(pc, &s);
	snapshot_save(b, &board_snapshot, "board", &s);
	devices_save(&pc->env, b);
}

int pc_check(struct pc *pc, struct snap_reader *r)
{
	if (snapshot_load(r, &board_snapshot, "board", NULL))
		return -EINVAL;
	return devices_check(&pc->env, r);
}

int pc_load(struct pc *pc, struct snap_reader *r)
{
	struct board_state s;
	take_state(pc, &s);
	if (snapshot_load(r, &board_snapshot, "board", &s) || s.current_cpu >= pc->cpus)
		return -EINVAL;
	memcpy(pc->gsi.sources, s.sources, sizeof(s.sources));
	memcpy(pc->gsi.pic, s.pic, sizeof(s.pic));
	memcpy(pc->gsi.ioapic, s.ioapic, sizeof(s.ioapic));
	pc->gsi.rtc.level = s.sources[8] != 0;
	pc->current_cpu = s.current_cpu;
	pc->gsi.legacy_off = s.legacy_off;
	pc->pic_intr = s.pic_intr;
	int e = devices_load(&pc->env, r);
	return e ? e : place_window(pc);
}

void pc_sections(struct pc *pc, void (*see)(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state),
		 void *ctx)
{
	struct board_state s;
	take_state(pc, &s);
	see(ctx, "board", &board_snapshot, &s);
	for (struct device *d = pc->env.devices; d; d = d->next)
		if (d->type->snapshot)
			see(ctx, d->id, d->type->snapshot, d);
}

u64 pc_hash(struct pc *pc, u64 seed)
{
	struct board_state s;
	take_state(pc, &s);
	return devices_hash(&pc->env, snapshot_hash(seed, &board_snapshot, &s));
}
