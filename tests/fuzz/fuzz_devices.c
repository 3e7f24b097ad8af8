/*
 * Every device type of devices.def, alone and on a full board, under random port, memory and
 * configuration accesses, interrupt lines, key and serial input, passing time, resets and
 * snapshots. The first byte chooses the type; type number "count" is the bare board. Built with
 * libFuzzer, or with -DFUZZ_MAIN as a program that makes its own input: fuzz_devices [seconds
 * [seed]].
 */
#include <stdio.h>
#include <stdlib.h>

#include "devices/backends/audio.h"
#include "devices/display/display.h"
#include "devices/pc.h"
#include "devices/storage/floppy.h"
#include "devices/storage/ide.h"

#define RAM_BYTES (2u << 20)
#define MAX_OPS   2000
#define DRIVES    4

struct world {
	struct bus bus;
	struct clock clock;
	struct pc pc;
	struct audio *audio;
	unsigned sounds; /* how often it was heard */
	struct display *display;
	unsigned pictures; /* how often it was drawn */
	u64 now_ns;
	bool out[DRIVES]; /* the drive is empty */
	u8 *ram;
	struct drive drive[DRIVES];
};

struct input {
	const u8 *p;
	size_t n;
};

static u64 take(struct input *in, unsigned bytes)
{
	u64 v = 0;
	for (unsigned i = 0; i < bytes && in->n; i++, in->n--)
		v |= (u64)*in->p++ << (i * 8);
	return v;
}

static u64 world_now(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static void world_msi(void *ctx, u16 requester, u64 addr, u32 data)
{
	pc_msi(&((struct world *)ctx)->pc, addr, data);
}

static unsigned count_types(void)
{
	unsigned n = 0;
	while (device_types()[n])
		n++;
	return n;
}

/* A port some device claims, mostly: random ones rarely hit. */
static u16 pick_port(struct world *w, u64 v)
{
	if (v >> 16 & 7) {
		const struct port_region *r = &w->bus.port[v >> 19 & 63];
		if (r->ops)
			return (u16)(r->base + v % r->count);
	}
	return (u16)v;
}

static u64 pick_address(struct world *w, u64 v)
{
	const struct mem_region *r = &w->bus.mem[v >> 40 & 31];
	if ((v >> 45 & 7) && r->used && r->size)
		return r->base + (v & 0xffffffff) % r->size;
	return v & 0xffffffffff;
}

static void pass_time(struct world *w, u64 ns)
{
	u64 end = w->now_ns + ns;
	for (unsigned i = 0; i < 1000 && clock_next_deadline(&w->clock) <= end; i++) {
		w->now_ns = MAX(w->now_ns, clock_next_deadline(&w->clock));
		clock_run(&w->clock);
	}
	w->now_ns = end;
	if (w->sounds++ < 8) /* sample by sample: more would only take long */
		audio_advance(w->audio, w->now_ns);
}

/* A frame from the cable: to anybody, or to the cards' usual address; contents by a few bytes. */
static void receive_frame(struct world *w, struct input *in, u64 v)
{
	static const u8 mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	u8 frame[1600];
	memset(frame, (int)(v >> 8), sizeof(frame));
	if (v & 2)
		memcpy(frame, mac, 6);
	for (unsigned i = 12; i < 24 && in->n; i++)
		frame[i] = (u8)take(in, 1);
	pc_net_receive(&w->pc, NULL, frame, (v >> 16) % sizeof(frame));
}

static void save_and_load(struct world *w)
{
	struct snap_buf b = {0};
	pc_save(&w->pc, &b);
	u64 hash = pc_hash(&w->pc, 0);
	struct snap_reader r = {.data = b.data, .len = b.len};
	if (pc_load(&w->pc, &r) || pc_hash(&w->pc, 0) != hash) {
		fprintf(stderr, "snapshot does not load as it was saved: %s\n", r.error);
		abort();
	}
	free(b.data);
}

/* Every kind of drive, on small images in memory. */
static void make_drives(struct world *w)
{
	const struct drive drives[DRIVES] = {
	    {.id = "hd", .block = block_memory(512 << 10)},
	    {.id = "cd", .unit = 1, .cdrom = true, .block = block_memory(256 << 10)},
	    {.id = "fd", .interface = DRIVE_FLOPPY, .block = block_memory(160 << 10)},
	    {.id = "flash", .interface = DRIVE_PFLASH, .block = block_memory(64 << 10)},
	};
	memcpy(w->drive, drives, sizeof(drives));
}

static void change_media(struct world *w, u64 v)
{
	unsigned i = v & 1 ? 1 : 2;
	bool out = !(v & 2);
	struct block *b = out ? NULL : w->drive[i].block;
	if (!(i == 1 ? ide_change_medium(w->pc.ide, 1, b) : floppy_change_medium(w->pc.fdc, 0, b)))
		w->out[i] = out;
}

static void step(struct world *w, struct input *in)
{
	static const u8 sizes[4] = {1, 2, 4, 8};
	unsigned op = (unsigned)take(in, 1), size = sizes[op >> 4 & 3], io = size == 8 ? 1 : size;
	u64 v = take(in, 6), x;
	switch (op & 15) {
	case 0:
	case 1:
	case 2: bus_io_write(&w->bus, pick_port(w, v), (u32)take(in, 4), io); break;
	case 3:
	case 4: bus_io_read(&w->bus, pick_port(w, v), io); break;
	case 5:
	case 6: bus_mem_write(&w->bus, pick_address(w, v), take(in, 8), size); break;
	case 7: bus_mem_read(&w->bus, pick_address(w, v), size); break;
	case 8:
		pci_config_write(&w->pc.pci, v & 0xff, v >> 8 & 0xff & ~(io - 1u), (u32)take(in, 4),
				 io);
		break;
	case 9:
		pass_time(w, v >> (v & 31));
		if (w->pictures++ < 8)
			display_draw(w->display, 0);
		break;
	case 10:
		gsi_isa_sink(&w->pc.gsi, 5, true);
		gsi_isa_sink(&w->pc.gsi, 5, false);
		break;
	case 11:
		pc_key(&w->pc, (u16)v, v >> 16 & 1);
		pc_pointer(&w->pc, (u16)v, (u16)(v >> 8), (s8)(v >> 16), v >> 24 & 31);
		pc_mouse(&w->pc, (s8)v, (s8)(v >> 8), (s8)(v >> 16), v >> 24 & 7);
		break;
	case 12:
		if (v & 1)
			receive_frame(w, in, v);
		else
			pc_serial_receive(&w->pc, 0, (const u8 *)&v, 6);
		break;
	case 13:
		(void)!pc_apic_msr_write(&w->pc, v & 1,
					 v & 0x100   ? 0x800 + (v >> 16 & 0xff)
					 : v & 0x200 ? 0x6e0
						     : 0x1b,
					 take(in, 8));
		break;
	case 14:
		(void)!pc_apic_msr_read(&w->pc, v & 1, 0x800 + (v >> 16 & 0xff), &x);
		pc_intack(&w->pc, v >> 1 & 1);
		break;
	case 15:
		if ((v & 15) == 0)
			pc_reset(&w->pc, v >> 4 & 1);
		else if ((v & 15) == 1)
			save_and_load(w);
		else if ((v & 15) == 2)
			change_media(w, v >> 4);
		else
			w->pc.current_cpu = v & 1;
		break;
	}
}

static struct world *create_world(unsigned type, bool firmware)
{
	struct world *w = calloc(1, sizeof(*w));
	char err[256];
	w->ram = calloc(1, RAM_BYTES);
	const struct bus_hooks hooks = {.ctx = w, .msi = world_msi};
	make_drives(w);
	w->audio = audio_open("host", err, sizeof(err));
	w->display = display_create();
	const struct pc_config cfg = {.cpus = 2,
				      .ram = w->ram,
				      .ram_low_bytes = RAM_BYTES,
				      .serial = {""},
				      .audio = w->audio,
				      .display = w->display,
				      .usb = true,
				      .tablet = true,
				      .drive = w->drive,
				      .drives = DRIVES};
	bus_init(&w->bus, &hooks, NULL);
	clock_init(&w->clock, world_now, NULL, w);
	if (pc_create(&w->pc, &cfg, &w->bus, &w->clock, NULL, NULL, NULL, err, sizeof(err)))
		abort();
	if (device_types()[type] && !device_types()[type]->internal)
		device_create(&w->pc.env, device_types()[type]->name, "fuzzed", "", err,
			      sizeof(err));
	if (firmware)
		pc_firmware_setup(&w->pc);
	return w;
}

static void destroy_world(struct world *w)
{
	pc_destroy(&w->pc);
	display_destroy(w->display);
	audio_close(w->audio);
	for (unsigned i = 0; i < DRIVES; i++)
		block_close(w->drive[i].block);
	free(w->ram);
	free(w);
}

static void copy_disks(struct world *from, struct world *to)
{
	u8 piece[64 * BLOCK_SECTOR]; /* every drive has a multiple of these */
	for (unsigned i = 0; i < DRIVES; i++)
		for (u64 k = 0; k < block_sectors(from->drive[i].block); k += 64)
			if (block_io(from->drive[i].block, BLOCK_READ, k, 64, piece) ||
			    block_io(to->drive[i].block, BLOCK_WRITE, k, 64, piece))
				abort();
}

/* What is saved, and loaded into a new board, is saved from there again byte for byte. */
static void save_load_save(struct world *w, unsigned type)
{
	struct world *twin = create_world(type, false);
	struct snap_buf a = {0}, b = {0};
	twin->now_ns = w->now_ns;
	memcpy(twin->ram, w->ram, RAM_BYTES);
	copy_disks(w, twin);
	change_media(twin, w->out[1] ? 1 : 3);
	change_media(twin, w->out[2] ? 0 : 2);
	pc_save(&w->pc, &a);
	struct snap_reader r = {.data = a.data, .len = a.len}, look = r;
	if (pc_check(&twin->pc, &look) || pc_load(&twin->pc, &r)) {
		fprintf(stderr, "snapshot does not load into a new board: %s\n", r.error);
		abort();
	}
	pc_save(&twin->pc, &b);
	if (a.len != b.len || memcmp(a.data, b.data, a.len)) {
		size_t at = 0;
		while (at < MIN(a.len, b.len) && a.data[at] == b.data[at])
			at++;
		fprintf(stderr, "snapshot saved again differs at byte %zu of %zu, behind '%.40s'\n", at, a.len,
			at > 60 ? (const char *)a.data + at - 40 : "");
		abort();
	}
	free(a.data);
	free(b.data);
	destroy_world(twin);
}

static void run(const u8 *data, size_t n)
{
	struct input in = {data, n};
	unsigned type = (unsigned)take(&in, 1) % (count_types() + 1);
	struct world *w = create_world(type, take(&in, 1) & 1);
	for (unsigned i = 0; i < MAX_OPS && in.n; i++)
		step(w, &in);
	save_load_save(w, type);
	destroy_world(w);
}

#ifdef FUZZ_MAIN

#include "base/host.h"

int main(int argc, char **argv)
{
	u64 seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 5;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, start = host_monotonic_ns();
	unsigned runs = 0;
	while (host_monotonic_ns() - start < seconds * 1000000000u) {
		u8 data[16384];
		u64 x = seed + runs;
		for (size_t i = 0; i < sizeof(data); i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			data[i] = (u8)(x >> 56);
		}
		data[0] = (u8)(runs % (count_types() + 1)); /* each type in its turn */
		if (argc > 3)
			fprintf(stderr, "seed %llu\n", (unsigned long long)seed + runs);
		run(data, sizeof(data));
		runs++;
	}
	printf("fuzz_devices: %u runs from seed %llu\n", runs, (unsigned long long)seed);
	return 0;
}

#else

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);
int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	run(data, n);
	return 0;
}

#endif
