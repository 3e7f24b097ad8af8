/* A pc board with a settable clock and hooks that count, for tests that act as the guest. */
#ifndef TESTS_DEVICES_BOARD_H
#define TESTS_DEVICES_BOARD_H

#include <check.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "devices/backends/chardev.h"
#include "devices/pc.h"

#define BOARD_RAM (2u << 20)

struct board {
	struct bus bus;
	struct clock clock;
	struct pc pc;
	u64 now_ns;
	struct chardev *com1, *e9;
	u8 *ram;
	bool intr[PC_MAX_CPUS], a20;
	unsigned nmi, smi, init, sipi, resets, power, exits;
	u32 exit_code;
	u8 sipi_vector;
};

static inline u64 board_time(void *ctx)
{
	return ((struct board *)ctx)->now_ns;
}

static inline void board_intr(void *ctx, unsigned cpu, bool level)
{
	((struct board *)ctx)->intr[cpu] = level;
}

#define BOARD_COUNTER(name)                                                                        \
	static inline void board_##name(void *ctx, unsigned cpu)                                   \
	{                                                                                          \
		((struct board *)ctx)->name++;                                                     \
	}
BOARD_COUNTER(nmi)
BOARD_COUNTER(smi)
BOARD_COUNTER(init)

static inline void board_sipi(void *ctx, unsigned cpu, u8 vector)
{
	struct board *b = ctx;
	b->sipi++;
	b->sipi_vector = vector;
}

static inline void board_a20(void *ctx, bool on)
{
	((struct board *)ctx)->a20 = on;
}

static inline void board_reset(void *ctx, bool cpu_only)
{
	((struct board *)ctx)->resets++;
}

static inline void board_power(void *ctx, enum power_state s)
{
	((struct board *)ctx)->power++;
}

static inline void board_exit(void *ctx, u32 code)
{
	((struct board *)ctx)->exits++;
	((struct board *)ctx)->exit_code = code;
}

static inline void board_msi(void *ctx, u16 requester, u64 addr, u32 data)
{
	pc_msi(&((struct board *)ctx)->pc, addr, data);
}

static inline struct chardev *board_chardev(void *ctx, const char *id)
{
	struct board *b = ctx;
	if (!strcmp(id, "com1"))
		return b->com1;
	return strcmp(id, "e9") ? NULL : b->e9;
}

static inline struct board *board_new_heard(unsigned cpus, struct audio *audio)
{
	char err[200] = "";
	struct board *b = calloc(1, sizeof(*b));
	const struct machine_hooks hooks = {
	    .ctx = b,
	    .intr = board_intr,
	    .nmi = board_nmi,
	    .smi = board_smi,
	    .init = board_init,
	    .sipi = board_sipi,
	    .a20 = board_a20,
	    .reset = board_reset,
	    .power = board_power,
	    .debug_exit = board_exit,
	};
	const struct bus_hooks bus_hooks = {.ctx = b, .msi = board_msi};
	b->ram = calloc(1, BOARD_RAM);
	b->com1 = chardev_open("com1", "memory", err, sizeof(err));
	b->e9 = chardev_open("e9", "memory", err, sizeof(err));
	const struct pc_config cfg = {.cpus = cpus,
				      .ram = b->ram,
				      .ram_low_bytes = BOARD_RAM,
				      .serial = {"com1"},
				      .debugcon = "e9",
				      .audio = audio,
				      .rtc_start_s = 1700000000};
	bus_init(&b->bus, &bus_hooks, NULL);
	clock_init(&b->clock, board_time, NULL, b);
	int e = pc_create(&b->pc, &cfg, &b->bus, &b->clock, NULL, &hooks, board_chardev, err,
			  sizeof(err));
	ck_assert_msg(e == 0, "%s", err);
	return b;
}

static inline struct board *board_new(unsigned cpus)
{
	return board_new_heard(cpus, NULL);
}

static inline void board_free(struct board *b)
{
	pc_destroy(&b->pc);
	chardev_close(b->com1);
	chardev_close(b->e9);
	free(b->ram);
	free(b);
}

/* Lets @ns pass, firing every timer at its time. */
static inline void board_wait(struct board *b, u64 ns)
{
	u64 end = b->now_ns + ns;
	while (clock_next_deadline(&b->clock) <= end) {
		b->now_ns = MAX(b->now_ns, clock_next_deadline(&b->clock));
		clock_run(&b->clock);
	}
	b->now_ns = end;
}

static inline u8 inb(struct board *b, u16 port)
{
	return (u8)bus_io_read(&b->bus, port, 1);
}

static inline void outb(struct board *b, u16 port, u8 v)
{
	bus_io_write(&b->bus, port, v, 1);
}

static inline u32 mm_read(struct board *b, u64 at)
{
	return (u32)bus_mem_read(&b->bus, at, 4);
}

static inline void mm_write(struct board *b, u64 at, u32 v)
{
	bus_mem_write(&b->bus, at, v, 4);
}

static inline u32 cfg_read(struct board *b, unsigned devfn, unsigned reg, unsigned size)
{
	bus_io_write(&b->bus, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
	return bus_io_read(&b->bus, (u16)(0xcfc + (reg & 3)), size);
}

static inline void cfg_write(struct board *b, unsigned devfn, unsigned reg, u32 v, unsigned size)
{
	bus_io_write(&b->bus, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
	bus_io_write(&b->bus, (u16)(0xcfc + (reg & 3)), v, size);
}

/* The 8259As as every BIOS and kernel sets them up: vectors 20h and 28h, everything unmasked but
 * @mask. */
static inline void board_init_pics(struct board *b, u16 mask)
{
	outb(b, 0x20, 0x11);
	outb(b, 0x21, 0x20);
	outb(b, 0x21, 4);
	outb(b, 0x21, 1);
	outb(b, 0xa0, 0x11);
	outb(b, 0xa1, 0x28);
	outb(b, 0xa1, 2);
	outb(b, 0xa1, 1);
	outb(b, 0x21, (u8)mask);
	outb(b, 0xa1, (u8)(mask >> 8));
}

/* Drives an ISA interrupt line as a device would. */
static inline void board_irq(struct board *b, unsigned irq, bool level)
{
	gsi_isa_sink(&b->pc.gsi, irq, level);
}

#define LAPIC(reg) (0xfee00000u + (reg))

#define ADD_ALL(suite, ...)                                                                        \
	do {                                                                                       \
		const TTest *const all_[] = {__VA_ARGS__};                                         \
		TCase *tc_ = tcase_create("all");                                                  \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(all_); i_++)                                   \
			tcase_add_test(tc_, all_[i_]);                                             \
		suite_add_tcase(suite, tc_);                                                       \
	} while (0)

#endif
