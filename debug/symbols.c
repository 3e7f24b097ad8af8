/* Symbol tables: ELF through libelf, nm's lists by hand. Every file is taken for hostile. */
#define _GNU_SOURCE
#include "debug/symbols.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include "base/host.h"

#define FILE_MAX    (2ull << 30)
#define SYMBOLS_MAX 4000000u
#define NAME_MAX_   256u
#define REACH       0x100000u /* of a symbol without a size that none follows */

struct symbols {
	struct symbol *s; /* by address; of equal ones the latest loaded first */
	unsigned n, cap;
	unsigned *by_name; /* indices by name; NULL: to be made */
	char **blocks;     /* where the names stand */
	unsigned block_count;
};

/* What one file adds, before it counts. */
struct loading {
	struct symbol *s;
	unsigned n, cap;
	u64 offset;
	bool full;
};

struct symbols *symbols_create(void)
{
	return calloc(1, sizeof(struct symbols));
}

void symbols_clear(struct symbols *s)
{
	for (unsigned i = 0; i < s->block_count; i++)
		free(s->blocks[i]);
	free(s->blocks);
	free(s->s);
	free(s->by_name);
	*s = (struct symbols){0};
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	symbols_clear(s);
	free(s);
}

unsigned symbols_count(const struct symbols *s)
{
	return s->n;
}

static void collect(struct loading *l, u64 addr, u64 size, char type, const char *name)
{
	if (!*name || l->full)
		return;
	if (l->n == l->cap) {
		unsigned cap = MAX(l->cap * 2, 1024u);
		struct symbol *grown = cap <= SYMBOLS_MAX ? realloc(l->s, cap * sizeof(*grown)) : NULL;
		if (!grown) {
			l->full = true;
			return;
		}
		l->s = grown;
		l->cap = cap;
	}
	l->s[l->n++] = (struct symbol){addr + l->offset, size, name, type};
}

/* ---- ELF ---------------------------------------------------------------------------------------------------------- */

static char elf_type(const GElf_Sym *sym)
{
	char c = GELF_ST_TYPE(sym->st_info) == STT_FUNC ? 't' : sym->st_shndx == SHN_ABS ? 'a' : 'd';
	return GELF_ST_BIND(sym->st_info) == STB_LOCAL ? c : (char)(c - 32);
}

static void elf_section(struct loading *l, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count = data && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;
	for (size_t i = 0; i < count && i < SYMBOLS_MAX; i++) {
		GElf_Sym sym;
		if (!gelf_getsym(data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF)
			continue;
		unsigned type = GELF_ST_TYPE(sym.st_info);
		const char *name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name && type != STT_SECTION && type != STT_FILE)
			collect(l, sym.st_value, sym.st_size, elf_type(&sym), name);
	}
}

static int load_elf(struct loading *l, const char *name, void *data, u64 size, Elf **out, struct errtext *e)
{
	elf_version(EV_CURRENT);
	Elf *elf = elf_memory(data, size);
	if (!elf)
		return err_set(e, -ENOEXEC, "%s: %s", name, elf_errmsg(-1));
	*out = elf;
	for (Elf_Scn *scn = elf_nextscn(elf, NULL); scn; scn = elf_nextscn(elf, scn)) {
		GElf_Shdr sh;
		if (gelf_getshdr(scn, &sh) && (sh.sh_type == SHT_SYMTAB || sh.sh_type == SHT_DYNSYM))
			elf_section(l, elf, scn, &sh);
	}
	return l->n ? 0 : err_set(e, -ENOEXEC, "%s: an ELF file without symbols (stripped)", name);
}

/* ---- System.map, kallsyms: "ffffffff81000000 T _text" ------------------------------------------------------------- */

static bool map_line(struct loading *l, char *line)
{
	char *end, type;
	u64 addr = strtoull(line, &end, 16);
	if (end == line || *end != ' ' || !end[1] || end[2] != ' ')
		return false;
	type = end[1];
	char *name = end + 3;
	name[strcspn(name, "\t \r")] = 0; /* kallsyms: "\t[module]" */
	if (strlen(name) >= NAME_MAX_)
		return false;
	if (type != 'a' && type != 'A' && type != 'U' && (type | 32) != 'w')
		collect(l, addr, 0, type, name);
	else if ((type | 32) == 'w' && addr)
		collect(l, addr, 0, type, name);
	return true;
}

static int load_map(struct loading *l, const char *name, char *text, struct errtext *e)
{
	unsigned number = 0;
	u64 any = 0;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		number++;
		if (*line && !map_line(l, line))
			return err_set(e, -ENOEXEC, "%s: line %u is not \"ADDRESS TYPE NAME\"; expected ELF, System.map or kallsyms",
				       name, number);
	}
	for (unsigned i = 0; i < l->n; i++)
		any |= l->s[i].addr - l->offset;
	if (l->n && any)
		return 0;
	return err_set(e, -ENOEXEC,
		       l->n ? "%s: every address is 0 (kallsyms read without privilege; kernel.kptr_restrict)"
			    : "%s: no symbols in it (Debian's linux-image has only a note in System.map: "
			      "linux-image-...-dbg has the real one, or use the guest's /proc/kallsyms)",
		       name);
}

/* ---- taking in ---------------------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	/* Functions and globals name an address better than the rest. */
	bool fx = (x->type | 32) == 't', fy = (y->type | 32) == 't';
	return fx != fy ? (fx ? -1 : 1) : 0;
}

/* Names move to one block of ours: the file goes away. */
static char *keep_names(struct loading *l)
{
	size_t total = 0, at = 0;
	for (unsigned i = 0; i < l->n; i++)
		total += strnlen(l->s[i].name, NAME_MAX_ - 1) + 1;
	char *block = malloc(MAX(total, 1u));
	for (unsigned i = 0; block && i < l->n; i++) {
		size_t n = strnlen(l->s[i].name, NAME_MAX_ - 1);
		memcpy(block + at, l->s[i].name, n);
		block[at + n] = 0;
		l->s[i].name = block + at;
		at += n + 1;
	}
	return block;
}

static int compare_names(const void *a, const void *b, void *ctx)
{
	const struct symbol *s = ctx;
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	int c = strcmp(s[x].name, s[y].name);
	return c ? c : x < y ? -1 : x > y;
}

static int merge(struct symbols *s, struct loading *l, struct errtext *e)
{
	unsigned n = s->n + l->n;
	char **blocks = realloc(s->blocks, (s->block_count + 1) * sizeof(*blocks));
	if (blocks)
		s->blocks = blocks;
	char *block = blocks ? keep_names(l) : NULL;
	struct symbol *all = block ? malloc(n * sizeof(*all)) : NULL;
	unsigned *names = all ? malloc(n * sizeof(*names)) : NULL;
	if (!names) {
		free(all);
		free(block);
		return err_set(e, -ENOMEM, "no memory for %u symbols", n);
	}
	memcpy(all, l->s, l->n * sizeof(*all));
	if (s->n)
		memcpy(all + l->n, s->s, s->n * sizeof(*all));
	qsort(all, n, sizeof(*all), by_address);
	for (unsigned i = 0; i < n; i++)
		names[i] = i;
	qsort_r(names, n, sizeof(*names), compare_names, all);
	s->blocks[s->block_count++] = block;
	free(s->s);
	free(s->by_name);
	s->s = all;
	s->by_name = names;
	s->n = n;
	return 0;
}

int symbols_load_data(struct symbols *s, const char *name, const void *data, u64 size, u64 offset, unsigned *n,
		      struct errtext *e)
{
	struct loading l = {.offset = offset};
	Elf *elf = NULL;
	char *copy = malloc(size + 1);
	int r;
	if (!copy)
		return err_set(e, -ENOMEM, "%s: no memory", name);
	memcpy(copy, data, size);
	copy[size] = 0;
	if (size >= 4 && !memcmp(copy, "\177ELF", 4))
		r = load_elf(&l, name, copy, size, &elf, e);
	else if (memchr(copy, 0, size))
		r = err_set(e, -ENOEXEC, "%s: neither ELF nor System.map nor kallsyms", name);
	else
		r = load_map(&l, name, copy, e);
	if (!r && l.full)
		r = err_set(e, -E2BIG, "%s: more than %u symbols", name, SYMBOLS_MAX);
	if (!r)
		r = merge(s, &l, e);
	if (!r && n)
		*n = l.n;
	if (elf)
		elf_end(elf);
	free(copy);
	free(l.s);
	return r;
}

int symbols_load(struct symbols *s, const char *path, u64 offset, unsigned *n, struct errtext *e)
{
	u8 *data;
	u64 size;
	int r = host_file_read(path, FILE_MAX, &data, &size);
	if (r)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	r = symbols_load_data(s, path, data, size, offset, n, e);
	free(data);
	return r;
}

/* ---- asking ------------------------------------------------------------------------------------------------------- */

const struct symbol *symbols_at(const struct symbols *s, u64 addr)
{
	unsigned lo = 0, hi = s->n; /* the last one at or below @addr stands before hi */
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if (s->s[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo) {
		const struct symbol *best = &s->s[lo - 1];
		/* Of equal addresses the first. */
		while (best > s->s && best[-1].addr == best->addr)
			best--;
		u64 end = best->size ? best->addr + best->size : lo < s->n ? s->s[lo].addr : best->addr + REACH;
		if (addr < end || addr == best->addr)
			return addr - best->addr < REACH || best->size ? best : NULL;
		/* A sized symbol that ended: one below may still reach. */
		lo = (unsigned)(best - s->s);
		if (best->addr + REACH < addr)
			return NULL;
	}
	return NULL;
}

/* The first index whose name is not below @name. */
static unsigned lower(const struct symbols *s, const char *name)
{
	unsigned lo = 0, hi = s->n;
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if (strcmp(s->s[s->by_name[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct symbol *symbols_prefix(const struct symbols *s, const char *prefix, unsigned i)
{
	u64 at = (u64)lower(s, prefix) + i;
	if (at >= s->n)
		return NULL;
	const struct symbol *sym = &s->s[s->by_name[at]];
	return strncmp(sym->name, prefix, strlen(prefix)) ? NULL : sym;
}

const struct symbol *symbols_find(const struct symbols *s, const char *name)
{
	const struct symbol *sym = symbols_prefix(s, name, 0);
	return sym && !strcmp(sym->name, name) ? sym : NULL;
}

u64 symbols_function(const struct symbols *s, u64 addr)
{
	const struct symbol *sym = s ? symbols_at(s, addr) : NULL;
	return sym ? sym->addr : 0;
}

const char *symbols_name(const void *symbols, u64 addr, char *buf, size_t n)
{
	const struct symbol *sym = symbols ? symbols_at(symbols, addr) : NULL;

	if (sym)
		snprintf(buf, n, "%s", sym->name);
	else
		snprintf(buf, n, "0x%llx", (unsigned long long)addr);
	return buf;
}

const char *symbols_format(const struct symbols *s, u64 addr, char *buf, size_t n)
{
	const struct symbol *sym = symbols_at(s, addr);
	buf[0] = 0;
	if (sym && addr == sym->addr)
		snprintf(buf, n, "%s", sym->name);
	else if (sym)
		snprintf(buf, n, "%s+0x%llx", sym->name, (unsigned long long)(addr - sym->addr));
	return buf;
}

void symbols_disasm(const struct symbols *s, const struct insn *in, u64 rip, enum disasm_syntax syntax, char *buf, size_t n)
{
	char name[NAME_MAX_ + 32] = "";
	insn_format(in, rip, syntax, buf, n);
	for (unsigned i = 0; i < in->nops; i++) {
		if (in->op[i].kind == OPK_REL)
			symbols_format(s, rip + in->len + in->imm, name, sizeof(name));
		else if (in->op[i].kind == OPK_MEM && in->base == INSN_CODE_REG)
			symbols_format(s, rip + in->len + (u64)in->disp, name, sizeof(name));
		else if (in->op[i].kind == OPK_IMM && in->imm >> 32 == 0xffffffff)
			symbols_format(s, in->imm, name, sizeof(name)); /* a kernel address as an immediate */
	}
	size_t at = strlen(buf);
	if (name[0] && at < n)
		snprintf(buf + at, n - at, " <%s>", name);
}
