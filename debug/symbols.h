/*
 * Names of guest addresses: from the symbol table of an ELF file (a kernel with .symtab), a System.map, or /proc/kallsyms.
 * Several files may be loaded; the last one loaded answers first. Not modelled: DWARF, local scopes.
 */
#ifndef ORRERY_DEBUG_SYMBOLS_H
#define ORRERY_DEBUG_SYMBOLS_H

#include "base/types.h"
#include "cpu/decoder/insn.h"
#include "machine/errtext.h"

struct symbols;

struct symbol {
	u64 addr;
	u64 size; /* 0: not known: it reaches to the next one */
	const char *name;
	char type; /* as nm prints it: t, T, d, D, b, ... */
};

struct symbols *symbols_create(void); /* NULL: no memory */
void symbols_free(struct symbols *s);
/**
 * Reads a file, which its content tells apart, and adds @offset to every address (a kernel moved by KASLR). 0, or -errno
 * with a message; then nothing was added. @n, if not NULL, gets how many there are.
 */
MUST_CHECK int symbols_load(struct symbols *s, const char *path, u64 offset, unsigned *n, struct errtext *e);
/** The same from memory; @name is for messages. */
MUST_CHECK int symbols_load_data(struct symbols *s, const char *name, const void *data, u64 size, u64 offset, unsigned *n,
				 struct errtext *e);
void symbols_clear(struct symbols *s);
unsigned symbols_count(const struct symbols *s);

/** The symbol at @addr or the nearest below that reaches it; NULL: none. */
const struct symbol *symbols_at(const struct symbols *s, u64 addr);
/** By exact name; NULL: none. */
const struct symbol *symbols_find(const struct symbols *s, const char *name);
/** The @i-th by address whose name begins with @prefix, for completion and lists; NULL: no more. */
const struct symbol *symbols_prefix(const struct symbols *s, const char *prefix, unsigned i);
/** Where the function at @addr begins; 0: it has no name. @s may be NULL. */
u64 symbols_function(const struct symbols *s, u64 addr);
/** The function's name, or its address; @symbols (struct symbols) may be NULL. Returns @buf. For calltree.h and flame.h. */
const char *symbols_name(const void *symbols, u64 addr, char *buf, size_t n);
/** "name+0x12", "name", or an empty text. Returns @buf. */
const char *symbols_format(const struct symbols *s, u64 addr, char *buf, size_t n);

/** Like insn_format(), with the symbol of a branch target or rip-relative operand behind it. */
void symbols_disasm(const struct symbols *s, const struct insn *in, u64 rip, enum disasm_syntax syntax, char *buf, size_t n);

#endif
