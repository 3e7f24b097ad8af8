/* The live views: a recorder beside a running guest sees what a lab's run records, changes nothing, and costs nothing when it is off. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/watch.h"
#include "debug/monitor.h"
#include "debug/picture.h"
#include "tests/labs/rig.h"

struct world {
	struct machine *m;
	struct debugger *d;
	struct monitor *mon;
};

static struct world open_world(const char *lab, u64 max_insns)
{
	const struct lab_builtin *b = lab_builtin_find(lab);
	struct machine_config cfg;
	struct errtext e;
	struct world w = {0};

	machine_config_init(&cfg);
	cfg.ram_bytes = 32 << 20;
	cfg.cpu = "max";
	cfg.embedded_kernel = b->image;
	cfg.embedded_kernel_bytes = (u64)(b->image_end - b->image);
	cfg.embedded_name = lab;
	cfg.device[0] = "isa-debug-exit,iobase=0xf4";
	cfg.no_vga = true;
	cfg.no_reboot = true;
	cfg.log_classes = 0;
	cfg.max_insns = max_insns;
	ck_assert_msg(!machine_create(&cfg, &w.m, &e), "%s", e.s);
	w.d = dbg_create(w.m);
	w.mon = monitor_create(w.d);
	return w;
}

static void close_world(struct world *w)
{
	monitor_destroy(w->mon);
	dbg_destroy(w->d);
	machine_destroy(w->m);
}

static json_t *view(struct world *w, const char *line)
{
	struct errtext e;
	json_t *v = monitor_view(w->mon, line, false, &e);
	ck_assert_msg(v != NULL, "%s: %s", line, e.s);
	return v;
}

START_TEST(the_live_diagram_shows_what_the_lab_recorded)
{
	static const char *const keys[] = {"from", "to", "root", "via", "gate", "count"};
	struct world w = open_world("rings", 0);
	json_t *run = run_of("rings"), *edges = json_object_get(run, "edges"), *e;
	size_t i;

	json_decref(view(&w, "rings on"));
	machine_run(w.m);
	json_t *live = view(&w, "info rings"), *seen = json_object_get(live, "edges");
	ck_assert_uint_eq(json_array_size(seen), json_array_size(edges));
	json_array_foreach(seen, i, e) for (unsigned k = 0; k < ARRAY_SIZE(keys); k++)
	    ck_assert_msg(json_equal(json_object_get(e, keys[k]), json_object_get(json_array_get(edges, i), keys[k])),
			  "way %zu: %s", i + 1, keys[k]);
	/* Instructions are counted in the ring they ran in: all of them, and ring 2 was one of them. */
	u64 all = 0, ring2 = 0;
	json_array_foreach(json_object_get(json_object_get(live, "spent"), "rings"), i, e) {
		u64 n = (u64)json_integer_value(json_object_get(e, "instructions"));
		all += n;
		ring2 += json_integer_value(json_object_get(e, "ring")) == 2 ? n : 0;
	}
	ck_assert_uint_eq(all, cpu_icount(machine_cpu(w.m, 0)));
	ck_assert_uint_gt(ring2, 0);
	json_decref(live);
	live = view(&w, "info counters");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(live, "counts"), "fault.NP")), 1);
	json_decref(live);
	live = view(&w, "info timeline 5");
	ck_assert_uint_eq(json_array_size(json_object_get(live, "timeline")), 5);
	json_decref(live);
	json_decref(run);
	close_world(&w);
}
END_TEST

/* SDM Vol. 3A, 5.8.4: through a call gate; 6.12: through an interrupt gate. */
START_TEST(a_way_names_its_gate)
{
	struct world w = open_world("rings", 0);
	json_t *live, *e;
	size_t i;
	unsigned found = 0;

	json_decref(view(&w, "rings on"));
	machine_run(w.m);
	live = view(&w, "info rings");
	json_array_foreach(json_object_get(live, "edges"), i, e) {
		if (!strcmp(view_string(e, "via"), "call far 0x5b"))
			found += strstr(view_string(e, "gate"), "GDT[0x58]: 32-bit call gate to 0008:") != NULL;
		if (!strcmp(view_string(e, "via"), "interrupt 128"))
			found += strstr(view_string(e, "gate"), "IDT[128]: 32-bit interrupt gate to 0008:") != NULL &&
				 strstr(view_string(e, "gate"), "DPL 3") != NULL;
	}
	ck_assert_uint_ge(found, 3);
	json_decref(live);
	close_world(&w);
}
END_TEST

START_TEST(the_recorder_changes_nothing_and_costs_nothing_when_off)
{
	u64 hash[2];
	for (unsigned on = 0; on < 2; on++) {
		struct world w = open_world("monitors", 0);
		json_decref(view(&w, on ? "rings on" : "info rings"));
		machine_run(w.m);
		hash[on] = machine_state_hash(w.m);
		json_decref(view(&w, "rings off"));
		const struct cpu_watchers *all = machine_cpu(w.m, 0)->watchers;
		ck_assert(!all || !all->wants);
		close_world(&w);
	}
	ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

START_TEST(vm_entries_and_exits_are_on_the_timeline)
{
	struct world w = open_world("vpid", 0);
	json_t *live, *e;
	size_t i;
	unsigned entries = 0, exits = 0, guest = 0;

	json_decref(view(&w, "rings on"));
	machine_run(w.m);
	live = view(&w, "info timeline 1000");
	json_array_foreach(json_object_get(live, "timeline"), i, e) {
		entries += !strcmp(view_string(e, "kind"), "vmentry");
		exits += !strcmp(view_string(e, "kind"), "vmexit");
		guest += !json_is_true(json_object_get(e, "root"));
	}
	ck_assert_uint_gt(entries, 10);
	ck_assert_uint_gt(exits, 10);
	ck_assert_uint_gt(guest, 10);
	json_decref(live);
	close_world(&w);
}
END_TEST

/* Whatever info shows, the same tree is text, JSON and a picture. */
START_TEST(every_view_is_a_picture)
{
	struct world w = open_world("shadow", 2000000);
	const struct command *c;
	unsigned pictures = 0;

	json_decref(view(&w, "rings on"));
	machine_run(w.m);
	for (unsigned i = 0; (c = command_at(i)); i++) {
		struct errtext e;
		if (strncmp(c->name, "info ", 5) != 0)
			continue;
		json_t *v = monitor_view(w.mon, c->name, false, &e);
		if (!v || !json_object_size(v)) { /* it needs an argument, or there is no such device */
			json_decref(v);
			continue;
		}
		char *svg = picture_svg(v), *words = view_to_text(v), *json = view_to_json(v, 0);
		ck_assert_msg(svg != NULL && words != NULL && json != NULL, "%s", c->name);
		ck_assert_msg(!strncmp(svg, "<svg ", 5) && !strcmp(svg + strlen(svg) - 7, "</svg>\n"), "%s", c->name);
		pictures++;
		free(svg);
		free(words);
		free(json);
		json_decref(v);
	}
	ck_assert_uint_ge(pictures, 20);
	close_world(&w);
}
END_TEST

/* Pictures of trees that nobody made on purpose: nothing to draw, or drawn, but no crash. */
START_TEST(odd_trees_are_survived)
{
	static const char *const trees[] = {
	    "{}", "[]", "{\"_picture\": \"rings\"}", "{\"_picture\": \"rings\", \"edges\": 3}", "{\"_picture\": \"rings\", \"edges\": [1, {}]}",
	    "{\"_picture\": \"rings\", \"recording\": true, \"now\": {\"cpus\": [{\"cpl\": -7}]}, \"cpl\": 99}",
	    "{\"_picture\": \"timeline\", \"timeline\": [{\"cpl\": 77, \"cpu\": 9}, 5, null]}", "{\"_picture\": \"walk\", \"steps\": [{}]}",
	    "{\"_picture\": \"walk\", \"steps\": []}", "{\"_picture\": \"map\", \"ranges\": [{\"rights\": \"\"}]}",
	    "{\"_picture\": \"bars\", \"counts\": {\"exit.x\": -1, \"\": 0}}", "{\"a\": [[[[]]]], \"b\": {\"c\": {\"d\": {}}}}",
	    "{\"a\": [{\"x\": 1}, 3, \"<&>\"], \"<\": \"&\"}", "{\"_picture\": 3, \"a\": null}",
	};
	for (unsigned i = 0; i < ARRAY_SIZE(trees); i++) {
		json_t *v = json_loads(trees[i], 0, NULL);
		ck_assert_ptr_nonnull(v);
		free(picture_svg(v));
		json_decref(v);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("views");
	TCase *t = tcase_create("views");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_live_diagram_shows_what_the_lab_recorded);
	tcase_add_test(t, a_way_names_its_gate);
	tcase_add_test(t, the_recorder_changes_nothing_and_costs_nothing_when_off);
	tcase_add_test(t, vm_entries_and_exits_are_on_the_timeline);
	tcase_add_test(t, every_view_is_a_picture);
	tcase_add_test(t, odd_trees_are_survived);
	suite_add_tcase(s, t);
	return run_suite(s);
}
