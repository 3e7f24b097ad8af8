/* Builds the machine and wires processor, board and host ends. See machine.h. */
#include "machine/machine_internal.h"

#include <stdlib.h>
#include "cpu/exec/cpuid.h"
#include "cpu/vmx/vmx.h"
#include "machine/record.h"
#include "machine/reverse.h"

#define DEFAULT_RTC_START 1767225600 /* 2026-01-01T00:00:00Z: fixed, so that equal runs are equal  \
				      */
#define RNG_SEED 0x0123456789abcdefull

static const char *const reason_names[END_REASONS] = {
    [END_NONE] = "running",
    [END_POWER_OFF] = "power-off",
    [END_DEBUG_EXIT] = "debug-exit",
    [END_RESET] = "reset",
    [END_TRIPLE_FAULT] = "triple-fault",
    [END_HANG] = "hang",
    [END_TIMEOUT] = "timeout",
    [END_MAX_INSNS] = "instruction-limit",
    [END_QUIT] = "quit",
    [END_STOPPED] = "stopped",
};

const char *end_reason_name(enum end_reason r)
{
	return (unsigned)r < END_REASONS ? reason_names[r] : "?";
}

void machine_config_init(struct machine_config *cfg)
{
	*cfg = (struct machine_config){
	    .ram_bytes = 128ull << 20,
	    .cpus = 1,
	    .rtc_start_s = DEFAULT_RTC_START,
	    .log_classes = BIT(LOG_UNIMPLEMENTED),
	};
}

/* ---- what the board asks of the processor
 * ------------------------------------------------------------- */

static void raise_event(struct machine *m, u32 ev)
{
	if (m->cpu)
		cpu_event_set(m->cpu, ev);
}

/* Something reached processor @n, which may be another than the running one: that may have to share now. */
static void raise_event_at(struct machine *m, unsigned n, u32 ev)
{
	if (n >= m->cpu_count)
		return;
	cpu_event_set(m->cpus[n], ev);
	if (m->cpus[n] != m->cpu)
		m->cpu->others_wait = true;
}

static void hook_intr(void *ctx, unsigned cpu, bool level)
{
	struct machine *m = ctx;
	if (level)
		raise_event_at(m, cpu, CPU_EV_INTR);
	else if (cpu < m->cpu_count)
		cpu_event_clear(m->cpus[cpu], CPU_EV_INTR);
}

static void hook_nmi(void *ctx, unsigned cpu)
{
	raise_event_at(ctx, cpu, CPU_EV_NMI);
}

static void hook_smi(void *ctx, unsigned cpu)
{
	raise_event_at(ctx, cpu, CPU_EV_SMI);
}

static void hook_init(void *ctx, unsigned cpu)
{
	struct machine *m = ctx;
	pc_lapic_init_reset(&m->pc, cpu);
	if (cpu < m->cpu_count)
		cpu_event_clear(m->cpus[cpu], CPU_EV_SIPI); /* sent before: a halted processor has not looked, and ignores it */
	raise_event_at(m, cpu, CPU_EV_INIT);
}

static void hook_sipi(void *ctx, unsigned cpu, u8 vector)
{
	struct machine *m = ctx;
	if (cpu >= m->cpu_count || (m->cpus[cpu]->events & CPU_EV_SIPI))
		return; /* the first of several starts it */
	m->cpus[cpu]->sipi_vector = vector;
	raise_event_at(m, cpu, CPU_EV_SIPI);
}

static u64 hook_tsc_offset(void *ctx, unsigned cpu)
{
	const struct machine *m = ctx;
	return cpu < m->cpu_count ? m->cpus[cpu]->tsc_offset : 0;
}

static void hook_a20(void *ctx, bool enabled)
{
	struct machine *m = ctx;
	for (unsigned i = 0; i < m->cpu_count; i++) {
		if (m->cpus[i]->a20_masked == !enabled)
			continue;
		m->cpus[i]->a20_masked = !enabled;
		mmu_flush_all(m->cpus[i]);
	}
}

static void hook_reset(void *ctx, bool cpu_only)
{
	struct machine *m = ctx;
	m->reset_cpu_only = cpu_only && (!m->reset_wanted || m->reset_cpu_only);
	m->reset_wanted = true;
	raise_event(m, CPU_EV_STOP);
}

static void hook_power(void *ctx, enum power_state state)
{
	struct machine *m = ctx;
	if (state == POWER_OFF)
		m->off_wanted = true;
	else
		m->suspended = true;
	raise_event(m, CPU_EV_STOP);
}

static void hook_debug_exit(void *ctx, u32 code)
{
	struct machine *m = ctx;
	m->debug_code = code;
	m->end = END_DEBUG_EXIT;
	raise_event(m, CPU_EV_STOP);
}

void machine_switch_cpu(struct machine *m, struct cpu *cpu)
{
	bool smm = m->cpu->smm;
	if (cpu == m->cpu)
		return;
	m->others_icount += cpu_icount(m->cpu) - cpu_icount(cpu);
	m->cpu = cpu;
	m->pc.current_cpu = cpu->index;
	if (cpu->smm != smm)
		pc_smm_changed(&m->pc, cpu->smm); /* SMRAM shows to the one that is in SMM only */
}

static void map_changed(void *ctx)
{
	struct machine *m = ctx;
	for (unsigned i = 0; i < m->cpu_count; i++)
		mmu_flush_all(m->cpus[i]);
	if (m->cpu)
		cpu_blocks_flush(m->cpu);
}

/* Blocks are keyed by physical address: those elsewhere stay true. */
static void range_changed(void *ctx, u64 gpa, u64 n)
{
	struct machine *m = ctx;
	for (unsigned i = 0; i < m->cpu_count; i++)
		mmu_flush_all(m->cpus[i]);
	if (m->cpu)
		cpu_ram_written(m->cpu, gpa, n);
}

static void ram_written(void *ctx, u64 gpa, u64 n)
{
	struct machine *m = ctx;
	if (m->cpu)
		cpu_ram_written(m->cpu, gpa, n);
	reverse_dma_written(m, gpa, n);
}

static void dma(void *ctx, u64 gpa, u64 n, bool write)
{
	struct machine *m = ctx;
	if (m->cpu && watch_on(m->cpu, WATCH_DMA))
		watch_seen(m->cpu, &(struct seen){.kind = WATCH_DMA, .phys = gpa, .value = n, .write = write});
}

static void msi(void *ctx, u16 requester, u64 addr, u32 data)
{
	struct machine *m = ctx;
	pc_msi(&m->pc, addr, data);
}

static u64 clock_time(void *ctx)
{
	const struct machine *m = ctx;
	return m->cpu ? machine_now(m) : 0;
}

/* A timer was set nearer than the slice's end: the run loop works out a new slice. */
static void clock_sooner(void *ctx)
{
	raise_event(ctx, CPU_EV_STOP);
}

/* ---- the processor's way out
 * ---------------------------------------------------------------------------- */

static u8 *cpu_ram_page(void *ctx, u64 gpa, unsigned *flags)
{
	struct machine *m = ctx;
	bool writable = false;
	u8 *host = bus_ram_page(&m->bus, gpa, &writable);
	*flags = writable ? BUS_PAGE_WRITABLE : 0;
	return host;
}

static u64 cpu_mmio_read(void *ctx, u64 gpa, unsigned size)
{
	struct machine *m = ctx;
	return bus_mem_read(&m->bus, gpa, size);
}

static void cpu_mmio_write(void *ctx, u64 gpa, u64 value, unsigned size)
{
	struct machine *m = ctx;
	bus_mem_write(&m->bus, gpa, value, size);
}

/* Units of a string instruction that end before the next timer fires: it must not matter how they are put together. */
static u32 run_limit(const struct machine *m, u32 count)
{
	u64 deadline = clock_next_deadline(&m->clock), now = machine_now(m);
	u64 room = deadline > now ? (deadline - now - 1) / NS_PER_PORT_RUN : 0;
	return (u32)MIN(room, count);
}

/* Time passed besides that of instructions: a slice that was to end at a deadline would now end behind it. */
static void time_passed(struct machine *m, u64 ns)
{
	m->idle_ns += ns;
	u64 icount = machine_icount(m), left = m->slice_end > icount ? m->slice_end - icount : 0;
	if (clock_next_deadline(&m->clock) <= machine_now(m) + left * NS_PER_INSN || vmx_nonroot(m->cpu))
		raise_event(m, CPU_EV_STOP);
}

static void units_moved(struct machine *m, u32 n)
{
	time_passed(m, (u64)n * NS_PER_PORT_RUN);
}

static u32 cpu_io_read_run(void *ctx, u16 port, unsigned size, u8 *data, u32 count)
{
	struct machine *m = ctx;
	u32 n = count > 1 ? run_limit(m, count) : 0, v;
	if (n)
		n = bus_io_read_run(&m->bus, port, size, data, n);
	units_moved(m, n ? n : 1);
	if (n)
		return n;
	v = bus_io_read(&m->bus, port, size);
	memcpy(data, &v, size);
	return 1;
}

static u32 cpu_io_write_run(void *ctx, u16 port, unsigned size, const u8 *data, u32 count)
{
	struct machine *m = ctx;
	u32 n = count > 1 ? run_limit(m, count) : 0, v = 0;
	if (n)
		n = bus_io_write_run(&m->bus, port, size, data, n);
	units_moved(m, n ? n : 1);
	if (n)
		return n;
	memcpy(&v, data, size);
	bus_io_write(&m->bus, port, v, size);
	return 1;
}

/*
 * A port access takes its time, on a real bus and here alike: firmware that waits by polling a timer port would otherwise need
 * fifty times as long as it believes.
 */
static void port_accessed(struct machine *m)
{
	time_passed(m, NS_PER_PORT);
}

static u32 cpu_io_read(void *ctx, u16 port, unsigned size)
{
	struct machine *m = ctx;
	port_accessed(m);
	return bus_io_read(&m->bus, port, size);
}

static void cpu_io_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct machine *m = ctx;
	port_accessed(m);
	bus_io_write(&m->bus, port, value, size);
}

static u32 cpu_pause(void *ctx)
{
	struct machine *m = ctx;
	m->idle_ns += NS_PER_PAUSE;
	m->slice_end -= NS_PER_PAUSE / NS_PER_INSN;
	return NS_PER_PAUSE / NS_PER_INSN;
}

static u8 cpu_intack(void *ctx)
{
	struct machine *m = ctx;
	return pc_intack(&m->pc, m->cpu->index);
}

static u8 cpu_get_cr8(void *ctx)
{
	struct machine *m = ctx;
	return pc_get_cr8(&m->pc, m->cpu->index);
}

static void cpu_set_cr8(void *ctx, u8 value)
{
	struct machine *m = ctx;
	pc_set_cr8(&m->pc, m->cpu->index, value);
}

static int cpu_apic_msr_read(void *ctx, u32 msr, u64 *value)
{
	struct machine *m = ctx;
	return pc_apic_msr_read(&m->pc, m->cpu->index, msr, value);
}

static int cpu_apic_msr_write(void *ctx, u32 msr, u64 value)
{
	struct machine *m = ctx;
	return pc_apic_msr_write(&m->pc, m->cpu->index, msr, value);
}

static void cpu_ferr(void *ctx, bool level)
{
	struct machine *m = ctx;
	pc_ferr(&m->pc, level);
}

static void cpu_set_smm(void *ctx, bool active)
{
	struct machine *m = ctx;
	pc_smm_changed(&m->pc, active);
}

static int build_cpu(struct machine *m, unsigned index, struct errtext *e)
{
	struct cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~(size_t)63);
	if (!cpu)
		return err_set(e, -ENOMEM, "no memory for the processor");
	memset(cpu, 0, sizeof(*cpu));
	cpu->bus = (struct cpu_bus){
	    .ctx = m,
	    .ram_page = cpu_ram_page,
	    .mmio_read = cpu_mmio_read,
	    .mmio_write = cpu_mmio_write,
	    .io_read = cpu_io_read,
	    .io_write = cpu_io_write,
	    .io_read_run = cpu_io_read_run,
	    .io_write_run = cpu_io_write_run,
	    .intack = cpu_intack,
	    .get_cr8 = cpu_get_cr8,
	    .set_cr8 = cpu_set_cr8,
	    .apic_msr_read = cpu_apic_msr_read,
	    .apic_msr_write = cpu_apic_msr_write,
	    .ferr = cpu_ferr,
	    .time = clock_time,
	    .ns_per_insn = NS_PER_INSN,
	    .pause = cpu_pause,
	    .set_smm = cpu_set_smm,
	};
	cpu->log = &m->log;
	cpu->watchers = &m->watchers;
	cpu->index = index;
	cpu->cpu_count = m->cfg.cpus;
	cpu->bsp = index == 0;
	cpu->peer = m->cpus[0];
	cpu->rng = RNG_SEED + index;
	int r = cpu_model_parse(m->cfg.cpu ? m->cfg.cpu : CPU_MODEL_DEFAULT, &cpu->model, cpu->feat,
				e->s, sizeof(e->s));
	if (r)
		r = -EINVAL;
	else if ((r = cpu_init(cpu)))
		r = err_set(e, r, "no memory for the processor's caches");
	if (r) {
		free(cpu);
		return r;
	}
	m->cpus[index] = cpu;
	m->cpu_count = index + 1;
	if (!m->cpu)
		m->cpu = cpu;
	return 0;
}

static int build_cpus(struct machine *m, struct errtext *e)
{
	int r = 0;
	for (unsigned i = 0; !r && i < m->cfg.cpus; i++)
		r = build_cpu(m, i, e);
	return r;
}

/* ---- serial lines
 * ------------------------------------------------------------------------------------------ */

static void push_typed(struct serial_input *s, const u8 *data, unsigned n)
{
	for (unsigned i = 0; i < n; i += 16)
		if (!input_push(&s->m->input, INPUT_SERIAL, s->port, data + i, MIN(16, n - i)))
			log_line(&s->m->log, LOG_GUEST_ERRORS, "serial %u: typed bytes lost",
				 s->port);
}

unsigned machine_serial_room(struct machine *m, unsigned port)
{
	return machine_paused(m) ? 0 : MIN(MIN(pc_serial_room(&m->pc, port), input_room(&m->input) * 8), 256u);
}

unsigned machine_serial_flush(struct machine *m, unsigned port)
{
	struct serial_input *s = &m->serial[port];
	unsigned room = machine_serial_room(m, port), n = MIN(room, s->held_count);
	push_typed(s, s->held, n);
	memmove(s->held, s->held + n, s->held_count -= n);
	room -= n;
	return port == 0 && m->cfg.typed ? MAX(room, SERIAL_HELD - s->held_count) : room;
}

static void serial_received(void *ctx, const u8 *data, unsigned n)
{
	struct serial_input *s = ctx;
	u8 buf[256];
	unsigned now;
	n = MIN(n, sizeof(buf));
	memcpy(buf, data, n);
	if (s->port == 0 && s->m->cfg.typed)
		n = s->m->cfg.typed(s->m->cfg.ctx, buf, n);
	if (s->m->input.replay)
		return; /* all that the guest was typed is in the recording */
	now = s->held_count ? 0 : MIN(n, machine_serial_room(s->m, s->port));
	push_typed(s, buf, now);
	n = MIN(n - now, SERIAL_HELD - s->held_count);
	memcpy(s->held + s->held_count, buf + now, n);
	s->held_count += n;
}

static void deliver_input(void *ctx, const struct input_event *ev)
{
	struct machine *m = ctx;
	if (!m->input.replay)
		reverse_event(m, ev);
	switch (ev->kind) {
	case INPUT_SERIAL: pc_serial_receive(&m->pc, ev->target, ev->data, ev->len); break;
	case INPUT_KEY: pc_key(&m->pc, (u16)(ev->data[0] | ev->data[1] << 8), ev->data[2]); break;
	case INPUT_MOUSE:
		pc_mouse(&m->pc, (s16)(ev->data[0] | ev->data[1] << 8),
			 (s16)(ev->data[2] | ev->data[3] << 8), (s8)ev->data[4], ev->data[5]);
		break;
	case INPUT_POINTER:
		pc_pointer(&m->pc, ev->data[0] | ev->data[1] << 8u, ev->data[2] | ev->data[3] << 8u, (s8)ev->data[4], ev->data[5]);
		break;
	case INPUT_RESET: hook_reset(m, false); break;
	case INPUT_POWER: pc_power_button(&m->pc); break;
	case INPUT_NMI: hook_nmi(m, 0); break;
	case INPUT_NET: machine_net_receive(m, ev); break;
	case INPUT_FORGET:
		if (m->input.replay)
			machine_forget(m);
		break;
	case INPUT_MEDIUM: machine_medium_event(m, ev); break;
	case INPUT_END: record_reached_end(m); break;
	default: break;
	}
}

static struct chardev *find_chardev(void *ctx, const char *id)
{
	struct machine *m = ctx;
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (m->serial[i].chardev && !strcmp(chardev_id(m->serial[i].chardev), id))
			return m->serial[i].chardev;
	return m->debugcon && !strcmp(chardev_id(m->debugcon), id) ? m->debugcon : NULL;
}

static int open_chardevs(struct machine *m, struct errtext *e)
{
	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		char id[16];
		struct serial_input *s = &m->serial[i];
		*s = (struct serial_input){.m = m, .port = i};
		if (!m->cfg.serial[i])
			continue;
		snprintf(id, sizeof(id), "serial%u", i);
		s->chardev = chardev_open(id, m->cfg.serial[i], e->s, sizeof(e->s));
		if (!s->chardev)
			return -EINVAL;
		chardev_on_receive(s->chardev, serial_received, s);
	}
	if (m->cfg.debugcon) {
		m->debugcon = chardev_open("debugcon", m->cfg.debugcon, e->s, sizeof(e->s));
		if (!m->debugcon)
			return -EINVAL;
	}
	return 0;
}

/* ---- the board
 * ---------------------------------------------------------------------------------------------- */

static struct drive *find_drive(void *ctx, const char *id)
{
	return machine_drive(ctx, id);
}

static int build_board(struct machine *m, struct errtext *e)
{
	const struct bus_hooks bus_hooks = {
	    .ctx = m, .map_changed = map_changed, .range_changed = range_changed,
	    .ram_written = ram_written, .dma = dma, .msi = msi};
	const struct machine_hooks hooks = {
	    .ctx = m,
	    .intr = hook_intr,
	    .nmi = hook_nmi,
	    .smi = hook_smi,
	    .init = hook_init,
	    .sipi = hook_sipi,
	    .a20 = hook_a20,
	    .reset = hook_reset,
	    .power = hook_power,
	    .tsc_offset = hook_tsc_offset,
	    .debug_exit = hook_debug_exit,
	    .find_drive = find_drive,
	    .find_net = machine_net_find,
	    .net_ready = machine_net_ready,
	};
	const struct cpu_model *model;
	u32 feat[FEATURE_WORDS] = {0};
	if (cpu_model_parse(m->cfg.cpu ? m->cfg.cpu : CPU_MODEL_DEFAULT, &model, feat, e->s, sizeof(e->s)))
		return -EINVAL;
	struct pc_config cfg = {
	    .cpus = m->cfg.cpus,
	    .no_apic = !(feat[FEAT_APIC / 32] >> FEAT_APIC % 32 & 1),
	    .ram = m->ram.host,
	    .ram_low_bytes = m->ram.low_bytes,
	    .ram_high_bytes = m->ram.size_bytes - m->ram.low_bytes,
	    .no_hpet = m->cfg.no_hpet,
	    .no_debugcon = !m->debugcon,
	    .debugcon = m->debugcon ? "debugcon" : NULL,
	    .rtc_start_s = m->cfg.rtc_start_s,
	    .display = m->display,
	    .audio = m->audio,
	    .vga = !m->cfg.no_vga,
	    .usb = m->cfg.usb,
	    .tablet = m->cfg.tablet,
	    .drive = m->cfg.drive,
	    .drives = m->cfg.drives,
	};
	for (unsigned i = 0; i < MACHINE_SERIALS && i < PC_MAX_SERIAL; i++)
		cfg.serial[i] = m->serial[i].chardev ? chardev_id(m->serial[i].chardev)
				: i < 2              ? ""
						     : NULL;
	bus_init(&m->bus, &bus_hooks, &m->log);
	int r = pc_create(&m->pc, &cfg, &m->bus, &m->clock, &m->log, &hooks, find_chardev, e->s,
			  sizeof(e->s));
	m->pc_ready = !r;
	return r;
}

static int add_device(struct machine *m, const char *text, struct errtext *e)
{
	char type[64], id[32] = "";
	const char *props = strchr(text, ',');
	size_t n = props ? (size_t)(props - text) : strlen(text);
	if (n >= sizeof(type))
		return err_set(e, -EINVAL, "-device %s: no such device", text);
	memcpy(type, text, n);
	type[n] = 0;
	/* "id=" names the instance; the rest belongs to the type. */
	char rest[512];
	snprintf(rest, sizeof(rest), "%s", props ? props + 1 : "");
	char *at = !strncmp(rest, "id=", 3) ? rest : strstr(rest, ",id=");
	if (at) {
		char *value = at + (at == rest ? 3 : 4), *end = value + strcspn(value, ",");
		snprintf(id, sizeof(id), "%.*s", (int)MIN(end - value, 31), value);
		memmove(at, at == rest && *end ? end + 1 : end,
			strlen(at == rest && *end ? end + 1 : end) + 1);
	}
	return device_create(&m->pc.env, type, *id ? id : NULL, *rest ? rest : NULL, e->s,
			     sizeof(e->s))
		   ? 0
		   : -EINVAL;
}

/* -set ID.key=value */
static int apply_set(struct machine *m, const char *text, struct errtext *e)
{
	char id[64], key[64], msg[256];
	const char *dot = strchr(text, '.'), *eq = strchr(text, '=');
	if (!dot || !eq || dot > eq || (size_t)(dot - text) >= sizeof(id) ||
	    (size_t)(eq - dot) > sizeof(key))
		return err_set(e, -EINVAL, "-set %s: expected DEVICE.KEY=VALUE", text);
	snprintf(id, sizeof(id), "%.*s", (int)(dot - text), text);
	snprintf(key, sizeof(key), "%.*s", (int)(eq - dot - 1), dot + 1);
	struct device *d = device_by_id(&m->pc.env, id);
	if (!d)
		return err_set(e, -EINVAL, "-set %s: no device has the name '%s'", text, id);
	if (!d->type->props)
		return err_set(e, -EINVAL, "-set %s: '%s' has no settings", text, id);
	if (config_set(d->type->props, d, key, eq + 1, msg, sizeof(msg)))
		return err_set(e, -EINVAL, "-set %s: %s", text, msg);
	return 0;
}

/* -drive if=virtio stands for the drive and a virtio-blk-pci that has it. */
static int add_virtio_drives(struct machine *m, struct errtext *e)
{
	char text[128];
	int r = 0;
	for (unsigned i = 0; !r && i < m->cfg.drives; i++) {
		if (m->cfg.drive[i].interface != DRIVE_VIRTIO)
			continue;
		snprintf(text, sizeof(text), "virtio-blk-pci,drive=%s", m->cfg.drive[i].id);
		r = add_device(m, text, e);
	}
	return r;
}

static int add_devices(struct machine *m, struct errtext *e)
{
	int r = add_virtio_drives(m, e);
	for (unsigned i = 0; !r && i < MACHINE_DEVICES && m->cfg.device[i]; i++)
		r = add_device(m, m->cfg.device[i], e);
	for (unsigned i = 0; !r && i < MACHINE_SETS && m->cfg.set[i]; i++)
		r = apply_set(m, m->cfg.set[i], e);
	return r;
}

static int open_drives(struct machine *m, struct errtext *e)
{
	for (unsigned i = 0; i < m->cfg.drives; i++) {
		struct drive *d = &m->cfg.drive[i];
		const struct block_options o = {.path = d->path,
						.format = d->format,
						.read_only = d->read_only,
						.snapshot = d->snapshot,
						.no_sync = d->no_sync,
						.internal_snapshot = d->internal_snapshot};
		if (d->path && !(d->block = block_open(&o, e->s, sizeof(e->s))))
			return -ENOEXEC;
	}
	return 0;
}

static int build(struct machine *m, struct errtext *e)
{
	int r = machine_load_files(m, e);
	if (r || (r = open_chardevs(m, e)) || (r = open_drives(m, e)))
		return r;
	r = ram_init(&m->ram, m->cfg.ram_bytes);
	if (r)
		return err_set(e, r, "cannot get %llu MiB of memory for the guest's RAM",
			       (unsigned long long)(m->cfg.ram_bytes >> 20));
	m->display = display_create();
	if (!m->display)
		return err_set(e, -ENOMEM, "no memory for the screen");
	m->audio = audio_open(m->cfg.audio ? m->cfg.audio : "none", e->s, sizeof(e->s));
	if (!m->audio)
		return -EINVAL;
	clock_init(&m->clock, clock_time, clock_sooner, m);
	input_init(&m->input, deliver_input, m);
	if ((r = machine_net_open(m, e)) || (r = build_board(m, e)) ||
	    (r = build_cpus(m, e)) || (r = add_devices(m, e)) ||
	    (r = machine_fill_fw_cfg(m, e)) || (r = machine_map_rom(m, e)))
		return r;
	if (m->bios.data && !m->cfg.bios && m->cpus[0]->model->family >= 5)
		pc_leave_to_smm(&m->pc); /* the built-in BIOS; 386 and 486 have no SMM */
	pc_reset(&m->pc, RESET_COLD);
	return machine_start_guest(m, e);
}

int machine_create(const struct machine_config *cfg, struct machine **out, struct errtext *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	*out = NULL;
	if (!m)
		return err_set(e, -ENOMEM, "no memory for the machine");
	m->cfg = *cfg;
	m->log.file = cfg->log_file;
	m->log.enabled = cfg->log_classes;
	atomic_init(&m->quit, false);
	if (machine_threads_init(m, e)) {
		free(m);
		return -ENOMEM;
	}
	if (cfg->ram_bytes < MACHINE_RAM_MIN || cfg->ram_bytes > MACHINE_RAM_MAX ||
	    cfg->ram_bytes & 4095) {
		machine_threads_free(m);
		free(m);
		return err_set(e, -EINVAL,
			       "RAM size must be 1 MiB to 256 GiB, in multiples of 4 KiB");
	}
	if (!cfg->cpus || cfg->cpus > MACHINE_CPUS) {
		free(m);
		return err_set(e, -EINVAL, "a machine has 1 to %d processors", MACHINE_CPUS);
	}
	int r = build(m, e);
	if (r) {
		machine_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	unsigned cpus = m->cpu_count;
	record_free(m);
	machine_reverse_end(m);
	m->cpu = NULL; /* hooks that fire while the board goes away find no processor */
	m->cpu_count = 0;
	if (m->pc_ready)
		pc_destroy(&m->pc);
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		chardev_close(m->serial[i].chardev);
	chardev_close(m->debugcon);
	machine_net_close(m);
	input_clear(&m->input);
	for (unsigned i = 0; i < m->cfg.drives; i++)
		block_close(m->cfg.drive[i].block);
	for (unsigned i = cpus; i-- > 0;) {
		cpu_free(m->cpus[i]);
		free(m->cpus[i]);
	}
	ram_free(&m->ram);
	display_destroy(m->display);
	audio_close(m->audio);
	machine_free_files(m);
	machine_threads_free(m);
	free(m->dirty.map);
	free(m);
}

struct cpu *machine_cpu(struct machine *m, unsigned index)
{
	return index < m->cpu_count ? m->cpus[index] : NULL;
}

struct cpu *machine_running_cpu(struct machine *m)
{
	return m->cpu;
}

struct pc *machine_pc(struct machine *m)
{
	return &m->pc;
}

u8 *machine_ram(struct machine *m, u64 gpa, u64 n)
{
	u8 *p = ram_at(&m->ram, gpa, n);
	if (p && m->dirty.map)
		dirty_mark_range(&m->dirty, p, n); /* who asks may write */
	return p;
}

struct audio *machine_audio(struct machine *m)
{
	return m->audio;
}

struct display *machine_display(struct machine *m)
{
	return m->display;
}

struct drive *machine_drive(struct machine *m, const char *id)
{
	for (unsigned i = 0; i < m->cfg.drives; i++)
		if (!strcmp(m->cfg.drive[i].id, id))
			return &m->cfg.drive[i];
	return NULL;
}

void machine_set_log(struct machine *m, u32 classes)
{
	m->log.enabled = classes;
	cpu_blocks_flush(m->cpus[0]);
	for (unsigned i = 0; i < m->cpu_count; i++)
		cpu_mode_changed(m->cpus[i]); /* -d exec is built into blocks */
}

const struct drive *machine_drive_at(struct machine *m, unsigned i)
{
	return i < m->cfg.drives ? &m->cfg.drive[i] : NULL;
}

void machine_set_log_file(struct machine *m, FILE *f)
{
	m->log.file = f;
}

struct chardev *machine_serial(struct machine *m, unsigned port)
{
	return port < MACHINE_SERIALS ? m->serial[port].chardev : NULL;
}

void machine_restore_terminal(struct machine *m)
{
	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		struct host_tty *tty =
		    m->serial[i].chardev ? chardev_tty(m->serial[i].chardev) : NULL;
		if (tty)
			host_tty_restore(tty);
	}
}
