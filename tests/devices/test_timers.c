/* PIT, RTC, HPET, PM timer. */
#include "devices/timer/rtc.h"
#include "tests/devices/board.h"

/* ---- PIT --------------------------------------------------------------------------------- */

static void pit_program(struct board *b, unsigned ch, u8 mode, u16 count)
{
	outb(b, 0x43, (u8)(ch << 6 | 0x30 | mode << 1));
	outb(b, (u16)(0x40 + ch), (u8)count);
	outb(b, (u16)(0x40 + ch), (u8)(count >> 8));
}

static u16 pit_count(struct board *b, unsigned ch)
{
	outb(b, 0x43, (u8)(ch << 6));
	u8 low = inb(b, (u16)(0x40 + ch));
	return (u16)(low | inb(b, (u16)(0x40 + ch)) << 8);
}

#define TICKS(n) (ticks_to_ns(n, 1193182))

START_TEST(pit_mode2_interrupts_at_its_rate)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0xfffe);
	pit_program(b, 0, 2, 1193); /* about 1 kHz */
	unsigned n = 0;
	for (unsigned ms = 0; ms < 100; ms++) {
		board_wait(b, 1000000);
		if (!b->intr[0])
			continue;
		ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x20);
		outb(b, 0x20, 0x20);
		n++;
	}
	ck_assert_msg(n >= 99 && n <= 100, "%u interrupts in 100 ms", n);
	board_free(b);
}
END_TEST

START_TEST(pit_counts_down)
{
	struct board *b = board_new(1);
	pit_program(b, 0, 2, 10000);
	board_wait(b, TICKS(400));
	ck_assert_uint_eq(pit_count(b, 0), 9600);
	pit_program(b, 0, 3, 10000); /* mode 3 counts by two */
	board_wait(b, TICKS(400));
	ck_assert_uint_eq(pit_count(b, 0), 9200);
	board_free(b);
}
END_TEST

START_TEST(pit_mode0_raises_out_once)
{
	struct board *b = board_new(1);
	outb(b, 0x61, 1);
	pit_program(b, 2, 0, 1000);
	ck_assert_uint_eq(inb(b, 0x61) & 0x20, 0);
	board_wait(b, TICKS(999));
	ck_assert_uint_eq(inb(b, 0x61) & 0x20, 0);
	board_wait(b, TICKS(2));
	ck_assert_uint_eq(inb(b, 0x61) & 0x20, 0x20);
	board_free(b);
}
END_TEST

START_TEST(pit_gate_stops_counter_2)
{
	struct board *b = board_new(1);
	outb(b, 0x61, 0);
	pit_program(b, 2, 0, 1000);
	board_wait(b, TICKS(5000));
	ck_assert_uint_eq(inb(b, 0x61) & 0x20, 0);
	ck_assert_uint_eq(pit_count(b, 2), 1000);
	outb(b, 0x61, 1);
	board_wait(b, TICKS(1001));
	ck_assert_uint_eq(inb(b, 0x61) & 0x20, 0x20);
	board_free(b);
}
END_TEST

START_TEST(pit_readback_status)
{
	struct board *b = board_new(1);
	outb(b, 0x43, 0x34);
	outb(b, 0x43, 0xe2);                          /* status of counter 0 */
	ck_assert_uint_eq(inb(b, 0x40) & 0x7f, 0x74); /* null count, both bytes, mode 2 */
	outb(b, 0x40, 0);
	outb(b, 0x40, 1);
	outb(b, 0x43, 0xe2);
	ck_assert_uint_eq(inb(b, 0x40), 0xb4);
	board_free(b);
}
END_TEST

START_TEST(pit_latch_holds_until_read)
{
	struct board *b = board_new(1);
	pit_program(b, 0, 2, 0x1234);
	outb(b, 0x43, 0);
	board_wait(b, TICKS(600));
	ck_assert_uint_eq(inb(b, 0x40), 0x34);
	ck_assert_uint_eq(inb(b, 0x40), 0x12);
	ck_assert_uint_ne(pit_count(b, 0), 0x1234);
	board_free(b);
}
END_TEST

START_TEST(pit_bcd)
{
	struct board *b = board_new(1);
	outb(b, 0x43, 0x35);
	outb(b, 0x40, 0x00);
	outb(b, 0x40, 0x10); /* 1000 */
	board_wait(b, TICKS(1));
	ck_assert_uint_eq(pit_count(b, 0), 0x0999);
	board_free(b);
}
END_TEST

START_TEST(refresh_bit_toggles)
{
	struct board *b = board_new(1);
	unsigned changes = 0;
	u8 last = inb(b, 0x61) & 0x10;
	for (unsigned i = 0; i < 100; i++) {
		board_wait(b, 5000);
		changes += (inb(b, 0x61) & 0x10) != last;
		last = inb(b, 0x61) & 0x10;
	}
	ck_assert_uint_ge(changes, 30);
	board_free(b);
}
END_TEST

/* ---- RTC --------------------------------------------------------------------------------- */

static u8 cmos(struct board *b, u8 i)
{
	outb(b, 0x70, i);
	return inb(b, 0x71);
}

static void cmos_write(struct board *b, u8 i, u8 v)
{
	outb(b, 0x70, i);
	outb(b, 0x71, v);
}

/* 1700000000 = 2023-11-14 22:13:20 UTC, a Tuesday */
START_TEST(rtc_shows_the_start_time)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(cmos(b, 0), 0x20);
	ck_assert_uint_eq(cmos(b, 2), 0x13);
	ck_assert_uint_eq(cmos(b, 4), 0x22);
	ck_assert_uint_eq(cmos(b, 6), 0x03);
	ck_assert_uint_eq(cmos(b, 7), 0x14);
	ck_assert_uint_eq(cmos(b, 8), 0x11);
	ck_assert_uint_eq(cmos(b, 9), 0x23);
	ck_assert_uint_eq(cmos(b, 0x32), 0x20);
	board_wait(b, 45ull * 1000000000);
	ck_assert_uint_eq(cmos(b, 0), 0x05);
	ck_assert_uint_eq(cmos(b, 2), 0x14);
	board_free(b);
}
END_TEST

START_TEST(rtc_formats)
{
	struct board *b = board_new(1);
	cmos_write(b, 0x0b, 0x06); /* binary */
	ck_assert_uint_eq(cmos(b, 4), 22);
	cmos_write(b, 0x0b, 0x00); /* 12 hours, BCD */
	ck_assert_uint_eq(cmos(b, 4), 0x90);
	board_free(b);
}
END_TEST

START_TEST(rtc_can_be_set)
{
	struct board *b = board_new(1);
	cmos_write(b, 0x0b, 0x82);
	cmos_write(b, 0, 0x59);
	cmos_write(b, 2, 0x59);
	cmos_write(b, 4, 0x23);
	cmos_write(b, 7, 0x28);
	cmos_write(b, 8, 0x02);
	cmos_write(b, 9, 0x24);
	cmos_write(b, 0x0b, 0x02);
	board_wait(b, 1100000000);
	ck_assert_uint_eq(cmos(b, 7), 0x29); /* leap year */
	ck_assert_uint_eq(cmos(b, 0), 0x00);
	ck_assert_int_eq(rtc_get_time(b->pc.rtc), 1709164800);
	board_free(b);
}
END_TEST

START_TEST(rtc_update_in_progress_precedes_the_tick)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(cmos(b, 0x0a) & 0x80, 0);
	board_wait(b, 999000000);
	ck_assert_uint_eq(cmos(b, 0x0a) & 0x80, 0x80);
	ck_assert_uint_eq(cmos(b, 0), 0x20);
	board_wait(b, 1000000);
	ck_assert_uint_eq(cmos(b, 0x0a) & 0x80, 0);
	ck_assert_uint_eq(cmos(b, 0), 0x21);
	board_free(b);
}
END_TEST

START_TEST(rtc_periodic_interrupt)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0xfefb);
	cmos_write(b, 0x0b, 0x42); /* 1024 Hz */
	unsigned n = 0;
	for (unsigned i = 0; i < 2048; i++) {
		board_wait(b, 1000000000 / 2048);
		if (!b->intr[0])
			continue;
		ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x28);
		ck_assert_uint_eq(cmos(b, 0x0c) & 0xc0, 0xc0);
		outb(b, 0xa0, 0x20);
		outb(b, 0x20, 0x20);
		n++;
	}
	ck_assert_msg(n >= 1022 && n <= 1025, "%u", n);
	board_free(b);
}
END_TEST

START_TEST(rtc_alarm_and_update_flags)
{
	struct board *b = board_new(1);
	cmos(b, 0x0c);
	cmos_write(b, 1, 0x25);
	cmos_write(b, 3, 0xff);
	cmos_write(b, 5, 0xff);
	board_wait(b, 1000000000);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x30, 0x10);
	board_wait(b, 4000000000);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x30, 0x30);
	ck_assert_uint_eq(cmos(b, 0x0c) & 0x30, 0);
	board_free(b);
}
END_TEST

START_TEST(cmos_tells_memory_size)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(cmos(b, 0x17) | cmos(b, 0x18) << 8, 1024);
	cmos_write(b, 0x40, 0xab);
	ck_assert_uint_eq(cmos(b, 0x40), 0xab);
	pc_reset(&b->pc, RESET_HARD);
	ck_assert_uint_eq(cmos(b, 0x40), 0xab);
	board_free(b);
}
END_TEST

/* ---- HPET -------------------------------------------------------------------------------- */

#define HPET 0xfed00000u

START_TEST(hpet_counts_when_enabled)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(mm_read(b, HPET + 4), 10000000);
	board_wait(b, 1000);
	ck_assert_uint_eq(mm_read(b, HPET + 0xf0), 0);
	mm_write(b, HPET + 0x10, 1);
	board_wait(b, 1000);
	ck_assert_uint_eq(mm_read(b, HPET + 0xf0), 100);
	mm_write(b, HPET + 0x10, 0);
	board_wait(b, 1000);
	ck_assert_uint_eq(mm_read(b, HPET + 0xf0), 100);
	board_free(b);
}
END_TEST

START_TEST(hpet_legacy_periodic_replaces_the_pit)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0xfffe);
	pit_program(b, 0, 2, 100);
	mm_write(b, HPET + 0x100, 0x14c); /* enable, periodic, set value, 32 bits */
	mm_write(b, HPET + 0x108, 100000);
	mm_write(b, HPET + 0x108, 100000); /* 1 ms */
	mm_write(b, HPET + 0x10, 3);
	unsigned n = 0;
	for (unsigned i = 0; i < 400; i++) {
		board_wait(b, 50000);
		if (!b->intr[0])
			continue;
		pc_intack(&b->pc, 0);
		outb(b, 0x20, 0x20);
		n++;
	}
	ck_assert_msg(n >= 19 && n <= 21, "%u", n);
	board_free(b);
}
END_TEST

/* Linux leaves one behind: it must not wake an idle machine 250 times a second. */
START_TEST(hpet_periodic_without_interrupt_needs_no_event)
{
	struct board *b = board_new(1);
	u64 others = clock_next_deadline(&b->clock);
	mm_write(b, HPET + 0x100, 0x148); /* periodic, set value, 32 bits */
	mm_write(b, HPET + 0x108, 100000);
	mm_write(b, HPET + 0x108, 100000); /* 1 ms */
	mm_write(b, HPET + 0x10, 1);
	ck_assert_uint_eq(clock_next_deadline(&b->clock), others);
	board_wait(b, 10500000);
	ck_assert_uint_eq(mm_read(b, HPET + 0x108), 1100000);
	board_wait(b, 500000); /* just now it matches, and moves on */
	ck_assert_uint_eq(mm_read(b, HPET + 0x108), 1200000);
	mm_write(b, HPET + 0x100, 0x10c); /* the interrupt is wanted */
	ck_assert_uint_eq(clock_next_deadline(&b->clock), clock_now(&b->clock) + 1000000);
	mm_write(b, HPET + 0x100, 0x108);
	mm_write(b, HPET + 0x10, 0);
	board_wait(b, 10000000);
	ck_assert_uint_eq(mm_read(b, HPET + 0x108), 1200000);
	board_free(b);
}
END_TEST

START_TEST(hpet_level_interrupt_has_status)
{
	struct board *b = board_new(1);
	mm_write(b, LAPIC(0xf0), 0x1ff);
	mm_write(b, 0xfec00000, 0x10 + 20 * 2);
	mm_write(b, 0xfec00010, 0x8045);
	mm_write(b, HPET + 0x140, 20 << 9 | 6);
	mm_write(b, HPET + 0x148, 50);
	mm_write(b, HPET + 0x14c, 0);
	mm_write(b, HPET + 0x10, 1);
	board_wait(b, 600);
	ck_assert_uint_eq(mm_read(b, HPET + 0x20), 4);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x45);
	mm_write(b, HPET + 0x20, 4);
	mm_write(b, LAPIC(0xb0), 0);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(pm_timer_runs_at_its_frequency)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	u32 a = bus_io_read(&b->bus, 0x608, 4);
	board_wait(b, 1000000000);
	u32 z = bus_io_read(&b->bus, 0x608, 4);
	ck_assert_uint_eq((z - a) & 0xffffff, 3579545);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("timers");
	ADD_ALL(s, pit_mode2_interrupts_at_its_rate, pit_counts_down, pit_mode0_raises_out_once,
		pit_gate_stops_counter_2, pit_readback_status, pit_latch_holds_until_read, pit_bcd,
		refresh_bit_toggles, rtc_shows_the_start_time, rtc_formats, rtc_can_be_set,
		rtc_update_in_progress_precedes_the_tick, rtc_periodic_interrupt,
		rtc_alarm_and_update_flags, cmos_tells_memory_size, hpet_counts_when_enabled,
		hpet_legacy_periodic_replaces_the_pit, hpet_periodic_without_interrupt_needs_no_event, hpet_level_interrupt_has_status,
		pm_timer_runs_at_its_frequency);
	return run_suite(s);
}
