/*
 * The run loop: budgets are exact, slices change nothing, events are taken at the very boundary the
 * SDM gives them.
 */
#include "guest.h"

GUEST(loop64);
GUEST(counts64);
GUEST(loop32);
GUEST(counts32);
GUEST(loop16);
GUEST(counts16);
GUEST(repeats);
GUEST(returns);
GUEST(halts);

#define COUNTER       0x1a000
#define VECTOR        0x40
#define DELIVERY_COST 1 /* a taken event counts as an instruction */

/* ---- programs, ready to run ----------------------------------------------------------------- */

static struct box *ready64(void)
{
	struct box *b = guest_long(0);

	LOAD(b, CODE, loop64);
	LOAD(b, COUNTER, counts64);
	poke(b, IDT + 16 * VECTOR, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	b->cpu.cr4 |= CR4_OSXMMEXCPT;
	force_seg(b, SS, S_DATA);
	b->cpu.rflags |= FL_IF;
	b->raises = CPU_EV_INTR;
	b->vector = VECTOR;
	cpu_mode_changed(&b->cpu);
	return b;
}

static struct box *ready32(void)
{
	struct box *b = guest_flat32(0);

	LOAD(b, CODE, loop32);
	LOAD(b, COUNTER, counts32);
	poke(b, IDT + 8 * VECTOR, make_gate(S_CODE, COUNTER, ST_TRAP, 0), 8);
	b->cpu.rflags |= FL_IF;
	b->raises = CPU_EV_INTR;
	b->vector = VECTOR;
	return b;
}

static struct box *ready16(void)
{
	struct box *b = guest_real(CODE >> 4);

	LOAD(b, CODE, loop16);
	LOAD(b, COUNTER, counts16);
	poke(b, 4 * VECTOR, (u64)(COUNTER >> 4) << 16, 4);
	b->cpu.rflags |= FL_IF;
	b->raises = CPU_EV_INTR | CPU_EV_NMI;
	poke(b, 4 * EXC_NMI, (u64)(COUNTER >> 4) << 16, 4);
	b->vector = VECTOR;
	return b;
}

static struct box *ready_repeats(void)
{
	struct box *b = guest_long(0);

	LOAD(b, CODE, repeats);
	return b;
}

static struct box *ready_traps(void)
{
	struct box *b = ready64();

	poke(b, IDT + 16 * EXC_DB, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	b->cpu.rflags |= FL_TF;
	cpu_mode_changed(&b->cpu);
	return b;
}

static struct box *(*const programs[])(void) = {ready64, ready32, ready16, ready_repeats,
						ready_traps};

static u64 whole_hash(struct box *b)
{
	u64 h = state_hash(b);

	HASH_STEP(h, memory_hash(b, 0, 0x60000));
	HASH_STEP(h, memory_hash(b, SMALL, SMALL + 0x60000));
	return h;
}

static void run_exactly(struct box *b, u64 n)
{
	u64 before = cpu_icount(&b->cpu);
	enum cpu_exit why = cpu_run(&b->cpu, n);

	ck_assert_msg(why == CPU_EXIT_BUDGET, "exit %d at %llx: %u(%x) %s", why,
		      (unsigned long long)b->cpu.rip, b->cpu.fault.vector, b->cpu.fault.err,
		      b->cpu.fault.why);
	ck_assert_uint_eq(cpu_icount(&b->cpu) - before, n);
}

#define STEPS	300
#define REPEATS 200 /* of the program of long repeats: once around; each step is thousands of bytes, and all are done for each count */

/* ---- budgets -------------------------------------------------------------------------------- */

/* Worth a run of its own: of the pieces of one repeat, which are alike, every fifth, and those where it begins and ends. */
static bool worth(const u64 *rip, unsigned n, unsigned steps)
{
	return n == 1 || n >= steps - 1 || n % 5 == 0 || rip[n] != rip[n - 1] || rip[n] != rip[n + 1];
}

START_TEST(n_at_once_is_n_times_one)
{
	for (unsigned p = 0; p < ARRAY_SIZE(programs); p++) {
		const unsigned steps = programs[p] == ready_repeats ? REPEATS : STEPS;
		u64 hash[STEPS + 1], rip[STEPS + 1];
		struct box *one = programs[p]();

		for (unsigned n = 1; n <= steps; n++) {
			run_exactly(one, 1);
			hash[n] = state_hash(one);
			rip[n] = one->cpu.rip;
		}
		for (unsigned n = 1; n <= steps; n++) {
			if (!worth(rip, n, steps))
				continue;
			struct box *all = programs[p]();
			run_exactly(all, n);
			ck_assert_msg(all->cpu.rip == rip[n],
				      "program %u, %u instructions: rip %llx, one by one %llx", p,
				      n, (unsigned long long)all->cpu.rip,
				      (unsigned long long)rip[n]);
			ck_assert_msg(state_hash(all) == hash[n],
				      "program %u: states differ after %u at %llx", p, n,
				      (unsigned long long)rip[n]);
			if (n == steps)
				ck_assert_uint_eq(whole_hash(all), whole_hash(one));
			box_free(all);
		}
		box_free(one);
	}
}
END_TEST

START_TEST(slices_change_nothing)
{
	for (unsigned p = 0; p < ARRAY_SIZE(programs); p++) {
		struct box *once = programs[p]();
		u64 total = p == 3 ? 500 : 30000, seed = 0x1234567 + p;

		run_exactly(once, total);
		for (unsigned round = 0; round < 4; round++) {
			struct box *sliced = programs[p]();
			u64 largest = round ? 40u << (3 * round) : 3;

			for (u64 done = 0; done < total;) {
				u64 n = 1 + random64(&seed) % largest;
				n = MIN(n, total - done);
				if (round == 3 && random64(&seed) % 4 == 0)
					cpu_blocks_flush(&sliced->cpu);
				if (round == 3 && random64(&seed) % 4 == 0)
					mmu_flush_all(&sliced->cpu);
				run_exactly(sliced, n);
				done += n;
			}
			ck_assert_msg(sliced->cpu.rip == once->cpu.rip,
				      "program %u round %u: rip %llx, at once %llx", p, round,
				      (unsigned long long)sliced->cpu.rip,
				      (unsigned long long)once->cpu.rip);
			ck_assert_uint_eq(whole_hash(sliced), whole_hash(once));
			box_free(sliced);
		}
		ck_assert(p == 3 || once->acknowledged > 20);
		box_free(once);
	}
}
END_TEST

START_TEST(warm_blocks_change_nothing)
{
	/* From the same state, with everything cached and linked by an earlier run. */
	for (unsigned p = 0; p < 3; p++) {
		struct box *warm = programs[p](), *cold = programs[p]();
		struct cpu start = warm->cpu;

		run_exactly(warm, 5000);
		memcpy(warm->ram, cold->ram, RAM_SIZE);
		warm->mmio_value = warm->mmio_reads = warm->mmio_writes = 0;
		warm->port_writes = warm->acknowledged = 0;
		memcpy(warm->cpu.r, start.r, sizeof(start.r));
		memcpy(warm->cpu.seg, start.seg, sizeof(start.seg));
		memcpy(warm->cpu.v, start.v, sizeof(start.v));
		cpu_set_rflags(&warm->cpu, start.rflags);
		warm->cpu.rip = start.rip;
		warm->cpu.events = 0;
		warm->cpu.int_shadow = warm->cpu.nmi_blocked = 0;
		mmu_flush_all(&warm->cpu);
		cpu_mode_changed(&warm->cpu);
		run_exactly(warm, 777);
		run_exactly(cold, 777);
		ck_assert_uint_eq(whole_hash(warm), whole_hash(cold));
		box_free(warm);
		box_free(cold);
	}
}
END_TEST

START_TEST(a_budget_of_nothing_does_nothing)
{
	struct box *b = ready64();
	u64 h = state_hash(b);

	run_exactly(b, 0);
	ck_assert_uint_eq(state_hash(b), h);
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	run_exactly(b, 0);
	ck_assert_uint_eq(state_hash(b), h);
	box_free(b);
}
END_TEST

/* NOPs and compares whose flags are dead emit nothing, but their boundaries are there. */
START_TEST(nops_count)
{
	static const u8 code[] = {0x90, 0x89, 0x03, 0x90, 0x90, 0x39, 0xc0, 0x31, 0xc9, 0x0f, 0x1f,
				  0x00, 0xe8, 0x02, 0x00, 0x00, 0x00, 0xeb, 0xed, 0x90, 0xc3};
	static const u8 offsets[] = {0, 1, 3, 4, 5, 7, 9, 12, 19, 20, 17};

	for (unsigned n = 0; n < 2000; n++) {
		struct box *b = guest_long(0);
		load_bytes(b, CODE, code, sizeof(code));
		b->cpu.r[RBX] = DEVICE + 0x800;
		b->raises = CPU_EV_INTR; /* IF is clear, but the chain is left */
		cpu_run(&b->cpu, n);
		ck_assert_uint_eq(b->cpu.rip, CODE + offsets[n % 11]);
		box_free(b);
		if (n > 150)
			n += 61;
	}
}
END_TEST

START_TEST(faults_count)
{
	/* UD2 whose handler is UD2: for ever, but not longer than the budget. */
	struct box *b = guest_long(0);

	CODE_AT(b, CODE, 0x0f, 0x0b);
	CODE_AT(b, HANDLER + 4 * EXC_UD, 0x0f, 0x0b);
	run_exactly(b, 100);
	ck_assert_uint_eq(b->cpu.r[RSP], STACK0 - 40 - 99 * 48); /* each frame aligned to 16 */
	box_free(b);
}
END_TEST

START_TEST(interrupts_count)
{
	/* A line that stays up, into a trap gate: no instruction is ever reached. */
	struct box *b = guest_flat32(0);

	CODE_AT(b, CODE, 0x90);
	poke(b, IDT + 8 * VECTOR, make_gate(S_CODE, COUNTER, ST_TRAP, 0), 8);
	CODE_AT(b, COUNTER, 0xcf);
	b->cpu.rflags |= FL_IF;
	b->vector = VECTOR;
	for (unsigned i = 0; i < 50; i++) {
		cpu_event_set(&b->cpu, CPU_EV_INTR);
		run_exactly(b, DELIVERY_COST);
	}
	ck_assert_uint_eq(b->acknowledged, 50);
	ck_assert_uint_eq(b->cpu.r[RSP], STACK0 - 50 * 12);
	box_free(b);
}
END_TEST

/* However it is cut into slices: the same instructions, the same count. */
START_TEST(returns)
{
	static const u64 slices[] = {1u << 20, 1, 3, 70, 130, 1000};
	u64 count = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(slices); i++) {
		struct box *b = guest_long(0);
		unsigned runs = 0;

		LOAD(b, CODE, returns);
		while (cpu_run(&b->cpu, slices[i]) != CPU_EXIT_HALT)
			ck_assert_uint_lt(++runs, 10000);
		ck_assert_int_eq(halted_in(b), -1);
		ck_assert_uint_eq(b->cpu.r[R8], 39);
		ck_assert_uint_eq(b->cpu.r[R9], 200);
		ck_assert_uint_eq(b->cpu.r[R10], 200 * 201 / 2);
		if (!count)
			count = cpu_icount(&b->cpu);
		ck_assert_uint_eq(cpu_icount(&b->cpu), count);
		box_free(b);
	}
}
END_TEST

/* ---- events --------------------------------------------------------------------------------- */

static struct box *box_for(const u8 *code, unsigned n)
{
	struct box *b = guest_long(0);

	load_bytes(b, CODE, code, n);
	b->vector = VECTOR;
	b->raises = CPU_EV_INTR;
	return b;
}

/* The program interrupted: at which offset, with how much of EAX counted? */
static void interrupted_at(struct box *b, unsigned vector, u32 offset, u32 eax)
{
	run_to_halt(b, 100);
	ck_assert_int_eq(halted_in(b), (int)vector);
	ck_assert_uint_eq(frame_of(b, false).rip, CODE + offset);
	ck_assert_uint_eq(b->cpu.r[RAX], eax);
}

START_TEST(sti_shadow)
{
	/* nop; sti; inc eax; inc eax; hlt */
	struct box *b = box_for(CODE_BYTES(0x90, 0xfb, 0xff, 0xc0, 0xff, 0xc0, 0xf4));

	cpu_event_set(&b->cpu, CPU_EV_INTR);
	interrupted_at(b, VECTOR, 4, 1);
	box_free(b);

	/* No shadow where IF was set already. */
	b = box_for(CODE_BYTES(0xfb, 0xfb, 0xff, 0xc0, 0xff, 0xc0, 0xf4));
	b->cpu.rflags |= FL_IF;
	run_exactly(b, 1);
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	interrupted_at(b, VECTOR, 1, 0);
	box_free(b);

	/* sti; cli: nothing gets through. */
	b = box_for(CODE_BYTES(0xfb, 0xfa, 0xff, 0xc0, 0xf4));
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	run_to_halt(b, 100);
	ck_assert_int_eq(halted_in(b), -1);
	ck_assert_uint_eq(b->cpu.rip, CODE + 5);
	box_free(b);

	/* sti; hlt: halts, then is woken behind the HLT. */
	b = box_for(CODE_BYTES(0xfb, 0xf4, 0xff, 0xc0, 0xf4));
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	interrupted_at(b, VECTOR, 2, 0);
	box_free(b);
}
END_TEST

START_TEST(mov_ss_shadow)
{
	/* mov ss, ecx; inc eax; inc eax: interrupts, NMI wait for the first INC. */
	static const u32 events[] = {CPU_EV_INTR, CPU_EV_NMI};

	for (unsigned i = 0; i < 2; i++) {
		struct box *b = box_for(CODE_BYTES(0x8e, 0xd1, 0xff, 0xc0, 0xff, 0xc0, 0xf4));
		b->cpu.rflags |= FL_IF;
		b->cpu.r[RCX] = S_DATA;
		run_exactly(b, 1);
		cpu_event_set(&b->cpu, events[i]);
		interrupted_at(b, i ? EXC_NMI : VECTOR, 4, 1);
		box_free(b);
	}
}
END_TEST

START_TEST(nmi_is_masked_until_iret)
{
	/* inc eax; hlt */
	struct box *b = box_for(CODE_BYTES(0xff, 0xc0, 0xf4));

	/* handler: inc ebx; inc ebx; iretq, elsewhere */
	CODE_AT(b, COUNTER, 0xff, 0xc3, 0xff, 0xc3, 0x48, 0xcf);
	poke(b, IDT + 16 * EXC_NMI, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	cpu_event_set(&b->cpu, CPU_EV_NMI);
	run_exactly(b, DELIVERY_COST + 1);
	ck_assert_uint_eq(b->cpu.nmi_blocked, 1);
	cpu_event_set(&b->cpu, CPU_EV_NMI);
	run_exactly(b, 1);
	ck_assert_uint_eq(b->cpu.r[RBX], 2);
	ck_assert(b->cpu.events & CPU_EV_NMI);
	run_to_halt(b, 100);
	ck_assert_uint_eq(b->cpu.r[RBX], 4);
	ck_assert_uint_eq(b->cpu.r[RAX], 1);
	ck_assert_uint_eq(b->cpu.rip, CODE + 3);
	box_free(b);
}
END_TEST

START_TEST(nmi_goes_before_intr)
{
	struct box *b = box_for(CODE_BYTES(0x90, 0xf4));

	b->cpu.rflags |= FL_IF;
	cpu_event_set(&b->cpu, CPU_EV_INTR | CPU_EV_NMI);
	interrupted_at(b, EXC_NMI, 0, 0);
	ck_assert_uint_eq(b->cpu.events, CPU_EV_INTR);
	box_free(b);
}
END_TEST

START_TEST(hlt_wakes)
{
	struct box *b = guest_long(0);

	LOAD(b, CODE, halts);
	b->vector = VECTOR;
	CODE_AT(b, COUNTER, 0xff, 0xc0, 0x48, 0xcf); /* inc eax; iretq */
	poke(b, IDT + 16 * VECTOR, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	poke(b, IDT + 16 * EXC_NMI, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	run_to_halt(b, 100);
	ck_assert_uint_eq(b->cpu.rip, CODE + 2);
	ck_assert_int_eq(cpu_run(&b->cpu, 100), CPU_EXIT_HALT);
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	run_to_halt(b, 100);
	ck_assert_uint_eq(b->cpu.r[RAX], 1);
	ck_assert_uint_eq(b->cpu.r[RBX], 1);
	/* IF is clear now: only the NMI wakes. */
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	run_to_halt(b, 100);
	ck_assert_uint_eq(b->cpu.r[RBX], 1);
	cpu_event_set(&b->cpu, CPU_EV_NMI);
	cpu_run(&b->cpu, DELIVERY_COST + 3);
	ck_assert_uint_eq(b->cpu.r[RAX], 2);
	ck_assert_uint_eq(b->cpu.r[RBX], 2);
	box_free(b);
}
END_TEST

START_TEST(stop_ends_the_slice_at_once)
{
	/* out 80h, al; inc eax; jmp $-2 */
	struct box *b = box_for(CODE_BYTES(0xe6, BOX_PORT, 0xff, 0xc0, 0xeb, 0xfa));

	b->raises = CPU_EV_STOP;
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(cpu_run(&b->cpu, 1000), CPU_EXIT_STOP);
		ck_assert_uint_eq(b->cpu.rip, CODE + 2);
		ck_assert_uint_eq(b->cpu.r[RAX], i);
	}
	ck_assert_uint_eq(cpu_icount(&b->cpu), 1 + 4 * 3);
	box_free(b);
}
END_TEST

/* Each access to the device raises the interrupt: it must come before the next instruction. */
START_TEST(device_interrupts_are_taken_behind_the_instruction)
{
#define ACCESS(...)                                                                                \
	{                                                                                          \
		{__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})                                   \
	}
	static const struct {
		u8 code[12];
		unsigned n;
	} access[] = {
	    ACCESS(0x89, 0x0b),             /* mov [rbx], ecx */
	    ACCESS(0x8b, 0x0b),             /* mov ecx, [rbx] */
	    ACCESS(0x03, 0x0b),             /* add ecx, [rbx] */
	    ACCESS(0x01, 0x0b),             /* add [rbx], ecx */
	    ACCESS(0x39, 0x0b),             /* cmp [rbx], ecx */
	    ACCESS(0x85, 0x0b),             /* test [rbx], ecx */
	    ACCESS(0xff, 0x03),             /* inc [rbx] */
	    ACCESS(0xf7, 0x13),             /* not [rbx] */
	    ACCESS(0xc1, 0x23, 0x03),       /* shl [rbx], 3 */
	    ACCESS(0xd3, 0x03),             /* rol [rbx], cl */
	    ACCESS(0x0f, 0xaf, 0x0b),       /* imul ecx, [rbx] */
	    ACCESS(0xf7, 0x23),             /* mul [rbx] */
	    ACCESS(0x0f, 0xb6, 0x0b),       /* movzx ecx, byte [rbx] */
	    ACCESS(0x0f, 0xbc, 0x0b),       /* bsf ecx, [rbx] */
	    ACCESS(0x0f, 0xba, 0x2b, 0x03), /* bts [rbx], 3 */
	    ACCESS(0x0f, 0x44, 0x0b),       /* cmove ecx, [rbx] */
	    ACCESS(0x87, 0x0b),             /* xchg [rbx], ecx */
	    ACCESS(0x0f, 0xc1, 0x0b),       /* xadd [rbx], ecx */
	    ACCESS(0xff, 0x33),             /* push [rbx] */
	    ACCESS(0x8f, 0x03),             /* pop [rbx] */
	    ACCESS(0x0f, 0x94, 0x03),       /* sete [rbx] */
	    ACCESS(0x0f, 0x6f, 0x03),       /* movq mm0, [rbx] */
	    ACCESS(0x0f, 0xfe, 0x03),       /* paddd mm0, [rbx] */
	    ACCESS(0x66, 0x0f, 0xfe, 0x03), /* paddd xmm0, [rbx] */
	    ACCESS(0x0f, 0x11, 0x03),       /* movups [rbx], xmm0 */
	    ACCESS(0xdd, 0x03),             /* fld qword [rbx] */
	    ACCESS(0xe6, BOX_PORT),         /* out 80h, al */
	    ACCESS(0x48, 0x0f, 0xc7, 0x0b), /* cmpxchg16b [rbx] */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(access); i++) {
		for (unsigned jcc = 0; jcc < 2; jcc++) {
			struct box *b = guest_long(0);
			u32 at = CODE;

			b->cpu.rflags |= FL_IF;
			b->raises = CPU_EV_INTR;
			b->vector = VECTOR;
			b->cpu.r[RBX] = DEVICE + 0x800;
			b->cpu.r[RCX] = 1;
			load_bytes(b, at, access[i].code, access[i].n);
			at += access[i].n;
			if (jcc) /* fused with a compare, perhaps */
				CODE_AT(b, at, 0x74, 0x00, 0x31, 0xd2, 0xf4);
			else /* cmp esi, edi: kills the flags; hlt */
				CODE_AT(b, at, 0x39, 0xfe, 0xf4);
			cpu_run(&b->cpu, 100);
			ck_assert_msg(
			    halted_in(b) == VECTOR, "access %u: not interrupted, at %llx: %u %s", i,
			    (unsigned long long)b->cpu.rip, b->cpu.fault.vector, b->cpu.fault.why);
			ck_assert_msg(frame_of(b, false).rip == at,
				      "access %u: interrupted at %llx, not %x", i,
				      (unsigned long long)frame_of(b, false).rip, at);
			box_free(b);
		}
	}
}
END_TEST

/* So does reading code from the device, which the code's first instruction does not hide from the next one. */
START_TEST(device_interrupts_are_taken_behind_code_read_from_it)
{
	struct box *b = guest_long(0);

	b->cpu.rflags |= FL_IF;
	b->raises = CPU_EV_INTR;
	b->vector = VECTOR;
	CODE_AT(b, CODE, 0xff, 0xc2, 0xf4); /* inc edx; hlt */
	for (unsigned i = 0; i < 2; i++) { /* known to the jump cache when found for the second time */
		run_to_halt(b, 100);
		b->cpu.activity = CPU_ACTIVE;
		b->cpu.rip = CODE;
	}
	ck_assert_uint_eq(b->cpu.r[RDX], 2);
	b->cpu.rip = DEVICE + 0x800;
	b->cpu.r[RAX] = CODE;
	b->mmio_value = 0xe0ff; /* jmp rax */
	cpu_run(&b->cpu, 100);
	ck_assert_int_eq(halted_in(b), VECTOR);
	ck_assert_uint_eq(frame_of(b, false).rip, CODE);
	ck_assert_uint_eq(b->cpu.r[RDX], 2);
	box_free(b);
}
END_TEST

/* The pushed flags are the instruction's, though nobody after it would read them. */
START_TEST(flags_are_there_when_a_slow_access_ends_the_chain)
{
	static const struct {
		u8 code[8];
		unsigned n;
		u32 flags;
	} access[] = {
	    {{0x01, 0x0b}, 2, FL_ZF | FL_PF | FL_CF | FL_AF},       /* add [rbx], ecx: -1 + 1 */
	    {{0x03, 0x0b}, 2, FL_ZF | FL_PF | FL_CF | FL_AF},       /* add ecx, [rbx] */
	    {{0xff, 0x03}, 2, FL_ZF | FL_PF | FL_AF | FL_CF},       /* inc [rbx], CF from before */
	    {{0xf7, 0x1b}, 2, FL_CF | FL_AF},                       /* neg [rbx] */
	    {{0xd1, 0x23}, 2, FL_CF | FL_SF},                       /* shl [rbx], 1: fffffffe */
	    {{0x83, 0x33, 0xff}, 3, FL_ZF | FL_PF},                 /* xor [rbx], -1 */
	    {{0x83, 0x13, 0x00}, 3, FL_ZF | FL_PF | FL_CF | FL_AF}, /* adc [rbx], 0, CF set */
	    {{0x0f, 0xaf, 0x0b}, 3, 0x10000},                       /* imul ecx, [rbx] */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(access); i++) {
		struct box *b = guest_long(0);
		u32 at = CODE;
		struct iframe f;

		b->cpu.rflags |= FL_IF;
		b->raises = CPU_EV_INTR;
		b->vector = VECTOR;
		b->mmio_value = 0xffffffff;
		b->cpu.r[RBX] = DEVICE + 0x800;
		b->cpu.r[RCX] = 1;
		CODE_AT(b, at, 0xf9); /* stc */
		load_bytes(b, at + 1, access[i].code, access[i].n);
		at += 1 + access[i].n;
		CODE_AT(b, at, 0x39, 0xfe, 0xf4);
		cpu_run(&b->cpu, 100);
		ck_assert_int_eq(halted_in(b), VECTOR);
		f = frame_of(b, false);
		ck_assert_uint_eq(f.rip, at);
		if (access[i].flags < 0x10000)
			ck_assert_msg((f.flags & FL_ARITH) == access[i].flags,
				      "access %u: flags %llx, not %x", i,
				      (unsigned long long)f.flags & FL_ARITH, access[i].flags);
		else
			ck_assert_uint_eq(f.flags & (FL_CF | FL_OF), 0);
		box_free(b);
	}
}
END_TEST

/* ---- INIT, SIPI ----------------------------------------------------------------------------- */

START_TEST(init_and_sipi)
{
	struct box *b = guest_long(0);
	struct cpu *c = &b->cpu;

	CODE_AT(b, CODE, 0x90, 0xeb, 0xfd);
	CODE_AT(b, 0x9000, 0x40, 0xf4); /* real mode: inc ax; hlt */
	c->bsp = false;
	c->mxcsr = 0x1fa0;
	run_exactly(b, 10);
	cpu_event_set(c, CPU_EV_INIT);
	ck_assert_int_eq(cpu_run(c, 10), CPU_EXIT_HALT);
	ck_assert_uint_eq(c->activity, CPU_WAIT_SIPI);
	ck_assert_uint_eq(c->cr0 & (CR0_PE | CR0_PG), 0);
	ck_assert_uint_eq(c->efer, 0);
	ck_assert_uint_eq(c->mxcsr, 0x1fa0);
	/* Neither an interrupt nor an NMI ends the wait. */
	cpu_event_set(c, CPU_EV_NMI | CPU_EV_INTR);
	ck_assert_int_eq(cpu_run(c, 10), CPU_EXIT_HALT);
	c->events = 0;
	c->sipi_vector = 9;
	cpu_event_set(c, CPU_EV_SIPI);
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->r[RAX], 1);
	ck_assert_uint_eq(c->seg[CS].sel, 0x900);
	ck_assert_uint_eq(c->rip, 2);
	/* A second SIPI is ignored while running. */
	cpu_event_set(c, CPU_EV_SIPI);
	ck_assert_int_eq(cpu_run(c, 10), CPU_EXIT_HALT);
	ck_assert_uint_eq(c->rip, 2);
	box_free(b);
}
END_TEST

START_TEST(init_of_the_boot_processor)
{
	struct box *b = guest_long(0);

	CODE_AT(b, CODE, 0xeb, 0xfe);
	run_exactly(b, 10);
	cpu_event_set(&b->cpu, CPU_EV_INIT);
	cpu_run(&b->cpu, 0);
	ck_assert_uint_eq(b->cpu.rip, CODE);
	/* There is no ROM at the reset vector: the #UD there is what shows. */
	poke(b, 4 * EXC_UD, 0x500, 4);
	CODE_AT(b, 0x500, 0xf4);
	run_to_halt(b, 10);
	ck_assert_uint_eq(b->cpu.seg[CS].sel, 0);
	ck_assert_uint_eq(b->cpu.rip, 0x501);
	ck_assert_uint_eq(peek(b, 0xfffa, 4), 0xf000fff0);
	ck_assert_uint_eq(b->cpu.cr0 & CR0_PE, 0);
	box_free(b);
}
END_TEST

START_TEST(an_event_never_links_blocks)
{
	/* jmp over a page boundary leaves unlinked; an NMI comes in between and must not become the
	 * link's target. */
	struct box *b = guest_long(0);

	CODE_AT(b, CODE, 0xe9, 0xfb, 0x1f, 0x00, 0x00);          /* jmp CODE + 2000h */
	CODE_AT(b, CODE + 0x2000, 0xe9, 0xfb, 0xdf, 0xff, 0xff); /* and back */
	CODE_AT(b, COUNTER, 0xff, 0xc3, 0x48, 0xcf);             /* inc ebx; iretq */
	poke(b, IDT + 16 * EXC_NMI, make_gate(S_CODE64, COUNTER, ST_INT, 0), 8);
	for (unsigned i = 0; i < 20; i++) {
		run_exactly(b, 65 + i);
		cpu_event_set(&b->cpu, CPU_EV_NMI);
	}
	run_exactly(b, 1000);
	ck_assert_uint_eq(b->cpu.r[RBX], 20);
	box_free(b);
}
END_TEST

/* Moves are swallowed by the operation they feed (alu.c), but not past somebody who reads their register. */
START_TEST(moves_are_swallowed_with_care)
{
	struct box *b = guest_long(0);

	/* mov ecx, edx; shl eax, cl; add ecx, 1: the shift wants the new CL. mov rdi, rsi; mov esi, esi; shr rdi, 32: each its own. */
	CODE_AT(b, 0x12000, 0x89, 0xd1, 0xd3, 0xe0, 0x83, 0xc1, 0x01, 0x48, 0x89, 0xf7, 0x89, 0xf6, 0x48, 0xc1, 0xef, 0x20,
		/* mov rbx, rbp; sub rbp, r8; sbb rbx, r9: the borrow of another difference */
		0x48, 0x89, 0xeb, 0x4c, 0x29, 0xc5, 0x4c, 0x19, 0xcb, 0xf4);
	b->cpu.rip = 0x12000;
	b->cpu.r[RAX] = 1;
	b->cpu.r[RCX] = 0;
	b->cpu.r[RDX] = 4;
	b->cpu.r[RSI] = 0x1122334455667788;
	b->cpu.r[RBP] = 5;
	b->cpu.r[R8] = 6;
	b->cpu.r[R9] = 1;
	run_to_halt(b, 100);
	ck_assert_uint_eq(b->cpu.r[RAX], 16);
	ck_assert_uint_eq(b->cpu.r[RCX], 5);
	ck_assert_uint_eq(b->cpu.r[RDI], 0x11223344);
	ck_assert_uint_eq(b->cpu.r[RSI], 0x55667788);
	ck_assert_uint_eq(b->cpu.r[RBP], ~0ull);
	ck_assert_uint_eq(b->cpu.r[RBX], 3);
	box_free(b);
}
END_TEST

/* PUSHAD, POPAD into other registers' places, twice, so that the second time the TLB knows the stack: in one page and across two. */
START_TEST(all_registers_to_the_stack_and_back)
{
	for (u32 sp = STACK0 - 4; sp <= STACK0 + 40; sp += 4) {
		struct box *b = guest_flat32(0);
		/* pushad; mov ebp, esp; inc of EAX's copy; popad; dec dword [13000h]; jnz to the start; hlt */
		CODE_AT(b, 0x12000, 0x60, 0x89, 0xe5, 0x83, 0x45, 0x1c, 0x01, 0x61, 0xff, 0x0d, 0x00, 0x30, 0x01, 0x00, 0x75, 0xf0, 0xf4);
		poke(b, 0x13000, 3, 4);
		b->cpu.rip = 0x12000;
		for (unsigned i = 0; i < 8; i++)
			b->cpu.r[i] = i == RSP ? sp : 0x99887766u + sp * (i + 1);
		run_to_halt(b, 100);
		for (unsigned i = 0; i < 8; i++) {
			u32 first = i == RSP ? sp : 0x99887766u + sp * (i + 1);
			ck_assert_uint_eq(b->cpu.r[i], first + 3 * (i == RAX));
			ck_assert_uint_eq(peek(b, sp - 4 - 4 * i, 4), first + 3 * (i == RAX));
		}
		box_free(b);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    n_at_once_is_n_times_one,
	    slices_change_nothing,
	    warm_blocks_change_nothing,
	    a_budget_of_nothing_does_nothing,
	    nops_count,
	    faults_count,
	    interrupts_count,
	    returns,
	    sti_shadow,
	    mov_ss_shadow,
	    nmi_is_masked_until_iret,
	    nmi_goes_before_intr,
	    hlt_wakes,
	    stop_ends_the_slice_at_once,
	    device_interrupts_are_taken_behind_the_instruction,
	    device_interrupts_are_taken_behind_code_read_from_it,
	    flags_are_there_when_a_slow_access_ends_the_chain,
	    init_and_sipi,
	    init_of_the_boot_processor,
	    an_event_never_links_blocks,
	    moves_are_swallowed_with_care,
	    all_registers_to_the_stack_and_back,
	};
	return run_cases("run", tests, ARRAY_SIZE(tests));
}
