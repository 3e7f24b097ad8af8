/* The machine's loop: slices of instructions between timer deadlines, idle time, resets and reasons
 * to stop. */
#include "machine/machine_internal.h"
#include "cpu/vmx/vmx.h"

#include "cpu/exec/flags.h"
#include "machine/record.h"
#include "machine/snapshot_file.h"

#define POLL_INSNS 1000000ull
#define QUANTUM 20000ull /* instructions of a processor's turn: switches cost some 300, waits for another are not longer */
#define INPUT_SOON 256ull /* what came when its instant was over waits so long at most */
#define POLL_NET   100000ull /* while frames pass */
#define POLL_NS    4000000ull /* and of virtual time: ports cost more of it than instructions */
#define POLL_LEAST 10000ull
#define POLL_STEPS 1024u /* a halted processor does not reach the next million */
#define HANG_NS                                                                                    \
	10000000000ull /* halted with interrupts off: timers may still bring an NMI for this long  \
			*/
#define SYNC_SLACK_NS                                                                              \
	200000000ull /* virtual time may lag behind the host by this much before the pair is       \
			renewed */
#define WATCHED_POLL_NS 16000000ull /* the same while a change may wait to be drawn for who looks at the screen */
#define PACE_AHEAD_NS 4000000ull   /* how far a busy guest runs ahead before it has to wait */
#define PACE_LOST_NS  2000000000ull /* a jump, such as skipped time: not to be waited for */
#define IDLE_POLL_NS                                                                               \
	50000000ull /* longest sleep: Ctrl-C and the time limit are looked at in between */

/* ---- the host ------------------------------------------------------------------------------- */

static void poll_chardevs(struct machine *m)
{
	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		struct chardev *c = m->serial[i].chardev;
		if (!c)
			continue;
		chardev_poll(c, machine_serial_flush(m, i));
	}
	if (m->debugcon)
		chardev_poll(m->debugcon, 0);
}

static u64 real_spent(const struct machine *m)
{
	return m->spent_real_ns + (host_monotonic_ns() - m->started_real_ns);
}

static void poll_host(struct machine *m)
{
	poll_chardevs(m);
	u64 real = host_monotonic_ns();
	if (display_due(m->display, real)) {
		display_draw(m->display, real);
		m->drawn_icount = machine_icount(m);
	}
	if (atomic_load_explicit(&m->quit, memory_order_relaxed))
		m->end = END_QUIT;
	else if (m->cfg.timeout_ns && real_spent(m) >= m->cfg.timeout_ns)
		m->end = END_TIMEOUT;
	audio_advance(m->audio, machine_now(m));
	machine_publish_stats(m);
	u64 icount = machine_icount(m), now = machine_now(m), n = machine_net_poll(m) ? POLL_NET : POLL_INSNS;
	u64 insns = icount - m->polled_insns, passed = now - m->polled_ns;
	if (insns && passed > POLL_NS && machine_pace(m) == PACE_REAL_TIME)
		n = MIN(n, MAX(insns * POLL_NS / passed, POLL_LEAST));
	m->polled_insns = icount;
	m->polled_ns = now;
	m->next_poll = icount + n;
}

static bool interactive(const struct machine *m)
{
	if (m->input.replay)
		return false; /* nobody is asked */
	int pace = atomic_load_explicit(&m->threads.pace, memory_order_relaxed);
	if (machine_net_awaits_host(m))
		return true; /* whatever the pace: a peer would be timed out in an instant */
	if (pace != PACE_FREE)
		return pace == PACE_REAL_TIME;
	if (display_watched(m->display))
		return true;
	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		struct chardev *c = m->serial[i].chardev;
		if (c && chardev_interactive(c) && !chardev_eof(c))
			return true;
	}
	return false;
}

/* Sleeps up to @ns of host time, less if input comes. */
static void sleep_for_input(struct machine *m, u64 ns)
{
	struct host_poll p[2 * (MACHINE_SERIALS + 1) + 1 + 48];
	unsigned n = 0;
	if (m->threads.wake.fd[0] >= 0)
		p[n++] = (struct host_poll){.fd = m->threads.wake.fd[0], .want = HOST_POLL_IN};
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (m->serial[i].chardev && (machine_serial_room(m, i) || (!i && m->cfg.typed && m->serial[i].held_count < SERIAL_HELD)))
			n += chardev_pollfds(m->serial[i].chardev, p + n);
	bool undrawn = display_watched(m->display) && machine_icount(m) != m->drawn_icount;
	ns = MIN(ns, undrawn ? WATCHED_POLL_NS : IDLE_POLL_NS);
	n += machine_net_pollfds(m, p + n, (unsigned)ARRAY_SIZE(p) - n, &ns);
	u64 from = host_monotonic_ns();
	host_poll(p, n, ns);
	if (n && p[0].fd == m->threads.wake.fd[0] && p[0].ready)
		host_wake_clear(&m->threads.wake);
	machine_serve(m);
	m->asleep_real_ns += host_monotonic_ns() - from;
}

/* Nothing runs until @ended() says so; whoever sits at the machine is still served. */
static void stand_still(struct machine *m, bool (*ended)(const struct machine *m))
{
	while (!m->end && !ended(m)) {
		sleep_for_input(m, IDLE_POLL_NS);
		poll_host(m);
	}
	m->sync_real_ns = 0;
}

static bool never(const struct machine *m)
{
	return false;
}

static bool resumed(const struct machine *m)
{
	return !machine_paused(m) || atomic_load(&m->threads.resumes) != m->stood_resumes;
}

/* The nearest VMX-preemption timer of a halted guest, or end of a wait in UMWAIT or TPAUSE, in virtual nanoseconds. */
static u64 wait_deadline(const struct machine *m, u64 deadline)
{
	for (unsigned i = 0; i < m->cpu_count; i++) {
		u64 left = MIN(vmx_timer_ns(m->cpus[i]), cpu_wait_ns(m->cpus[i]));
		if (left != ~0ull)
			deadline = MIN(deadline, machine_now(m) + left);
	}
	return deadline;
}

/* ---- idle ----------------------------------------------------------------------------------- */

/*
 * Input that has come reaches the guest. A recording names the instant alone, so what comes when its timers have fired already
 * waits for the next one.
 */
static unsigned take_input(struct machine *m)
{
	u64 icount = machine_icount(m), now = machine_now(m);
	if (!m->input.replay && icount == m->closed_icount && now == m->closed_ns)
		return 0;
	return input_drain(&m->input, icount, now);
}

void take_replayed_input(struct machine *m)
{
	if (m->input.replay)
		take_input(m);
}

void machine_run_timers(struct machine *m)
{
	clock_run(&m->clock);
	m->closed_icount = machine_icount(m);
	m->closed_ns = machine_now(m);
}

/* Has @cpu something to do? */
static bool runnable(const struct cpu *cpu)
{
	u32 wake = CPU_EV_RESET;
	if (cpu->activity == CPU_ACTIVE || cpu->fault_pending || cpu_wait_over(cpu))
		return true;
	if (vmx_nonroot(cpu))
		return vmx_event_due(cpu);
	if (cpu->activity == CPU_WAIT_SIPI)
		return cpu->events & (CPU_EV_INIT | CPU_EV_SIPI | CPU_EV_RESET);
	/* What is blocked waits on: it must not keep time from passing. */
	if (!cpu->smm)
		wake |= CPU_EV_SMI;
	if (!cpu->smm && cpu->vmx_mode == VMX_OFF)
		wake |= CPU_EV_INIT;
	if (cpu->rflags & FL_IF)
		wake |= CPU_EV_INTR;
	if (!cpu->nmi_blocked)
		wake |= CPU_EV_NMI;
	return cpu->events & wake;
}

bool machine_halted(const struct machine *m)
{
	for (unsigned i = 0; i < m->cpu_count; i++)
		if (m->cpus[i]->activity == CPU_ACTIVE)
			return false;
	return true;
}

static bool woken(const struct machine *m)
{
	if (m->end || m->reset_wanted || m->off_wanted || (machine_paused(m) && !reverse_reruns(m)))
		return true;
	if (m->suspended)
		return pc_wake_status((struct pc *)&m->pc);
	for (unsigned i = 0; i < m->cpu_count; i++)
		if (runnable(m->cpus[i]))
			return true;
	return false;
}

/*
 * Lets host time pass until virtual instant @until, at the guest's pace: a lag that grew while the
 * guest computed is made up for a little, not slept again. A lead, which a guest gets by computing or by waiting at ports faster
 * than those it is modelled on, is waited for where virtual time must not be faster than real time, or many short ones would add
 * up. On early input, virtual time stands where host time stands.
 */
static void sleep_until(struct machine *m, u64 until)
{
	u64 real = host_monotonic_ns(), now = machine_now(m);
	u64 lag = real - m->sync_real_ns - (now - m->sync_virtual_ns);
	bool real_time = atomic_load_explicit(&m->threads.pace, memory_order_relaxed) == PACE_REAL_TIME;
	s64 lead_kept = real_time ? (s64)PACE_LOST_NS : 0;
	if (!m->sync_real_ns || (s64)lag < -lead_kept || (s64)lag > (s64)SYNC_SLACK_NS) {
		m->sync_real_ns = real;
		m->sync_virtual_ns = now;
	}
	const u64 served = m->threads.served;
	poll_host(m);
	real = host_monotonic_ns();
	for (;;) {
		u64 target = until == CLOCK_NEVER ? UINT64_MAX
						  : m->sync_real_ns + (until - m->sync_virtual_ns);
		if (real >= target || woken(m))
			break;
		sleep_for_input(m, target - real);
		if (m->threads.served != served)
			return; /* somebody may have changed anything */
		poll_host(m);
		real = host_monotonic_ns();
		now = MIN(m->sync_virtual_ns + (real - m->sync_real_ns), until);
		if (now > machine_now(m))
			m->idle_ns += now - machine_now(m);
		else if (input_waiting(&m->input))
			m->idle_ns++;
		if (take_input(m) || woken(m))
			return;
	}
	if (until != CLOCK_NEVER && until > machine_now(m) && !woken(m))
		m->idle_ns += until - machine_now(m);
}

/* May an interrupt end the wait of some processor? */
static bool interruptible(const struct machine *m)
{
	for (unsigned i = 0; i < m->cpu_count; i++)
		if (((m->cpus[i]->rflags & FL_IF) || vmx_nonroot(m->cpus[i]) || m->cpus[i]->activity >= CPU_TPAUSE) &&
		    m->cpus[i]->activity != CPU_WAIT_SIPI)
			return true;
	return false;
}

/* All processors halted with interrupts off: only NMI, SMI, INIT or reset can wake one. */
static bool hung(struct machine *m, u64 deadline)
{
	if (interruptible(m)) {
		m->halt_virtual_ns = 0;
		return deadline == CLOCK_NEVER && !interactive(m);
	}
	if (deadline == CLOCK_NEVER)
		return true;
	if (!m->halt_virtual_ns)
		m->halt_virtual_ns = MAX(machine_now(m), 1);
	return machine_now(m) - m->halt_virtual_ns > HANG_NS;
}

/* A busy guest may be ahead of real time: at the pace of real time the machine waits for it, whatever is typed meanwhile. */
static void keep_pace(struct machine *m)
{
	if (atomic_load_explicit(&m->threads.pace, memory_order_relaxed) != PACE_REAL_TIME)
		return;
	const u64 served = m->threads.served;
	for (;;) {
		u64 real = host_monotonic_ns(), now = machine_now(m);
		s64 ahead = (s64)((now - m->sync_virtual_ns) - (real - m->sync_real_ns));
		if (!m->sync_real_ns || ahead < -(s64)SYNC_SLACK_NS || ahead > (s64)PACE_LOST_NS) {
			m->sync_real_ns = real;
			m->sync_virtual_ns = now;
		}
		if (ahead <= (s64)PACE_AHEAD_NS || ahead > (s64)PACE_LOST_NS || m->end || machine_paused(m) || m->threads.served != served)
			return;
		sleep_for_input(m, (u64)ahead);
	}
}

/* Nobody waits in real time: on to @until at once. Sound is delivered on the way, for the mixer holds but the samples just ahead. */
static void skip_to(struct machine *m, u64 until)
{
	m->idle_ns += until - machine_now(m);
	if (audio_due(m->audio, until))
		audio_advance(m->audio, until);
}

/* The next timer, or in a replay the next input of a machine that stands still. */
static u64 next_instant(const struct machine *m)
{
	u64 next = MIN(clock_next_deadline(&m->clock), input_next_ns(&m->input, machine_icount(m)));
	return MIN(next, reverse_head_ns(m));
}

static void idle(struct machine *m)
{
	u64 deadline = wait_deadline(m, next_instant(m)), now = machine_now(m);
	if (woken(m) || deadline <= now || m->net_kick)
		return;
	if (input_waiting(&m->input)) {
		m->idle_ns++; /* it came when this instant was over */
		return;
	}
	if (hung(m, deadline)) {
		machine_explain_hang(m);
		m->end = END_HANG;
		return;
	}
	if (interactive(m) && interruptible(m))
		sleep_until(m, deadline);
	else
		skip_to(m, deadline);
}

/* In ACPI S3 the processor is off; devices that can wake the machine go on. */
static void asleep(struct machine *m)
{
	u64 deadline = next_instant(m), now = machine_now(m);
	if (pc_wake_status(&m->pc)) {
		machine_wake(m);
	} else if (interactive(m)) {
		sleep_until(m, deadline);
	} else if (deadline == CLOCK_NEVER || (!pc_wakes_by_rtc(&m->pc) && !m->input.replay)) {
		snprintf(m->explanation, sizeof(m->explanation),
			 "The guest sleeps in ACPI state S3, and nothing is enabled that would wake it.");
		m->end = END_HANG;
	} else if (deadline > now) {
		skip_to(m, deadline);
	}
}

/* ---- screenshots ---------------------------------------------------------------------------- */

static void take_shot(struct machine *m, const char *path)
{
	display_draw(m->display, host_monotonic_ns());
	int e = display_screenshot(m->display, path);
	if (!e)
		return;
	m->output_failed = true;
	fprintf(stderr, "orrery: -screenshot %s: %s\n", path, strerror(-e));
}

/* The instructions to the nearest instant at which a picture is wanted; takes those that have come. */
static u64 shots(struct machine *m, bool at_end)
{
	u64 left = UINT64_MAX, icount = machine_icount(m), now = machine_now(m);
	for (unsigned i = 0; i < MACHINE_SHOTS && m->cfg.screenshot[i].path; i++) {
		const struct machine_shot *s = &m->cfg.screenshot[i];
		u64 n = s->at_insns ? s->at_insns > icount ? s->at_insns - icount : 0
			: s->at_ns > now ? (s->at_ns - now + NS_PER_INSN - 1) / NS_PER_INSN
					 : 0;
		if (m->shots_taken >> i & 1)
			continue;
		if (!s->at_insns && !s->at_ns ? at_end : !n) {
			m->shots_taken |= BIT(i);
			take_shot(m, s->path);
		} else if (n) {
			left = MIN(left, n);
		}
	}
	return left;
}

/* ---- the loop ------------------------------------------------------------------------------- */

/*
 * Where a slice ends at the latest: when the host is to be looked at. That hangs on the host, and the ends of slices show: code is
 * looked up anew behind them, which may set accessed bits. So a run that shall be repeated has them at fixed places.
 */
static u64 next_look(const struct machine *m, u64 icount)
{
	if (m->recorder || m->reverse)
		return (icount / POLL_NET + 1) * POLL_NET;
	return m->next_poll > icount ? m->next_poll : icount + 1;
}

/* Another processor's wait in UMWAIT or TPAUSE ends after so many instructions: from then on it has something to do. */
static u64 next_waker(const struct machine *m)
{
	u64 left = UINT64_MAX;
	for (unsigned i = 0; i < m->cpu_count; i++) {
		u64 ns = cpu_wait_ns(m->cpus[i]);
		if (ns && ns != ~0ull)
			left = MIN(left, (ns + NS_PER_INSN - 1) / NS_PER_INSN);
	}
	return left;
}

static u64 slice(struct machine *m)
{
	u64 now = machine_now(m), icount = machine_icount(m);
	u64 deadline = clock_next_deadline(&m->clock);
	u64 n = next_look(m, icount) - icount;
	if (deadline != CLOCK_NEVER)
		n = MIN(n, deadline > now ? (deadline - now + NS_PER_INSN - 1) / NS_PER_INSN : 1);
	if (m->cfg.max_insns && !reverse_past(m))
		n = MIN(n, m->cfg.max_insns > icount ? m->cfg.max_insns - icount : 1);
	if (m->cfg.save_at && !m->saved)
		n = MIN(n, m->cfg.save_at > icount ? m->cfg.save_at - icount : 1);
	u64 check = MIN(record_next(m), reverse_next(m)), input = input_next(&m->input);
	n = MIN(n, check > icount ? check - icount : 1);
	if (input_waiting(&m->input))
		n = MIN(n, INPUT_SOON);
	if (input != UINT64_MAX)
		n = MIN(n, input > icount ? input - icount : 1);
	if (m->cfg.screenshot[0].path)
		n = MIN(n, shots(m, false));
	if (m->cpu_count > 1)
		n = MIN(MIN(n, m->switch_at > icount ? m->switch_at - icount : 1), next_waker(m));
	return n;
}

/*
 * Which processor's turn it is: the running one's until its turn of QUANTUM instructions is over, it halts, or PAUSE says
 * that it spins; then the next one's that has something to do. That depends on instruction counts and the guest's state
 * alone, so runs repeat. With nobody to run, it stays as it is.
 */
static void choose_cpu(struct machine *m)
{
	struct cpu *cpu = m->cpu;
	u64 icount = machine_icount(m);
	unsigned waiting = 0;

	if (m->cpu_count == 1)
		return;
	for (unsigned i = 0; i < m->cpu_count; i++)
		waiting += m->cpus[i] != cpu && runnable(m->cpus[i]);
	if (!waiting)
		cpu->paused = false; /* there is nobody to make room for after all: the turn goes on */
	if (cpu->paused || icount >= m->switch_at || !runnable(cpu)) {
		cpu->paused = false;
		m->switch_at = icount + QUANTUM;
		for (unsigned i = 1; waiting && i < m->cpu_count; i++) {
			struct cpu *next = m->cpus[(cpu->index + i) % m->cpu_count];
			if (!runnable(next))
				continue;
			waiting -= !runnable(cpu);
			machine_switch_cpu(m, next);
			break;
		}
	}
	m->cpu->others_wait = waiting;
}

static void triple_fault(struct machine *m)
{
	machine_explain_triple_fault(m);
	m->triple_faults++;
	if (m->cfg.no_reboot && !machine_paused(m)) /* else somebody wants to look at it first */
		m->end = END_TRIPLE_FAULT;
	else
		m->reset_wanted = true;
	FILE *out = m->log.file ? m->log.file : stderr;
	if ((m->triple_faults <= 3 || m->cfg.no_reboot) && !reverse_past(m)) {
		if (m->cfg.shut_down)
			m->cfg.shut_down(m->cfg.shut_down_ctx, m, m->cpu->index, out);
		else
			fprintf(out, "orrery: warning: %s\n", m->explanation);
		if (!m->cfg.no_reboot)
			fprintf(out, "orrery: warning: the machine resets (-no-reboot ends instead).\n");
	}
}

static void requests(struct machine *m)
{
	if (m->end)
		return;
	if (m->off_wanted) {
		m->off_wanted = false;
		if (!m->cfg.no_shutdown)
			m->end = END_POWER_OFF;
		stand_still(m, never); /* -no-shutdown: until told to quit */
	} else if (m->reset_wanted) {
		if (m->cfg.no_reboot)
			m->end = m->triple_faults ? END_TRIPLE_FAULT : END_RESET;
		else
			machine_reset(m);
		if (!m->end && m->observer.reset)
			m->observer.reset(m->observer.ctx);
	}
}

/* Paused: instructions and virtual time stand. */
static void stopped(struct machine *m)
{
	m->stood_resumes = atomic_load(&m->threads.resumes);
	if (m->observer.stopped)
		m->observer.stopped(m->observer.ctx);
	if (m->return_when_stopped && machine_paused(m)) {
		m->end = END_STOPPED;
		return;
	}
	stand_still(m, resumed);
	if (!m->end && m->observer.resumed)
		m->observer.resumed(m->observer.ctx);
}

/* -savevm: the message is for whoever started the program; the guest goes on. */
static void save(struct machine *m)
{
	struct errtext e;
	if (!m->cfg.save_path || m->saved)
		return;
	m->saved = true;
	if (!machine_save(m, m->cfg.save_path, NULL, NULL, &e))
		return;
	m->output_failed = true;
	fprintf(stderr, "orrery: -savevm: %s\n", e.s);
}

/* Runs @n instructions; a sampler looks in between, and leaves no trace in the machine. */
static enum cpu_exit run_slice(struct machine *m, u64 n)
{
	const u64 end = machine_icount(m) + n;
	enum cpu_exit why;

	do {
		u64 now = machine_icount(m), piece = end - now;
		if (m->sampler.fn)
			piece = MIN(piece, m->sampler.next > now ? m->sampler.next - now : 1);
		why = cpu_run(m->cpu, piece);
		if (m->sampler.fn && machine_icount(m) >= m->sampler.next) {
			m->sampler.next = machine_icount(m) + m->sampler.period;
			m->sampler.fn(m->sampler.ctx, m->cpu);
		}
	} while (why == CPU_EXIT_BUDGET && !m->cpu->paused && machine_icount(m) < end);
	return why;
}

u64 machine_instructions(const struct machine *m)
{
	return machine_icount(m);
}

u64 machine_virtual_ns(const struct machine *m)
{
	return machine_now(m);
}

void machine_set_sampler(struct machine *m, u64 period, void (*fn)(void *ctx, struct cpu *cpu), void *ctx)
{
	m->sampler.period = period;
	m->sampler.next = machine_icount(m) + period;
	m->sampler.fn = fn;
	m->sampler.ctx = ctx;
}

/* Whoever sits at the machine, or looks at it, has their turn. */
static void attend(struct machine *m, u64 icount)
{
	if (icount >= m->next_poll || ++m->steps % POLL_STEPS == 0) {
		poll_host(m);
		keep_pace(m);
	}
	if (atomic_load_explicit(&m->threads.attention, memory_order_relaxed)) {
		machine_serve(m);
		while (machine_paused(m) && !m->end)
			stopped(m);
	}
}

void machine_step(struct machine *m)
{
	if (!reverse_reruns(m)) {
		attend(m, machine_icount(m));
		if (m->end && machine_paused(m))
			return;
	}
	reverse_step(m);
	if (reverse_reruns(m) && !reverse_past(m))
		return; /* the present is reached: it goes on when it is told to */
	u64 icount = machine_icount(m);
	if (!reverse_past(m))
		record_check(m);
	if (m->cfg.save_at && icount >= m->cfg.save_at)
		save(m);
	if (m->net_kick)
		machine_net_deliver(m);
	take_input(m);
	machine_run_timers(m);
	requests(m);
	if (!m->end && record_over(m))
		m->end = END_QUIT;
	if (!m->end && m->cfg.max_insns && !reverse_past(m) && icount >= m->cfg.max_insns)
		m->end = END_MAX_INSNS;
	if (m->end)
		return;
	if (m->suspended) {
		asleep(m);
		return;
	}
	choose_cpu(m);
	cpu_event_clear(m->cpu, CPU_EV_STOP); /* what it stood for has just been looked at */
	u64 n = slice(m);
	m->slice_end = machine_icount(m) + n;
	enum cpu_exit why = run_slice(m, n);
	if (machine_icount(m) != icount)
		m->halt_virtual_ns = 0;
	if (why == CPU_EXIT_SHUTDOWN)
		triple_fault(m);
	else if (why == CPU_EXIT_HALT && !woken(m))
		idle(m);
}

enum end_reason machine_run(struct machine *m)
{
	m->started_real_ns = host_monotonic_ns();
	m->end = END_NONE;
	m->next_poll = 0;
	machine_threads_begin(m);
	while (!m->end)
		machine_step(m);
	machine_threads_end(m);
	poll_chardevs(m);
	audio_advance(m->audio, machine_now(m));
	record_stopped(m);
	shots(m, true);
	if (!m->cfg.save_at)
		save(m);
	m->spent_real_ns = real_spent(m);
	m->started_real_ns = 0;
	return m->end;
}

void machine_quit(struct machine *m)
{
	atomic_store_explicit(&m->quit, true, memory_order_relaxed);
	host_wake_signal(&m->threads.wake);
}

void machine_set_limits(struct machine *m, u64 max_insns, u64 timeout_ns)
{
	m->cfg.max_insns = max_insns;
	m->cfg.timeout_ns = timeout_ns;
	atomic_store(&m->quit, false);
}

void machine_result(const struct machine *m, struct machine_result *out)
{
	*out = (struct machine_result){
	    .reason = m->end,
	    .debug_code = m->debug_code,
	    .instructions = machine_icount(m),
	    .virtual_ns = machine_now(m),
	    .cs = m->cpu->seg[CS].sel,
	    .rip = m->cpu->rip,
	    .real_ns = m->spent_real_ns,
	    .asleep_ns = MIN(m->asleep_real_ns, m->spent_real_ns),
	    .output_failed = m->output_failed,
	};
	snprintf(out->explanation, sizeof(out->explanation), "%s", m->explanation);
}
