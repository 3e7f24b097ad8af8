/* Chipset, PCI, fw_cfg, DMA, test devices, and the board as a whole: two in one process, snapshots.
 */
#include <errno.h>

#include "devices/chipset/dma8237.h"
#include "tests/devices/board.h"

#define PIIX3 (1 << 3)
#define PM    (1 << 3 | 3)

static struct device *plug(struct board *b, const char *type, const char *props)
{
	char err[200] = "";
	struct device *d = device_create(&b->pc.env, type, NULL, props, err, sizeof(err));
	ck_assert_msg(d != NULL, "%s", err);
	return d;
}

/* ---- PCI --------------------------------------------------------------------------------- */

START_TEST(config_space_identities)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(cfg_read(b, 0, 0, 4), 0x12378086);
	ck_assert_uint_eq(cfg_read(b, PIIX3, 0, 4), 0x70008086);
	ck_assert_uint_eq(cfg_read(b, PIIX3, 0x0e, 1), 0x80);
	ck_assert_uint_eq(cfg_read(b, PM, 0, 4), 0x71138086);
	ck_assert_uint_eq(cfg_read(b, PIIX3, 0x0a, 2), 0x0601);
	ck_assert_uint_eq(cfg_read(b, 5 << 3, 0, 4), 0xffffffff);
	bus_io_write(&b->bus, 0xcf8, 0x80010000, 4); /* bus 1 */
	ck_assert_uint_eq(bus_io_read(&b->bus, 0xcfc, 4), 0xffffffff);
	bus_io_write(&b->bus, 0xcf8, 0, 4); /* not enabled */
	ck_assert_uint_eq(bus_io_read(&b->bus, 0xcfc, 4), 0xffffffff);
	board_free(b);
}
END_TEST

START_TEST(read_only_bits_stay)
{
	struct board *b = board_new(1);
	cfg_write(b, 0, 0, 0, 4);
	ck_assert_uint_eq(cfg_read(b, 0, 0, 4), 0x12378086);
	cfg_write(b, PIIX3, 0x60, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_read(b, PIIX3, 0x60, 4), 0x8f8f8f8f);
	board_free(b);
}
END_TEST

START_TEST(bars_size_and_move)
{
	struct board *b = board_new(1);
	plug(b, "pci-testdev", "addr=4");
	unsigned d = 4 << 3;
	cfg_write(b, d, 0x10, 0xffffffff, 4);
	cfg_write(b, d, 0x14, 0xffffffff, 4);
	ck_assert_uint_eq(cfg_read(b, d, 0x10, 4), 0xfffff000);
	ck_assert_uint_eq(cfg_read(b, d, 0x14, 4), 0xffffff01);
	cfg_write(b, d, 0x10, 0xe0000000, 4);
	cfg_write(b, d, 0x14, 0xc000, 4);
	ck_assert_uint_eq(mm_read(b, 0xe0000000), 0xffffffff);
	cfg_write(b, d, 4, 3, 2);
	bus_mem_write(&b->bus, 0xe0000000, 0, 1);
	ck_assert_uint_eq(bus_mem_read(&b->bus, 0xe0000001, 1), 1); /* width */
	bus_mem_write(&b->bus, 0xe0000080, 0xfa, 1);
	ck_assert_uint_eq(mm_read(b, 0xe000000c), 1); /* count */
	outb(b, 0xc000, 0);
	outb(b, 0xc080, 0xfa);
	outb(b, 0xc080, 0xfb);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0xc00c, 4), 1);
	cfg_write(b, d, 0x10, 0xe8000000, 4);
	ck_assert_uint_eq(mm_read(b, 0xe000000c), 0xffffffff);
	ck_assert_uint_eq(mm_read(b, 0xe800000c), 1);
	board_free(b);
}
END_TEST

START_TEST(overlapping_bar_is_not_mapped)
{
	struct board *b = board_new(1);
	plug(b, "pci-testdev", "addr=4");
	cfg_write(b, 4 << 3, 0x14, 0x60, 4); /* 0-ffh: on top of everything */
	cfg_write(b, 4 << 3, 4, 1, 2);
	ck_assert_uint_eq(inb(b, 0x21), 0); /* still the 8259A */
	board_free(b);
}
END_TEST

/* PCI 2.3, 6.2.5.2: sizing, the enable bit, and Memory Space together. */
START_TEST(expansion_rom_is_mapped_when_enabled)
{
	struct board *b = board_new(1);
	struct device *t = plug(b, "pci-testdev", "addr=4");
	u8 rom[3000] = {0x55, 0xaa, 6};
	ck_assert_int_eq(pci_set_rom(t->pci, rom, sizeof(rom)), 0);
	cfg_write(b, 4 << 3, PCI_ROM, 0xfffff800u, 4);
	ck_assert_uint_eq(cfg_read(b, 4 << 3, PCI_ROM, 4), 0xfffff000u);
	cfg_write(b, 4 << 3, PCI_ROM, 0xe8000000u, 4);
	cfg_write(b, 4 << 3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	ck_assert_uint_eq(mm_read(b, 0xe8000000u), 0xffffffffu);
	cfg_write(b, 4 << 3, PCI_ROM, 0xe8000001u, 4);
	ck_assert_uint_eq(mm_read(b, 0xe8000000u), 0x6aa55u);
	mm_write(b, 0xe8000000u, 0);
	ck_assert_uint_eq(mm_read(b, 0xe8000000u), 0x6aa55u);
	ck_assert_uint_eq(mm_read(b, 0xe8000bfcu), 0xffffffffu); /* padding behind 3000 bytes */
	cfg_write(b, 4 << 3, PCI_COMMAND, 0, 2);
	ck_assert_uint_eq(mm_read(b, 0xe8000000u), 0xffffffffu);
	board_free(b);
}
END_TEST

START_TEST(pirq_routing)
{
	struct board *b = board_new(1);
	struct device *t = plug(b, "pci-testdev", "addr=4");
	t->pci->cfg[PCI_INTERRUPT_PIN] = 1; /* slot 4, INTA: PIRQ (4 - 1 + 0) & 3 = D */
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	pci_set_intx(t->pci, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2b);
	outb(b, 0xa0, 0x20);
	outb(b, 0x20, 0x20);
	cfg_write(b, PIIX3, 0x63, 0x05, 1); /* reroute while active */
	outb(b, 0x4d0, 0x20);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	ck_assert_uint_eq(cfg_read(b, 4 << 3, 6, 2) & 8, 8);
	cfg_write(b, 4 << 3, 4, 0x400, 2); /* INTx disable */
	outb(b, 0x20, 0x20);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------ */

START_TEST(pam_shadows_rom)
{
	struct board *b = board_new(1);
	static u8 rom[0x10000];
	int err;
	memset(rom, 0x11, sizeof(rom));
	struct mem_region r = {.base = 0xf0000,
			       .size = sizeof(rom),
			       .host = rom,
			       .name = "rom",
			       .kind = MEM_ROM,
			       .prio = MEM_PRIO_ROM,
			       .reads = true,
			       .writes = true};
	ck_assert_ptr_nonnull(bus_add_mem(&b->bus, &r, &err));
	mm_write(b, 0xf0000, 0x22222222);
	ck_assert_uint_eq(mm_read(b, 0xf0000), 0x11111111);
	cfg_write(b, 0, 0x59, 0x20, 1); /* writes to RAM, reads from ROM */
	mm_write(b, 0xf0000, 0x22222222);
	ck_assert_uint_eq(mm_read(b, 0xf0000), 0x11111111);
	bool writable;
	ck_assert_ptr_eq(bus_ram_page(&b->bus, 0xf0000, &writable), rom);
	ck_assert(!writable);
	cfg_write(b, 0, 0x59, 0x10, 1); /* reads from RAM, write protected */
	ck_assert_uint_eq(mm_read(b, 0xf0000), 0x22222222);
	mm_write(b, 0xf0000, 0x33333333);
	ck_assert_uint_eq(mm_read(b, 0xf0000), 0x22222222);
	cfg_write(b, 0, 0x59, 0x30, 1);
	ck_assert_ptr_eq(bus_ram_page(&b->bus, 0xf0000, &writable), b->ram + 0xf0000);
	ck_assert(writable);
	board_free(b);
}
END_TEST

START_TEST(smram_opens_in_smm)
{
	struct board *b = board_new(1);
	cfg_write(b, 0, 0x72, 0x4a, 1); /* open, enabled */
	mm_write(b, 0xa8000, 0x55aa55aa);
	cfg_write(b, 0, 0x72, 0x1a, 1); /* closed and locked */
	ck_assert_uint_eq(mm_read(b, 0xa8000), 0xffffffff);
	cfg_write(b, 0, 0x72, 0x4a, 1);
	ck_assert_uint_eq(mm_read(b, 0xa8000), 0xffffffff); /* the lock holds */
	pc_smm_changed(&b->pc, true);
	ck_assert_uint_eq(mm_read(b, 0xa8000), 0x55aa55aa);
	pc_smm_changed(&b->pc, false);
	pc_reset(&b->pc, RESET_HARD);
	cfg_write(b, 0, 0x72, 0x4a, 1);
	ck_assert_uint_eq(mm_read(b, 0xa8000), 0x55aa55aa);
	board_free(b);
}
END_TEST

/* ---- ACPI -------------------------------------------------------------------------------- */

START_TEST(power_off)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	bus_io_write(&b->bus, 0x604, 0x2000, 2);
	ck_assert_uint_eq(b->power, 1);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0x604, 2) & 0x2000, 0);
	board_free(b);
}
END_TEST

START_TEST(power_button_raises_sci)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	outb(b, 0xb2, 0xf1);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0x604, 2), 1);
	bus_io_write(&b->bus, 0x602, 0x100, 2);
	pc_power_button(&b->pc);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x29);
	bus_io_write(&b->bus, 0x600, 0x100, 2);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0x600, 2), 0);
	outb(b, 0xa0, 0x20);
	outb(b, 0x20, 0x20);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(pm_timer_overflow_interrupts)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	outb(b, 0xb2, 0xf1);
	bus_io_write(&b->bus, 0x602, 1, 2);
	board_wait(b, 2400000000); /* 2^23 / 3.58 MHz = 2.34 s */
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x29);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0x600, 2), 1);
	board_free(b);
}
END_TEST

START_TEST(apmc_raises_smi_when_enabled)
{
	struct board *b = board_new(1);
	outb(b, 0xb2, 0x10);
	ck_assert_uint_eq(b->smi, 0);
	cfg_write(b, PM, 0x58, 0x02000000, 4);
	outb(b, 0xb3, 0x77);
	outb(b, 0xb2, 0x10);
	ck_assert_uint_eq(b->smi, 1);
	ck_assert_uint_eq(inb(b, 0xb3), 0x77);
	board_free(b);
}
END_TEST

START_TEST(x87_error_latches_irq13)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	pc_ferr(&b->pc, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2d);
	outb(b, 0xf0, 0);
	pc_ferr(&b->pc, false);
	pc_ferr(&b->pc, true);
	outb(b, 0xa0, 0x20);
	outb(b, 0x20, 0x20);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2d);
	board_free(b);
}
END_TEST

/* ---- fw_cfg, DMA, test devices ----------------------------------------------------------- */

START_TEST(fw_cfg_reads_items_and_files)
{
	struct board *b = board_new(2);
	ck_assert_int_eq(pc_fw_cfg_add_file(&b->pc, "etc/zeta", "zz", 2), 0);
	ck_assert_int_eq(pc_fw_cfg_add_file(&b->pc, "etc/alpha", "abc", 3), 0);
	ck_assert_int_eq(pc_fw_cfg_add_file(&b->pc, "etc/alpha", "abc", 3), -EEXIST);
	bus_io_write(&b->bus, 0x510, 0, 2);
	ck_assert_uint_eq(inb(b, 0x511), 'Q');
	bus_io_write(&b->bus, 0x510, 5, 2);
	ck_assert_uint_eq(inb(b, 0x511), 2);
	bus_io_write(&b->bus, 0x510, 0x19, 2);
	u8 dir[4 + 128];
	for (unsigned i = 0; i < sizeof(dir); i++)
		dir[i] = inb(b, 0x511);
	ck_assert_uint_eq(dir[3], 2);
	ck_assert_uint_eq(dir[7], 3);
	ck_assert_str_eq((char *)dir + 12, "etc/alpha");
	bus_io_write(&b->bus, 0x510, dir[9], 2);
	ck_assert_uint_eq(inb(b, 0x511), 'a');
	ck_assert_uint_eq(inb(b, 0x511), 'b');
	ck_assert_uint_eq(inb(b, 0x511), 'c');
	ck_assert_uint_eq(inb(b, 0x511), 0);
	board_free(b);
}
END_TEST

START_TEST(fw_cfg_dma)
{
	struct board *b = board_new(1);
	static const u8 command[16] = {0, 0, 0, 0x0a, 0, 0,    0, 4, 0,
				       0, 0, 0, 0,    0, 0x20, 0}; /* select 0, read 4 to 2000h */
	memcpy(b->ram + 0x1000, command, 16);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0x514, 4), 0x554d4551); /* "QEMU" */
	bus_io_write(&b->bus, 0x514, 0, 4);
	bus_io_write(&b->bus, 0x518, 0x00100000, 4); /* 1000h, big-endian */
	ck_assert_mem_eq(b->ram + 0x2000, "QEMU", 4);
	ck_assert_mem_eq(b->ram + 0x1000, "\0\0\0\0", 4);
	board_free(b);
}
END_TEST

START_TEST(dma_moves_bytes_and_ends)
{
	struct board *b = board_new(1);
	u8 data[8] = "abcdefg";
	bool tc;
	outb(b, 0x0c, 0);
	outb(b, 0x04, 0x00);
	outb(b, 0x04, 0x30);
	outb(b, 0x05, 3);
	outb(b, 0x05, 0);
	outb(b, 0x81, 0x01);
	outb(b, 0x0b, 0x46); /* single, write to memory, channel 2 */
	ck_assert_uint_eq(dma8237_transfer(b->pc.dma, 2, data, 8, true, &tc), 0); /* masked */
	outb(b, 0x0a, 2);
	ck_assert_uint_eq(dma8237_transfer(b->pc.dma, 2, data, 8, false, &tc),
			  0); /* other direction */
	ck_assert_uint_eq(dma8237_transfer(b->pc.dma, 2, data, 8, true, &tc), 4);
	ck_assert(tc);
	ck_assert_mem_eq(b->ram + 0x13000, "abcd", 4);
	ck_assert_uint_eq(inb(b, 0x08) & 4, 4);
	ck_assert_uint_eq(inb(b, 0x0f) & 4, 4); /* masked again */
	board_free(b);
}
END_TEST

START_TEST(port_80_is_storage)
{
	struct board *b = board_new(1);
	outb(b, 0x80, 0x42);
	ck_assert_uint_eq(inb(b, 0x80), 0x42);
	board_free(b);
}
END_TEST

START_TEST(test_devices)
{
	struct board *b = board_new(1);
	plug(b, "pc-testdev", NULL);
	plug(b, "isa-debug-exit", "iobase=0xf4,iosize=0x4");
	bus_io_write(&b->bus, 0xe0, 0x12345678, 4);
	ck_assert_uint_eq(bus_io_read(&b->bus, 0xe0, 2), 0x5678);
	ck_assert_uint_eq(inb(b, 0xe3), 0x12);
	bus_mem_write(&b->bus, 0xff000100, 0x1122334455667788, 8);
	ck_assert_uint_eq(bus_mem_read(&b->bus, 0xff000104, 4), 0x11223344);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	outb(b, 0x2005, 1);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	bus_io_write(&b->bus, 0xf4, 0x10, 4);
	ck_assert_uint_eq(b->exits, 1);
	ck_assert_uint_eq(b->exit_code, 0x10);
	board_free(b);
}
END_TEST

/* ---- descriptors and settings ------------------------------------------------------------ */

static void expect_failure(struct board *b, const char *type, const char *props, const char *text)
{
	char err[300] = "";
	ck_assert_ptr_null(device_create(&b->pc.env, type, NULL, props, err, sizeof(err)));
	ck_assert_msg(strstr(err, text) != NULL, "'%s' lacks '%s'", err, text);
}

START_TEST(bad_devices_are_explained)
{
	struct board *b = board_new(1);
	expect_failure(b, "isa-debug-exi", NULL, "did you mean 'isa-debug-exit'");
	expect_failure(b, "isa-debug-exit", "iobas=1", "did you mean 'iobase'");
	expect_failure(b, "isa-debug-exit", "iosize=9", "outside");
	expect_failure(b, "isa-debug-exit", "iobase=0x20", "taken");
	expect_failure(b, "isa-serial", "chardev=nobody", "no chardev");
	expect_failure(b, "pci-testdev", "addr=1", "no free place");
	expect_failure(b, "pci-testdev", "addr=99", "addr=");
	ck_assert_uint_eq(inb(b, 0x21), 0); /* the 8259A is unharmed */
	board_free(b);
}
END_TEST

START_TEST(every_type_has_its_description)
{
	for (const struct device_type *const *t = device_types(); *t; t++) {
		ck_assert_msg((*t)->name && (*t)->help && (*t)->category && (*t)->snapshot, "%s",
			      (*t)->name);
		ck_assert_uint_eq((*t)->snapshot->size, (*t)->size);
		ck_assert_ptr_eq(device_type_find((*t)->name), *t);
	}
}
END_TEST

/* ---- two machines, snapshots ------------------------------------------------------------- */

static void stir(struct board *b, u32 seed)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0,  0xa1,  0x40,  0x42,  0x43, 0x60, 0x61, 0x64,
				    0x70, 0x71, 0x3f8, 0x3f9, 0x3fa, 0x3fc, 0x92, 0x04, 0x0b};
	for (unsigned i = 0; i < 400; i++) {
		seed = seed * 1664525 + 1013904223;
		outb(b, ports[(seed >> 8) % ARRAY_SIZE(ports)], (u8)(seed >> 24));
		board_wait(b, seed >> 20);
	}
	mm_write(b, 0xfed00010, 1);
	mm_write(b, LAPIC(0xf0), 0x1ff);
	mm_write(b, LAPIC(0x320), 0x20040);
	mm_write(b, LAPIC(0x380), 100000);
}

START_TEST(two_machines_do_not_touch)
{
	struct board *a = board_new(1), *b = board_new(2);
	u64 quiet = pc_hash(&b->pc, 1);
	stir(a, 1);
	ck_assert_uint_eq(pc_hash(&b->pc, 1), quiet);
	board_free(a);
	board_free(b);
}
END_TEST

START_TEST(equal_runs_have_equal_hashes)
{
	struct board *a = board_new(1), *b = board_new(1);
	stir(a, 7);
	stir(b, 7);
	ck_assert_uint_eq(pc_hash(&a->pc, 0), pc_hash(&b->pc, 0));
	outb(b, 0x80, 1);
	ck_assert_uint_ne(pc_hash(&a->pc, 0), pc_hash(&b->pc, 0));
	board_free(a);
	board_free(b);
}
END_TEST

START_TEST(snapshot_goes_on_equally)
{
	struct board *a = board_new(1), *b = board_new(1);
	struct snap_buf buf = {0};
	stir(a, 99);
	stir(b, 12345);
	pc_save(&a->pc, &buf);
	ck_assert(!buf.failed);
	b->now_ns = a->now_ns;
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	int e = pc_load(&b->pc, &r);
	ck_assert_msg(e == 0, "%s", r.error);
	ck_assert_uint_eq(r.pos, r.len);
	ck_assert_uint_eq(pc_hash(&a->pc, 0), pc_hash(&b->pc, 0));
	ck_assert_uint_eq(clock_next_deadline(&a->clock), clock_next_deadline(&b->clock));
	stir(a, 5);
	stir(b, 5);
	ck_assert_uint_eq(pc_hash(&a->pc, 0), pc_hash(&b->pc, 0));
	free(buf.data);
	board_free(a);
	board_free(b);
}
END_TEST

START_TEST(damaged_snapshots_are_refused)
{
	struct board *b = board_new(1);
	struct snap_buf buf = {0};
	pc_save(&b->pc, &buf);
	for (size_t len = 0; len < buf.len; len += 97) {
		struct snap_reader r = {.data = buf.data, .len = len};
		ck_assert_int_ne(pc_load(&b->pc, &r), 0);
	}
	buf.data[20] ^= 0xff;
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_int_ne(pc_load(&b->pc, &r), 0);
	free(buf.data);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("board");
	ADD_ALL(s, config_space_identities, read_only_bits_stay, bars_size_and_move,
		overlapping_bar_is_not_mapped, expansion_rom_is_mapped_when_enabled,
		pirq_routing, pam_shadows_rom, smram_opens_in_smm,
		power_off, power_button_raises_sci, pm_timer_overflow_interrupts,
		apmc_raises_smi_when_enabled, x87_error_latches_irq13, fw_cfg_reads_items_and_files,
		fw_cfg_dma, dma_moves_bytes_and_ends, port_80_is_storage, test_devices,
		bad_devices_are_explained, every_type_has_its_description,
		two_machines_do_not_touch, equal_runs_have_equal_hashes, snapshot_goes_on_equally,
		damaged_snapshots_are_refused);
	return run_suite(s);
}
