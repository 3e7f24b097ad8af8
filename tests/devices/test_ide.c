/* ATA and ATAPI as a driver sees them, against ATA/ATAPI-6 (T13/1410D), MMC-3 and the bus master
 * specification. */
#include <errno.h>

#include "devices/storage/ide.h"
#include "tests/devices/board.h"

#define DISK_SECTORS 300000u
#define CD_SECTORS   (4 * 1000u) /* of 512 bytes */
#define PRD          0x8000u
#define BUFFER       0x10000u
#define BM           0xc000u

struct rig {
	struct board *b;
	struct block *disk, *cd;
};

static void fill(struct block *b, u64 sectors)
{
	u8 s[512];
	for (u64 i = 0; i < sectors; i += i < 4000 ? 1 : 997) {
		for (unsigned k = 0; k < 512; k++)
			s[k] = (u8)(i * 7 + k * 3 + (i >> 8));
		ck_assert_int_eq(block_io(b, BLOCK_WRITE, i, 1, s), 0);
	}
}

static u8 expected(u64 lba, unsigned k)
{
	return (u8)(lba * 7 + k * 3 + (lba >> 8));
}

static struct rig rig_new(void)
{
	char err[200] = "";
	struct rig r = {board_new(1), block_memory(DISK_SECTORS * 512ull),
			block_memory(CD_SECTORS * 512ull)};
	const struct drive hd = {.id = "hd", .unit = 0, .block = r.disk};
	const struct drive cd = {.id = "cd", .unit = 2, .cdrom = true, .block = r.cd};
	fill(r.disk, DISK_SECTORS);
	fill(r.cd, CD_SECTORS);
	ck_assert_msg(!ide_attach(r.b->pc.ide, &hd, err, sizeof(err)), "%s", err);
	ck_assert_msg(!ide_attach(r.b->pc.ide, &cd, err, sizeof(err)), "%s", err);
	pc_reset(&r.b->pc, RESET_COLD);
	pc_firmware_setup(&r.b->pc);
	board_init_pics(r.b, 0xffff);
	return r;
}

static void rig_free(struct rig *r)
{
	board_free(r->b);
	block_close(r->disk);
	block_close(r->cd);
}

/* The line at the interrupt controller. */
static bool irq(struct rig *r, unsigned n)
{
	return r->b->pc.gsi.pic[n].level;
}

static u8 wait_idle(struct rig *r, u16 base)
{
	for (unsigned i = 0; i < 1000 && (inb(r->b, (u16)(base + 0x206)) & 0x80); i++)
		board_wait(r->b, 10000);
	return inb(r->b, (u16)(base + 7));
}

static void task(struct rig *r, u16 base, u8 device, u8 count, u32 lba, u8 command)
{
	outb(r->b, (u16)(base + 6), (u8)(device | (lba >> 24 & 15)));
	outb(r->b, (u16)(base + 2), count);
	outb(r->b, (u16)(base + 3), (u8)lba);
	outb(r->b, (u16)(base + 4), (u8)(lba >> 8));
	outb(r->b, (u16)(base + 5), (u8)(lba >> 16));
	outb(r->b, (u16)(base + 7), command);
}

static u16 data(struct rig *r, u16 base)
{
	return (u16)bus_io_read(&r->b->bus, base, 2);
}

static void take(struct rig *r, u16 base, u8 *out, unsigned n)
{
	for (unsigned i = 0; i < n; i += 2) {
		u16 w = data(r, base);
		memcpy(out + i, &w, 2);
	}
}

static void give(struct rig *r, u16 base, const u8 *in, unsigned n)
{
	for (unsigned i = 0; i < n; i += 2)
		bus_io_write(&r->b->bus, base, in[i] | (u32)in[i + 1] << 8, 2);
}

static void check_sector(const u8 *s, u64 lba)
{
	for (unsigned k = 0; k < 512; k++)
		ck_assert_msg(s[k] == expected(lba, k), "sector %llu byte %u",
			      (unsigned long long)lba, k);
}

/* ---- ATA ----------------------------------------------------------------------------------------
 */

START_TEST(identify_describes_the_disk)
{
	struct rig r = rig_new();
	u8 w[512], sum = 0;
	u32 n;
	task(&r, 0x1f0, 0xa0, 0, 0, 0xec);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x58);
	take(&r, 0x1f0, w, 512);
	for (unsigned i = 0; i < 512; i++)
		sum = (u8)(sum + w[i]);
	ck_assert_int_eq(sum, 0); /* word 255: checksum */
	memcpy(&n, w + 120, 4);
	ck_assert_int_eq(n, DISK_SECTORS);
	memcpy(&n, w + 200, 4);
	ck_assert_int_eq(n, DISK_SECTORS);
	ck_assert(!memcmp(w + 54, "ROERYRH RADDSI K", 16)); /* swapped text */
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(absent_drive_reads_zero)
{
	struct rig r = rig_new();
	outb(r.b, 0x1f6, 0xb0);
	outb(r.b, 0x1f2, 0x55);
	ck_assert_int_eq(inb(r.b, 0x1f7), 0);
	ck_assert_int_eq(inb(r.b, 0x1f2), 0);
	outb(r.b, 0x1f7, 0xec);
	board_wait(r.b, 1000000);
	ck_assert(!irq(&r, 14));
	outb(r.b, 0x1f6, 0xa0);
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(pio_read_interrupts_before_each_sector)
{
	struct rig r = rig_new();
	u8 s[512];
	task(&r, 0x1f0, 0xe0, 3, 260, 0x20);
	for (unsigned i = 0; i < 3; i++) {
		board_wait(r.b, 1000000);
		ck_assert_msg(irq(&r, 14), "sector %u", i);
		ck_assert_int_eq(inb(r.b, 0x1f7), 0x58);
		ck_assert(!irq(&r, 14));
		take(&r, 0x1f0, s, 512);
		check_sector(s, 260 + i);
	}
	board_wait(r.b, 1000000);
	ck_assert(!irq(&r, 14)); /* none after the last word */
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(chs_follows_initialize_device_parameters)
{
	struct rig r = rig_new();
	u8 s[512];
	outb(r.b, 0x1f6, 0xa3); /* 4 heads */
	outb(r.b, 0x1f2, 17);
	outb(r.b, 0x1f7, 0x91);
	wait_idle(&r, 0x1f0);
	/* cylinder 5, head 2, sector 9 */
	outb(r.b, 0x1f6, 0xa2);
	outb(r.b, 0x1f2, 1);
	outb(r.b, 0x1f3, 9);
	outb(r.b, 0x1f4, 5);
	outb(r.b, 0x1f5, 0);
	outb(r.b, 0x1f7, 0x20);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x58);
	take(&r, 0x1f0, s, 512);
	check_sector(s, (5 * 4 + 2) * 17 + 8);
	outb(r.b, 0x1f3, 18); /* there are 17 */
	outb(r.b, 0x1f7, 0x20);
	ck_assert_int_eq(wait_idle(&r, 0x1f0) & 1, 1);
	ck_assert_int_eq(inb(r.b, 0x1f1), 0x10);
	rig_free(&r);
}
END_TEST

START_TEST(lba48_reads_registers_twice)
{
	struct rig r = rig_new();
	u8 s[512];
	u64 lba = 4000 + 997 * 200;
	outb(r.b, 0x1f6, 0xe0);
	outb(r.b, 0x1f2, 0);
	outb(r.b, 0x1f2, 1);
	outb(r.b, 0x1f3, (u8)(lba >> 24));
	outb(r.b, 0x1f3, (u8)lba);
	outb(r.b, 0x1f4, 0);
	outb(r.b, 0x1f4, (u8)(lba >> 8));
	outb(r.b, 0x1f5, 0);
	outb(r.b, 0x1f5, (u8)(lba >> 16));
	outb(r.b, 0x1f7, 0x24);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x58);
	take(&r, 0x1f0, s, 512);
	check_sector(s, lba);
	rig_free(&r);
}
END_TEST

START_TEST(multiple_moves_blocks_and_wants_a_block_size)
{
	struct rig r = rig_new();
	u8 s[16 * 512];
	task(&r, 0x1f0, 0xe0, 4, 0, 0xc4);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x51); /* not set yet: ABRT */
	ck_assert_int_eq(inb(r.b, 0x1f1), 4);
	task(&r, 0x1f0, 0xe0, 12, 0, 0xc6);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x51); /* no power of two */
	task(&r, 0x1f0, 0xe0, 16, 0, 0xc6);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	task(&r, 0x1f0, 0xe0, 20, 100, 0xc4);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x58);
	take(&r, 0x1f0, s, 16 * 512);
	check_sector(s + 15 * 512, 115);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x58); /* the rest: four sectors */
	take(&r, 0x1f0, s, 4 * 512);
	check_sector(s + 3 * 512, 119);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(pio_write_reaches_the_image)
{
	struct rig r = rig_new();
	u8 s[512], got[512];
	memset(s, 0xa7, sizeof(s));
	task(&r, 0x1f0, 0xe0, 2, 1000, 0x30);
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x58); /* data is wanted at once, without an interrupt */
	ck_assert(!irq(&r, 14));
	give(&r, 0x1f0, s, 512);
	board_wait(r.b, 1000000);
	ck_assert(irq(&r, 14));
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x58);
	give(&r, 0x1f0, s, 512);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	ck_assert_int_eq(block_io(r.disk, BLOCK_READ, 1001, 1, got), 0);
	ck_assert(!memcmp(s, got, 512));
	task(&r, 0x1f0, 0xe0, 0, 0, 0xe7); /* FLUSH CACHE */
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(sectors_behind_the_end_are_not_found)
{
	struct rig r = rig_new();
	task(&r, 0x1f0, 0xe0, 2, DISK_SECTORS - 1, 0x20);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x51);
	ck_assert_int_eq(inb(r.b, 0x1f1), 0x10); /* IDNF */
	task(&r, 0x1f0, 0xe0, 1, 0, 0xfe);       /* no such command */
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x51);
	ck_assert_int_eq(inb(r.b, 0x1f1), 0x04);
	rig_free(&r);
}
END_TEST

START_TEST(nien_keeps_the_line_low)
{
	struct rig r = rig_new();
	outb(r.b, 0x3f6, 0x02);
	task(&r, 0x1f0, 0xe0, 1, 0, 0x40);
	board_wait(r.b, 1000000);
	ck_assert(!irq(&r, 14));
	outb(r.b, 0x3f6, 0x00);
	ck_assert(irq(&r, 14)); /* still pending */
	rig_free(&r);
}
END_TEST

START_TEST(software_reset_leaves_signatures)
{
	struct rig r = rig_new();
	outb(r.b, 0x3f6, 0x04);
	ck_assert_int_eq(inb(r.b, 0x3f6), 0x80);
	outb(r.b, 0x3f6, 0x00);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	ck_assert_int_eq(inb(r.b, 0x1f1), 1);
	ck_assert_int_eq(inb(r.b, 0x1f4), 0);
	outb(r.b, 0x376, 0x04);
	outb(r.b, 0x376, 0x00);
	ck_assert_int_eq(wait_idle(&r, 0x170), 0x00); /* packet devices are not ready yet */
	ck_assert_int_eq(inb(r.b, 0x174), 0x14);
	ck_assert_int_eq(inb(r.b, 0x175), 0xeb);
	rig_free(&r);
}
END_TEST

START_TEST(geometry_follows_the_partition_table)
{
	struct board *b = board_new(1);
	struct block *disk = block_memory(400 * 16 * 63 * 512ull);
	u8 s[512] = {0};
	char err[100];
	struct ide_geometry g;
	const struct drive hd = {.id = "hd", .unit = 1, .block = disk};
	u32 size = 100000;
	s[446 + 5] = 7; /* ends at head 7, sector 17 */
	s[446 + 6] = 17;
	memcpy(s + 446 + 12, &size, 4);
	s[510] = 0x55;
	s[511] = 0xaa;
	ck_assert_int_eq(block_io(disk, BLOCK_WRITE, 0, 1, s), 0);
	ck_assert_int_eq(ide_attach(b->pc.ide, &hd, err, sizeof(err)), 0);
	ck_assert(ide_disk_geometry(b->pc.ide, 1, &g));
	ck_assert_int_eq(g.heads, 8);
	ck_assert_int_eq(g.sectors, 17);
	ck_assert_int_eq(g.cylinders, 400 * 16 * 63 / (8 * 17));
	ck_assert_int_lt(ide_attach(b->pc.ide, &hd, err, sizeof(err)), 0); /* taken */
	board_free(b);
	block_close(disk);
}
END_TEST

/* ---- the bus master
 * ------------------------------------------------------------------------------- */

static void prd(struct rig *r, unsigned i, u32 address, u32 count, bool last)
{
	u32 e[2] = {address, count | (last ? 0x80000000u : 0)};
	memcpy(r->b->ram + PRD + i * 8, e, 8);
}

static void start_dma(struct rig *r, bool to_memory)
{
	outb(r->b, BM + 2, 0x06);
	bus_io_write(&r->b->bus, BM + 4, PRD, 4);
	outb(r->b, BM, to_memory ? 0x08 : 0x00);
	outb(r->b, BM, to_memory ? 0x09 : 0x01);
}

START_TEST(dma_read_scatters_by_descriptors)
{
	struct rig r = rig_new();
	prd(&r, 0, BUFFER, 1000, false);
	prd(&r, 1, BUFFER + 0x4000, 24, false);
	prd(&r, 2, BUFFER + 0x8000, 299 * 512 + 0, true);
	ck_assert_int_eq(bus_io_read(&r.b->bus, BM, 1), 0);
	/* 512 * 2 = 1000 + 24, then the rest: more than one chunk of the model, less than 64 KiB
	 * per region */
	prd(&r, 2, BUFFER + 0x8000, 0, false);
	prd(&r, 3, BUFFER + 0x18000, 0, false);
	prd(&r, 4, BUFFER + 0x28000, 0, true);
	task(&r, 0x1f0, 0xe0, 0, 500, 0xc8); /* 256 sectors */
	start_dma(&r, true);
	ck_assert_int_eq(inb(r.b, BM + 2) & 1, 1);
	board_wait(r.b, 10000000);
	ck_assert(irq(&r, 14));
	ck_assert_int_eq(inb(r.b, BM + 2) & 7,
			 5); /* interrupt; active: the descriptors are not used up */
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x50);
	check_sector(r.b->ram + BUFFER, 500);
	ck_assert_int_eq(r.b->ram[BUFFER + 999], expected(501, 487));
	ck_assert_int_eq(r.b->ram[BUFFER + 0x4000], expected(501, 488));
	check_sector(r.b->ram + BUFFER + 0x8000, 502);
	check_sector(r.b->ram + BUFFER + 0x8000 + 253 * 512, 755);
	outb(r.b, BM, 0);
	ck_assert_int_eq(inb(r.b, BM + 2) & 1, 0);
	rig_free(&r);
}
END_TEST

START_TEST(dma_write_gathers)
{
	struct rig r = rig_new();
	u8 s[1024];
	memset(r.b->ram + BUFFER, 0x11, 512);
	memset(r.b->ram + BUFFER + 0x2000, 0x22, 512);
	prd(&r, 0, BUFFER, 512, false);
	prd(&r, 1, BUFFER + 0x2000, 512, true);
	start_dma(&r, false); /* the bus master may be started before the command */
	task(&r, 0x1f0, 0xe0, 2, 77, 0xca);
	board_wait(r.b, 1000000);
	ck_assert_int_eq(inb(r.b, BM + 2) & 7, 4); /* used up exactly */
	ck_assert_int_eq(inb(r.b, 0x1f7), 0x50);
	ck_assert_int_eq(block_io(r.disk, BLOCK_READ, 77, 2, s), 0);
	ck_assert(s[0] == 0x11 && s[511] == 0x11 && s[512] == 0x22 && s[1023] == 0x22);
	rig_free(&r);
}
END_TEST

START_TEST(short_descriptors_leave_the_drive_waiting)
{
	struct rig r = rig_new();
	prd(&r, 0, BUFFER, 512, true);
	task(&r, 0x1f0, 0xe0, 2, 0, 0xc8);
	start_dma(&r, true);
	board_wait(r.b, 1000000);
	ck_assert_int_eq(inb(r.b, BM + 2) & 7, 0); /* neither active nor interrupt */
	ck_assert_int_eq(inb(r.b, 0x3f6) & 8, 8);
	outb(r.b, 0x3f6, 4); /* the way out */
	outb(r.b, 0x3f6, 0);
	ck_assert_int_eq(wait_idle(&r, 0x1f0), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(dma_needs_the_bus_master_bit)
{
	struct rig r = rig_new();
	pci_config_write(&r.b->pc.pci, 9, PCI_COMMAND, 1, 2);
	prd(&r, 0, BUFFER, 512, true);
	task(&r, 0x1f0, 0xe0, 1, 0, 0xc8);
	start_dma(&r, true);
	board_wait(r.b, 1000000);
	ck_assert_int_eq(inb(r.b, BM + 2) & 4, 0);
	rig_free(&r);
}
END_TEST

START_TEST(snapshot_in_the_middle_of_a_transfer)
{
	struct rig r = rig_new();
	struct snap_buf saved = {0};
	prd(&r, 0, BUFFER, 4096, true);
	task(&r, 0x1f0, 0xe0, 8, 40, 0xc8);
	start_dma(&r, true);
	board_wait(r.b, 5000);
	pc_save(&r.b->pc, &saved);
	u64 then = r.b->now_ns;
	board_wait(r.b, 1000000);
	ck_assert(irq(&r, 14));
	memset(r.b->ram + BUFFER, 0, 4096);
	r.b->now_ns = then;
	struct snap_reader reader = {.data = saved.data, .len = saved.len};
	ck_assert_msg(!pc_load(&r.b->pc, &reader), "%s", reader.error);
	ck_assert(!irq(&r, 14));
	board_wait(r.b, 1000000);
	ck_assert(irq(&r, 14));
	check_sector(r.b->ram + BUFFER + 7 * 512, 47);
	free(saved.data);
	rig_free(&r);
}
END_TEST

/* ---- ATAPI
 * -------------------------------------------------------------------------------------------- */

/* Sends a packet: the status with which data or the end came. */
static u8 packet(struct rig *r, const char *cdb, unsigned n, u16 limit, bool dma)
{
	u8 bytes[12] = {0};
	memcpy(bytes, cdb, n);
	outb(r->b, 0x176, 0xa0);
	outb(r->b, 0x171, dma);
	outb(r->b, 0x174, (u8)limit);
	outb(r->b, 0x175, (u8)(limit >> 8));
	outb(r->b, 0x177, 0xa0);
	ck_assert_int_eq(wait_idle(r, 0x170), 0x58);
	ck_assert_int_eq(inb(r->b, 0x172) & 3, 1); /* command, from the host */
	give(r, 0x170, bytes, 12);
	return dma ? 0 : wait_idle(r, 0x170);
}

static void ready(struct rig *r)
{
	packet(r, "\0", 1, 0, false); /* takes the unit attention */
}

static void sense(struct rig *r, u8 *s)
{
	ck_assert_int_eq(packet(r, "\x03\0\0\0\x12", 5, 0xfffe, false), 0x58);
	take(r, 0x170, s, 18);
	wait_idle(r, 0x170);
}

START_TEST(packet_device_refuses_identify_with_its_signature)
{
	struct rig r = rig_new();
	u8 w[512];
	outb(r.b, 0x176, 0xa0);
	outb(r.b, 0x177, 0xec);
	ck_assert_int_eq(wait_idle(&r, 0x170) & 1, 1);
	ck_assert_int_eq(inb(r.b, 0x174), 0x14);
	ck_assert_int_eq(inb(r.b, 0x175), 0xeb);
	outb(r.b, 0x177, 0xa1);
	ck_assert_int_eq(wait_idle(&r, 0x170), 0x58);
	take(&r, 0x170, w, 512);
	ck_assert_int_eq(w[1], 0x85);
	rig_free(&r);
}
END_TEST

START_TEST(first_command_reports_the_reset)
{
	struct rig r = rig_new();
	u8 s[18];
	ck_assert_int_eq(packet(&r, "\0", 1, 0, false), 0x51);
	ck_assert_int_eq(inb(r.b, 0x171) >> 4, 6);
	sense(&r, s);
	ck_assert_int_eq(s[2], 6);
	ck_assert_int_eq(s[12], 0x29);
	ck_assert_int_eq(packet(&r, "\0", 1, 0, false), 0x50);
	rig_free(&r);
}
END_TEST

START_TEST(read_10_obeys_the_byte_count_limit)
{
	struct rig r = rig_new();
	u8 s[4096];
	ready(&r);
	ck_assert_int_eq(packet(&r, "\x25", 1, 8, false), 0x58);
	take(&r, 0x170, s, 8);
	ck_assert_int_eq(s[2] << 8 | s[3], CD_SECTORS / 4 - 1);
	wait_idle(&r, 0x170);
	/* Two blocks from 17 on, at most 2048 bytes at a time */
	ck_assert_int_eq(packet(&r, "\x28\0\0\0\0\x11\0\0\x02", 9, 2048, false), 0x58);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(inb(r.b, 0x172) & 3, 2);
		ck_assert_int_eq(inb(r.b, 0x174) | inb(r.b, 0x175) << 8, 2048);
		take(&r, 0x170, s, 2048);
		check_sector(s + 512, (17 + i) * 4 + 1);
		board_wait(r.b, 1000000);
		ck_assert(irq(&r, 15));
		ck_assert_int_eq(inb(r.b, 0x177), i ? 0x50 : 0x58);
	}
	ck_assert_int_eq(inb(r.b, 0x172) & 3, 3); /* completion */
	ck_assert_int_eq(packet(&r, "\x28\0\0\x01\0\0\0\0\x01", 9, 2048, false), 0x51);
	sense(&r, s);
	ck_assert_int_eq(s[2], 5);
	ck_assert_int_eq(s[12], 0x21);
	rig_free(&r);
}
END_TEST

START_TEST(read_12_by_dma)
{
	struct rig r = rig_new();
	ready(&r);
	prd(&r, 0, BUFFER, 4096, true);
	outb(r.b, BM + 8 + 2, 6);
	bus_io_write(&r.b->bus, BM + 8 + 4, PRD, 4);
	packet(&r, "\xa8\0\0\0\0\x20\0\0\0\x02", 10, 0, true);
	outb(r.b, BM + 8, 9);
	board_wait(r.b, 1000000);
	ck_assert_int_eq(inb(r.b, BM + 8 + 2) & 7, 4);
	ck_assert_int_eq(inb(r.b, 0x177), 0x50);
	check_sector(r.b->ram + BUFFER + 7 * 512, 0x20 * 4 + 7);
	rig_free(&r);
}
END_TEST

START_TEST(raw_sector_has_sync_and_address)
{
	struct rig r = rig_new();
	u8 s[2352];
	ready(&r);
	ck_assert_int_eq(packet(&r, "\xbe\0\0\0\0\x4b\0\0\x01\xf8", 10, 0xfffe, false), 0x58);
	take(&r, 0x170, s, 2352);
	ck_assert(!s[0] && s[1] == 0xff && !s[11]);
	ck_assert(s[12] == 0x00 && s[13] == 0x03 && s[14] == 0x00 &&
		  s[15] == 1); /* block 75: second 3 */
	check_sector(s + 16, 75 * 4);
	rig_free(&r);
}
END_TEST

START_TEST(table_of_contents)
{
	struct rig r = rig_new();
	u8 s[20];
	ready(&r);
	ck_assert_int_eq(packet(&r, "\x43\0\0\0\0\0\0\0\x14", 9, 0xfffe, false), 0x58);
	take(&r, 0x170, s, 20);
	ck_assert_int_eq(s[1], 18);
	ck_assert_int_eq(s[5], 0x14);
	ck_assert_int_eq(s[14], 0xaa);
	ck_assert_int_eq(s[18] << 8 | s[19], CD_SECTORS / 4);
	rig_free(&r);
}
END_TEST

START_TEST(medium_change_and_lock)
{
	struct rig r = rig_new();
	struct block *other = block_memory(2048 * 10);
	u8 s[18];
	ready(&r);
	ck_assert_int_eq(packet(&r, "\x1e\0\0\0\x01", 5, 0, false), 0x50); /* lock */
	ck_assert_int_eq(ide_change_medium(r.b->pc.ide, 2, NULL), -EBUSY);
	packet(&r, "\x4a\x01\0\0\x10\0\0\0\x08", 9, 0xfffe, false);
	take(&r, 0x170, s, 8);
	ck_assert_int_eq(s[4], 1); /* the button was pressed */
	wait_idle(&r, 0x170);
	ck_assert_int_eq(packet(&r, "\x1b\0\0\0\x02", 5, 0, false), 0x51); /* eject: locked */
	packet(&r, "\x1e", 1, 0, false);
	ck_assert_int_eq(ide_change_medium(r.b->pc.ide, 2, NULL), 0);
	ck_assert_int_eq(packet(&r, "\0", 1, 0, false), 0x51);
	ck_assert_int_eq(packet(&r, "\0", 1, 0, false), 0x51);
	sense(&r, s);
	ck_assert(s[2] == 2 && s[12] == 0x3a);
	ck_assert_int_eq(ide_change_medium(r.b->pc.ide, 2, other), 0);
	ck_assert_int_eq(packet(&r, "\0", 1, 0, false), 0x51);
	sense(&r, s);
	ck_assert(s[2] == 6 && s[12] == 0x28);
	packet(&r, "\x25", 1, 8, false);
	take(&r, 0x170, s, 8);
	ck_assert_int_eq(s[3], 9);
	ck_assert_int_eq(ide_change_medium(r.b->pc.ide, 0, other), -ENODEV); /* a disk */
	rig_free(&r);
	block_close(other);
}
END_TEST

START_TEST(unknown_packet_is_illegal)
{
	struct rig r = rig_new();
	u8 s[18];
	ready(&r);
	ck_assert_int_eq(packet(&r, "\xff", 1, 0, false), 0x51);
	sense(&r, s);
	ck_assert(s[2] == 5 && s[12] == 0x20);
	rig_free(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ide");
	ADD_ALL(s, identify_describes_the_disk, absent_drive_reads_zero,
		pio_read_interrupts_before_each_sector, chs_follows_initialize_device_parameters,
		lba48_reads_registers_twice, multiple_moves_blocks_and_wants_a_block_size,
		pio_write_reaches_the_image, sectors_behind_the_end_are_not_found,
		nien_keeps_the_line_low, software_reset_leaves_signatures,
		geometry_follows_the_partition_table, dma_read_scatters_by_descriptors,
		dma_write_gathers, short_descriptors_leave_the_drive_waiting,
		dma_needs_the_bus_master_bit, snapshot_in_the_middle_of_a_transfer,
		packet_device_refuses_identify_with_its_signature, first_command_reports_the_reset,
		read_10_obeys_the_byte_count_limit, read_12_by_dma, raw_sector_has_sync_and_address,
		table_of_contents, medium_change_and_lock, unknown_packet_is_illegal);
	return run_suite(s);
}
