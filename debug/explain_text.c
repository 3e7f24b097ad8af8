/* The lines of an explanation, from its tree. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include "debug/explain.h"

static const char *str(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static bool has(const json_t *o, const char *name)
{
	return json_object_get(o, name);
}

static long long num(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* "   label   text" where there is a text. */
static void line(FILE *f, const char *label, const char *text)
{
	if (*text)
		fprintf(f, "       %-12s %s\n", label, text);
}

static void print_table(FILE *f, const json_t *o, const char *name, const char *label)
{
	const json_t *t = json_object_get(o, name);

	if (t)
		fprintf(f, "       %-12s base %s, limit %s\n", label, str(t, "base"), str(t, "limit"));
}

static void print_desc(FILE *f, const json_t *o)
{
	const json_t *d = json_object_get(o, "descriptor");

	if (!d)
		return;
	fprintf(f, "       %-12s %s: %s\n", "descriptor", str(d, "value"), str(d, "text"));
	if (has(d, "selector"))
		fprintf(f, "       %-12s selector %s of the %s, at linear address %s\n", "", str(d, "selector"), str(d, "table"),
			str(d, "at"));
}

static void print_gate(FILE *f, const json_t *o)
{
	const json_t *g = json_object_get(o, "gate");

	if (g)
		fprintf(f, "       %-12s vector %lld, %s at linear address %s: %s\n", "gate", num(g, "vector"), str(g, "value"),
			str(g, "at"), str(g, "text"));
}

static void print_walk(FILE *f, const json_t *o)
{
	const json_t *walk = json_object_get(o, "walk"), *e;
	size_t i;

	json_array_foreach (walk, i, e)
		fprintf(f, "       %-12s %-9s at %-12s = %-20s %s\n", i ? "" : "walk", str(e, "level"), str(e, "at"),
			str(e, "entry"), str(e, "flags"));
	line(f, "guest-phys.", str(o, "guest_physical"));
}

static void print_value(FILE *f, const json_t *o)
{
	if (has(o, "field"))
		fprintf(f, "       %-12s %s (%s, %s) = %s\n", "field", str(o, "field"), str(o, "field_text"),
			str(o, "field_encoding"), str(o, "value"));
	else if (has(o, "selector_text"))
		fprintf(f, "       %-12s %s: %s\n", "selector", str(o, "selector"), str(o, "selector_text"));
	else if (has(o, "value") && !has(o, "descriptor") && !has(o, "gate") && !json_array_size(json_object_get(o, "walk")))
		fprintf(f, "       %-12s %s%s%s\n", "value", str(o, "value"), has(o, "value_text") ? ": " : "",
			str(o, "value_text"));
	line(f, "bits", str(o, "offending_bits"));
	print_table(f, o, "gdt", "GDT");
	print_table(f, o, "ldt", "LDT");
	print_table(f, o, "idt", "IDT");
	if (has(o, "tss"))
		line(f, "TSS", str(json_object_get(o, "tss"), "text"));
	if (has(o, "segment"))
		fprintf(f, "       %-12s %s\n", str(json_object_get(o, "segment"), "register"),
			str(json_object_get(o, "segment"), "text"));
}

static void print_fault(FILE *f, const json_t *o, size_t n)
{
	fprintf(f, "  %zu. ", n + 1);
	fprintf(f, "%s", str(o, "name"));
	if (has(o, "error"))
		fprintf(f, "(%s)", str(o, "error"));
	if (has(o, "error_number"))
		fprintf(f, " %lld", num(o, "error_number"));
	fprintf(f, " %s", str(o, "title"));
	if (has(o, "address"))
		fprintf(f, " at address %s", str(o, "address"));
	if (has(o, "during"))
		fprintf(f, ", during %s", str(o, "during"));
	if (has(o, "error_text"))
		fprintf(f, " [%s]", str(o, "error_text"));
	fputc('\n', f);
	fprintf(f, "       %-12s %s\n", "check", str(o, "check"));
	if (has(o, "sdm"))
		fprintf(f, "       %-12s SDM %s\n", "rule", str(o, "sdm"));
	print_value(f, o);
	print_desc(f, o);
	print_gate(f, o);
	print_walk(f, o);
	fprintf(f, "       %-12s %s%s%s%s, %s, CPL %lld%s%s, after %lld instructions\n", "at", str(o, "at"),
		has(o, "symbol") ? " <" : "", str(o, "symbol"), has(o, "symbol") ? ">" : "", str(o, "mode"), num(o, "cpl"),
		has(o, "vmx") ? ", " : "", str(o, "vmx"), num(o, "instructions"));
	fprintf(f, "       %-12s %s%s%s%s\n", "instruction", str(o, "instruction"), has(o, "bytes") ? "  [" : "", str(o, "bytes"),
		has(o, "bytes") ? "]" : "");
	line(f, "hint", str(o, "hint"));
	line(f, "so", str(o, "then"));
}

static void print_state(FILE *f, const json_t *s)
{
	if (!s)
		return;
	fprintf(f, "  stack %s, CR0 %s (%s), CR2 %s, CR3 %s,\n", str(s, "stack"), str(s, "cr0"), str(s, "cr0_text"), str(s, "cr2"),
		str(s, "cr3"));
	fprintf(f, "  CR4 %s (%s), EFER %s (%s), RFLAGS %s,\n", str(s, "cr4"), str(s, "cr4_text"), str(s, "efer"),
		str(s, "efer_text"), str(s, "rflags"));
	const json_t *gdt = json_object_get(s, "gdt"), *idt = json_object_get(s, "idt");
	fprintf(f, "  GDT %s limit %s, IDT %s limit %s,\n  TR %s\n", str(gdt, "base"), str(gdt, "limit"), str(idt, "base"),
		str(idt, "limit"), str(s, "tr"));
}

static void print_code(FILE *f, const json_t *o, const char *name, const char *title)
{
	const json_t *list = json_object_get(o, name), *e;
	size_t i;

	if (json_array_size(list))
		fprintf(f, "  %s:\n", title);
	json_array_foreach (list, i, e)
		fprintf(f, "    %s %-20s %s%s%s%s\n", has(e, "here") ? "=>" : "  ", str(e, "rip"), str(e, "text"),
			has(e, "symbol") ? "    <" : "", str(e, "symbol"), has(e, "symbol") ? ">" : "");
}

static void print_stack(FILE *f, const json_t *o)
{
	const json_t *list = json_object_get(o, "stack"), *e;
	size_t i;

	if (json_array_size(list))
		fprintf(f, "  stack:\n");
	const char *last = "";
	unsigned same = 0;
	json_array_foreach (list, i, e) { /* of equal words, the first two */
		same = strcmp(last, str(e, "value")) ? 0 : same + 1;
		last = str(e, "value");
		if (same < 2)
			fprintf(f, "       %-20s %s%s%s%s\n", str(e, "sp"), str(e, "value"),
				has(e, "return_address") ? "  return address" : "", has(e, "symbol") ? " " : "", str(e, "symbol"));
		else if (same == 2)
			fprintf(f, "       ...\n");
	}
}

static void print_list(FILE *f, const json_t *list)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		fprintf(f, "%14lld  cpu %lld  %-8s %-10s %s: %s\n", num(e, "instructions"), num(e, "cpu"), str(e, "name"),
			str(e, "error"), str(e, "at"), str(e, "check"));
}

char *explain_to_text(const json_t *o)
{
	const json_t *chain = json_object_get(o, "chain"), *e;
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	if (!strcmp(str(o, "kind"), "shutdown"))
		fprintf(f, "Triple fault: processor %lld shut down (SDM %s) after %lld instructions.\n", num(o, "cpu"),
			str(o, "sdm"), num(o, "instructions"));
	if (has(o, "note"))
		fprintf(f, "%s\n", str(o, "note"));
	json_array_foreach (chain, i, e)
		print_fault(f, e, i);
	print_state(f, json_object_get(o, "state"));
	print_code(f, o, "history", "the last instructions");
	if (!has(o, "history"))
		print_code(f, o, "before", "executed right before the first");
	print_code(f, o, "code", "code around it");
	print_stack(f, o);
	print_list(f, json_object_get(o, "exceptions"));
	fclose(f);
	return text;
}
