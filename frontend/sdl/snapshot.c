/*
 * The whole machine into a file and out of it, from the menu. Files are named by the time, like screenshots, and lie where
 * Orrery was started. A thread of its own waits for the machine, so that the window can say how far it is. Not modelled: a
 * measure of loading, which goes at the speed of the file.
 */
#include "frontend/sdl/window_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "machine/snapshot_file.h"

#define SUFFIX ".sav"

/* Called on the machine's thread. */
static bool progress(void *ctx, u64 done, u64 total)
{
	struct snapshot_job *j = ctx;
	struct machine_stats now;
	machine_stats(j->m, &now);
	atomic_store(&j->percent, total ? (unsigned)(done * 100 / total) : 0);
	return !now.quitting && !atomic_load(&j->give_up);
}

static void on_machine(void *ctx)
{
	struct snapshot_job *j = ctx;
	struct machine_stats now;
	machine_stats(j->m, &now);
	if (!now.running) {
		snprintf(j->error.s, sizeof(j->error.s), "the machine has ended");
		j->result = -1;
		return;
	}
	j->result = j->load ? machine_load(j->m, j->path, &j->error)
			    : machine_save(j->m, j->path, progress, j, &j->error);
}

static void work(void *ctx)
{
	struct snapshot_job *j = ctx;
	machine_call(j->m, on_machine, j);
	atomic_store(&j->done, true);
}

static void begin(struct window *w, bool load, const char *path)
{
	struct snapshot_job *j = &w->job;
	if (snapshot_busy(w)) {
		window_toast(w, "%s is not finished yet", j->path);
		return;
	}
	*j = (struct snapshot_job){.m = w->m, .load = load};
	snprintf(j->path, sizeof(j->path), "%s", path);
	window_toast(w, "%s %s ...", load ? "Loading" : "Saving", path);
	j->thread = host_thread_start(work, j);
	if (!j->thread)
		window_toast(w, "No thread for the snapshot");
}

void snapshot_save_new(struct window *w)
{
	char name[80];
	window_new_name(name, sizeof(name), SUFFIX);
	begin(w, false, name);
}

void snapshot_load_named(struct window *w, const char *name)
{
	begin(w, true, name);
}

bool snapshot_busy(const struct window *w)
{
	return w->job.thread;
}

void snapshot_give_up(struct window *w)
{
	atomic_store(&w->job.give_up, true);
}

static void finish(struct window *w)
{
	struct snapshot_job *j = &w->job;
	host_thread_join(j->thread);
	j->thread = NULL;
	if (!j->result && j->load)
		w->power_asked = false; /* this guest was not */
	if (j->result && atomic_load(&j->give_up))
		window_toast(w, "Not saved");
	else if (j->result)
		window_toast(w, "%s", j->error.s);
	else if (j->load)
		window_toast(w, "The machine is as it was in %s%s", j->path,
			     machine_paused(w->m) ? ", and paused" : "");
	else
		window_toast(w, "Saved: %s (menu, Load snapshot; or -loadvm)", j->path);
	if (w->menu.page)
		menu_open(w, PAGE_MAIN); /* what it offers has changed */
}

void snapshot_tick(struct window *w)
{
	struct snapshot_job *j = &w->job;
	unsigned percent = atomic_load(&j->percent);
	if (!j->thread)
		return;
	if (atomic_load(&j->done)) {
		finish(w);
	} else if (percent != j->shown) {
		j->shown = percent;
		window_toast(w, "Saving %s: %u %%", j->path, percent);
	} else if (w->toast_until) {
		w->toast_until = host_monotonic_ns() + TOAST_NS; /* stays until it is done */
	}
}

void snapshot_end(struct window *w)
{
	if (w->job.thread)
		host_thread_join(w->job.thread);
	w->job.thread = NULL;
}

/* ---- which there are ------------------------------------------------------------------------ */

static bool is_snapshot(const char *name, struct stat *st)
{
	size_t n = strlen(name), tail = strlen(SUFFIX);
	return *name != '.' && n > tail && n < sizeof(((struct snapshot_file *)0)->name) &&
	       !strcmp(name + n - tail, SUFFIX) && !stat(name, st) && S_ISREG(st->st_mode);
}

static int by_age(const void *a, const void *b)
{
	const struct snapshot_file *x = a, *y = b;
	if (x->changed_ns != y->changed_ns)
		return x->changed_ns > y->changed_ns ? -1 : 1;
	return -strcmp(x->name, y->name);
}

unsigned snapshot_list(struct snapshot_file *out, unsigned max)
{
	DIR *d = opendir(".");
	unsigned n = 0;
	struct stat st;
	if (!d)
		return 0;
	for (const struct dirent *e; n < max && (e = readdir(d));)
		if (is_snapshot(e->d_name, &st)) {
			out[n].changed_ns =
			    (s64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
			out[n].bytes = (u64)st.st_size;
			snprintf(out[n++].name, sizeof(out->name), "%s", e->d_name);
		}
	closedir(d);
	qsort(out, n, sizeof(*out), by_age);
	return n;
}
