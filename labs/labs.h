/*
 * The teaching sandbox: labs, how they are run, graded and shown. No operating system here; the command is frontend/cli/lab.c.
 *
 * A lab is a folder: lab.json (title, processor, budget, probes, questions, expected observations, tables), text.md (a page to read
 * before), guest.c and other sources (built with labs/common). The built-in ones are linked into the program.
 *
 * A run becomes one JSON tree, from which the terminal, the verdict, the report and its pictures are made:
 *
 *   lab, title
 *   end       {reason, code, instructions, explanation}
 *   output    what the guest printed; output_dropped: bytes beyond what is kept
 *   phases    [{name, obs: {NAME: n}, counts: {KEY: n}, fault, from, to}]   counts: only what is not 0; fault: the first, explained
 *   timeline  [{at, phase, kind, cpl, root, mode, from, to, via}]; timeline_dropped
 *   edges     [{from, to, root, via, gate, count}]                    every change of ring, by how it was made
 *   walks     [{phase, linear, cpl, root, verdict, physical, page_size, steps: [{level, at, entry, flags}]}]
 *   shows     [{phase, what, view}]
 */
#ifndef ORRERY_LABS_H
#define ORRERY_LABS_H

#include <jansson.h>
#include "machine/machine.h"

struct lab_file {
	const char *name;
	const u8 *data, *end;
};

/* A lab that is linked into the program. files: lab.json, text.md, the sources; ends with name NULL. */
struct lab_builtin {
	const char *name;
	const u8 *image, *image_end;
	const struct lab_file *files;
};
extern const struct lab_builtin lab_builtins[]; /* ends with name NULL */
extern const struct lab_file lab_common[];      /* start.S, lab.c, ...: what every lab is built with */

const struct lab_builtin *lab_builtin_find(const char *name); /* NULL: there is none */
const struct lab_file *lab_file_find(const struct lab_file *files, const char *name);

struct lab {
	char name[64];
	json_t *desc;      /* checked lab.json */
	char *text;        /* text.md */
	const u8 *image;   /* a Multiboot image; lives as long as the lab */
	u64 image_bytes;
};

/**
 * Checks a lab's description and takes it into @l (name given, image left alone). 0, or -EINVAL with a message that says which
 * part of lab.json is missing or wrong: "lab.json:12: ..." or "lab.json: questions[2].ask: missing".
 */
MUST_CHECK int lab_parse(struct lab *l, const char *name, const void *json, size_t n, const char *text, size_t text_n,
			 struct errtext *e);
void lab_free(struct lab *l);
/** "mode" and the other simple values, with their defaults. */
unsigned lab_mode(const struct lab *l);
u64 lab_budget(const struct lab *l);

/** Runs the lab's guest to its end or its budget; NULL with a message: the machine cannot be built. The tree is the caller's. */
json_t *lab_run(const struct lab *l, struct errtext *e);
/** What was observed: an observation or a counter (0 if it never counted); "insns", "fault.GP", ...; "walk.entries": of the last walk recorded. False: no such phase or observation. */
bool lab_value(const json_t *run, const char *phase, const char *key, u64 *v);
/** A value of lab.json: an integer, or a string of digits. */
bool lab_number(const json_t *j, u64 *v);

/** What somebody who typed @text at question @q predicts: the value of the choice of that number (from 1), or a number. False: neither. */
bool lab_prediction(const json_t *q, const char *text, u64 *v);

/**
 * {lab, passed, score, of, end, checks: [{phase, key, expected, observed, ok, why, faults}], explanations: [{phase, text}], phases}; of
 * run only what is needed. Explanations: of the first exception in each phase that was not as expected.
 */
json_t *lab_grade(const struct lab *l, const json_t *run);
/** The tables of the description filled with what was observed: [{title, head: [..], rows: [[..]]}]. */
json_t *lab_tables(const struct lab *l, const json_t *run);

/** The counters its probes name, for each phase, where they counted: {title, head: [..], rows: [[..]]}; no rows: nothing to tell. */
json_t *lab_watched(const struct lab *l, const json_t *run);

/* ---- pictures and pages; all take a stream ---- */

/* What there is to see of a run; "map" and those behind it where the guest asked for them (show()). */
#define LAB_VIEWS "rings", "timeline", "exits", "walk", "map", "gdt", "idt", "tss", "ldt", "vmcs", "registers", "cpus"
/** One of LAB_VIEWS, the @n-th, as a view (debug/picture.h draws it). A new reference; NULL: there is none. */
json_t *lab_view(const json_t *run, const char *what, unsigned n);
/** The same as SVG, malloc'ed; NULL: nothing to draw. */
char *lab_svg(const json_t *run, const char *what, unsigned n);
/** A page that stands for itself: text, questions with their answers, tables, pictures, checks. */
void lab_html(FILE *f, const struct lab *l, const json_t *run, const json_t *grade);
/** A table, a walk, the rings, the timeline as text. */
void lab_print_tables(FILE *f, const json_t *tables);
void lab_print_walks(FILE *f, const json_t *run);
void lab_print_rings(FILE *f, const json_t *run);
void lab_print_timeline(FILE *f, const json_t *run, unsigned max);

#endif
