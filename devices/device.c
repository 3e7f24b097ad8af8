#include "devices/device.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/chipset/pci.h"
#include "devices/irq/gsi.h"

#define DEVICE(symbol) extern const struct device_type symbol;
#include "devices/devices.def"
#undef DEVICE

#define DEVICE(symbol) &symbol,
static const struct device_type *const types[] = {
#include "devices/devices.def"
    NULL,
};
#undef DEVICE

const struct device_type *const *device_types(void)
{
	return types;
}

const struct device_type *device_type_find(const char *name)
{
	for (const struct device_type *const *t = types; *t; t++)
		if (!strcmp((*t)->name, name))
			return *t;
	return NULL;
}

/* ---- help -------------------------------------------------------------------------------- */

int device_help(FILE *out, const char *name)
{
	if (!name) {
		for (const struct device_type *const *t = types; *t; t++)
			if (!(*t)->internal)
				fprintf(out, "%-18s %-10s %s\n", (*t)->name, (*t)->category,
					(*t)->help);
		return 0;
	}
	const struct device_type *t = device_type_find(name);
	if (!t)
		return -EINVAL;
	fprintf(out, "%s: %s\n", t->name, t->help);
	config_help(out, t->props);
	if (t->pci)
		fprintf(out, "  addr=<slot.function>  place on the PCI bus, hexadecimal\n");
	return 0;
}

static void unknown_type(const char *name, char *err, size_t n)
{
	const char *names[ARRAY_SIZE(types)];
	unsigned i;
	for (i = 0; types[i]; i++)
		names[i] = types[i]->name;
	names[i] = NULL;
	const char *near = nearest(name, names);
	if (near)
		snprintf(err, n, "no device '%s'; did you mean '%s'?", name, near);
	else
		snprintf(err, n, "no device '%s'; -device help lists them", name);
}

/* ---- creation ---------------------------------------------------------------------------- */

int device_claim_ports(struct device *d, u16 base, u32 count, const struct port_ops *ops, char *err,
		       size_t n)
{
	unsigned i = 0;
	while (i < DEVICE_PORT_SLOTS && d->port_slot[i])
		i++;
	int slot = i == DEVICE_PORT_SLOTS ? -ENOSPC
					  : bus_add_ports(d->env->bus, base, count, ops, d, d->id);
	if (slot < 0) {
		snprintf(err, n, "%s: ports %x..%x are taken", d->id, base, base + count - 1);
		return slot;
	}
	d->port_slot[i] = slot;
	return 0;
}

int device_claim_mmio(struct device *d, u64 base, u64 size, int prio, const struct mmio_ops *ops,
		      char *err, size_t n)
{
	unsigned i = 0;
	int e = -ENOSPC;
	while (i < DEVICE_MMIO_SLOTS && d->mmio[i])
		i++;
	struct mem_region r = {.base = base,
			       .size = size,
			       .ops = ops,
			       .ctx = d,
			       .name = d->id,
			       .kind = MEM_MMIO,
			       .prio = prio,
			       .reads = true,
			       .writes = true};
	if (i < DEVICE_MMIO_SLOTS)
		d->mmio[i] = bus_add_mem(d->env->bus, &r, &e);
	if (e)
		snprintf(err, n, "%s: memory %llx is taken", d->id, (unsigned long long)base);
	return e;
}

void device_connect_irq(struct device *d, struct irq_line *line, unsigned irq)
{
	if (d->env->gsi)
		irq_connect(line, gsi_isa_sink, d->env->gsi, irq);
}

static void make_timers_and_lines(struct device *d)
{
	u8 *state = (u8 *)d;
	for (const struct timer_decl *t = d->type->timers; t && t->name; t++)
		timer_init((void *)(state + t->offset), d->env->clock, t->fire, d);
	for (const struct irq_output *o = d->type->irqs; o && o->name; o++)
		if (o->isa_irq != IRQ_UNWIRED)
			device_connect_irq(d, (void *)(state + o->offset), (unsigned)o->isa_irq);
}

static int claim_fixed(struct device *d, char *err, size_t n)
{
	int e;
	for (const struct port_claim *p = d->type->ports; p && p->count; p++)
		if ((e = device_claim_ports(d, p->base, p->count, p->ops, err, n)))
			return e;
	for (const struct mmio_claim *m = d->type->mmio; m && m->size; m++)
		if ((e = device_claim_mmio(d, m->base, m->size, m->prio, m->ops, err, n)))
			return e;
	return 0;
}

static int plug_pci(struct device *d, int devfn, char *err, size_t n)
{
	if (!d->type->pci)
		return 0;
	struct pci_function *f = (void *)((u8 *)d + d->type->pci_offset);
	int e = d->env->pci ? pci_add(d->env->pci, d, f, d->type->pci, devfn) : -ENODEV;
	if (e)
		snprintf(err, n, "%s: %s", d->id,
			 e == -ENODEV ? "there is no PCI bus" : "no free place on the PCI bus");
	else
		d->pci = f;
	return e;
}

/* addr=SLOT[.FUNCTION], hexadecimal: taken out of @props, which is copied to @rest without it. */
static int split_addr(const struct device_type *t, const char *props, char *rest, size_t size,
		      int *devfn)
{
	const char *a = strstr(props, "addr=");
	if (!t->pci || !a || (a != props && a[-1] != ',')) {
		snprintf(rest, size, "%s", props);
		return strlen(props) < size ? 0 : -EINVAL;
	}
	char *end;
	unsigned long slot = strtoul(a + 5, &end, 16), fn = 0;
	if (*end == '.')
		fn = strtoul(end + 1, &end, 16);
	if ((*end && *end != ',') || slot > 31 || fn > 7)
		return -EINVAL;
	*devfn = (int)(slot << 3 | fn);
	int n = snprintf(rest, size, "%.*s%s", (int)(a - props), props, *end ? end + 1 : end);
	return n < (int)size ? 0 : -EINVAL;
}

static int configure(struct device *d, const char *props, int *devfn, char *err, size_t n)
{
	char rest[1024], why[256];
	config_defaults(d->type->props, d);
	*devfn = d->type->pci ? d->type->pci->devfn : -1;
	if (split_addr(d->type, props ? props : "", rest, sizeof(rest), devfn)) {
		snprintf(err, n, "%s: bad addr= (SLOT.FUNCTION in hexadecimal)", d->id);
		return -EINVAL;
	}
	int e = config_parse(d->type->props, d, rest, why, sizeof(why));
	if (e)
		snprintf(err, n, "%s: %s", d->type->name, why);
	return e;
}

static void append(struct device *d)
{
	struct device **p = &d->env->devices;
	while (*p)
		p = &(*p)->next;
	*p = d;
}

static void release(struct device *d)
{
	u8 *state = (u8 *)d;
	bus_batch_begin(d->env->bus);
	for (unsigned i = 0; i < DEVICE_PORT_SLOTS; i++)
		bus_remove_ports(d->env->bus, d->port_slot[i]);
	for (unsigned i = 0; i < DEVICE_MMIO_SLOTS; i++)
		bus_remove_mem(d->env->bus, d->mmio[i]);
	if (d->pci)
		pci_remove(d->pci);
	bus_batch_end(d->env->bus);
	for (const struct timer_decl *t = d->type->timers; t && t->name; t++)
		timer_disarm((void *)(state + t->offset));
	if (d->type->free)
		d->type->free(d);
	free(d);
}

struct device *device_create(struct device_env *env, const char *type, const char *id,
			     const char *props, char *err, size_t err_size)
{
	const struct device_type *t = device_type_find(type);
	if (!t) {
		unknown_type(type, err, err_size);
		return NULL;
	}
	struct device *d = calloc(1, t->size);
	if (!d) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	int devfn;
	d->type = t;
	d->env = env;
	snprintf(d->id, sizeof(d->id), "%s", id ? id : type);
	make_timers_and_lines(d);
	bus_batch_begin(env->bus);
	int e = configure(d, props, &devfn, err, err_size);
	e = e ? e : plug_pci(d, devfn, err, err_size);
	e = e ? e : (t->init ? t->init(d, err, err_size) : 0);
	e = e ? e : claim_fixed(d, err, err_size);
	bus_batch_end(env->bus);
	if (e) {
		release(d);
		return NULL;
	}
	append(d);
	if (d->pci)
		pci_function_reset(d->pci);
	if (t->reset)
		t->reset(d, RESET_COLD);
	return d;
}

void device_destroy(struct device *d)
{
	struct device **p = &d->env->devices;
	while (*p && *p != d)
		p = &(*p)->next;
	if (*p)
		*p = d->next;
	release(d);
}

/* The youngest first: a host bridge outlives what sits on its bus. */
void devices_destroy_all(struct device_env *env)
{
	while (env->devices) {
		struct device *d = env->devices;
		while (d->next)
			d = d->next;
		device_destroy(d);
	}
}

/* ---- all of them ------------------------------------------------------------------------- */

void devices_reset(struct device_env *env, enum reset_kind kind)
{
	bus_batch_begin(env->bus);
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->pci)
			pci_function_reset(d->pci);
		if (d->type->reset)
			d->type->reset(d, kind);
	}
	bus_batch_end(env->bus);
}

struct device *device_by_id(struct device_env *env, const char *id)
{
	for (struct device *d = env->devices; d; d = d->next)
		if (!strcmp(d->id, id))
			return d;
	return NULL;
}

#define MEMORY_PIECE 0x10000u

static bool all_zero(const u8 *p)
{
	return !p[0] && !memcmp(p, p + 1, MEMORY_PIECE - 1);
}

/* Only pieces that hold something: the section's name ends in the piece's number. */
static void save_memory(struct device *d, struct snap_buf *b)
{
	u64 n;
	const u8 *p = d->type->memory(d, &n);
	char id[64];
	for (u64 at = 0; at < n; at += MEMORY_PIECE) {
		if (all_zero(p + at))
			continue;
		snprintf(id, sizeof(id), "%s.memory.%llu", d->id,
			 (unsigned long long)(at / MEMORY_PIECE));
		snapshot_save_bytes(b, id, p + at, MEMORY_PIECE);
	}
}

static int load_memory(struct device *d, struct snap_reader *r)
{
	u64 n, piece;
	u8 *p = d->type->memory(d, &n);
	char prefix[64];
	const char *id;
	size_t len = (size_t)snprintf(prefix, sizeof(prefix), "%s.memory.", d->id);
	for (u64 at = 0; at < n; at += MEMORY_PIECE)
		if (!all_zero(p + at))
			memset(p + at, 0, MEMORY_PIECE);
	while ((id = snapshot_next(r)) && !strncmp(id, prefix, len)) {
		if (parse_uint(id + len, &piece) || piece >= n / MEMORY_PIECE) {
			snprintf(r->error, sizeof(r->error), "%s: no such piece of memory", id);
			return -EINVAL;
		}
		char name[sizeof(r->id)];
		snprintf(name, sizeof(name), "%s", id);
		if (snapshot_load_bytes(r, name, p + piece * MEMORY_PIECE, MEMORY_PIECE))
			return -EINVAL;
	}
	return 0;
}

void devices_save(struct device_env *env, struct snap_buf *b)
{
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->type->snapshot)
			snapshot_save(b, d->type->snapshot, d->id, d);
		if (d->type->memory)
			save_memory(d, b);
	}
}

static int check_memory(struct device *d, struct snap_reader *r)
{
	u64 n, piece;
	char prefix[64], name[sizeof(r->id)];
	const char *id;
	size_t len = (size_t)snprintf(prefix, sizeof(prefix), "%s.memory.", d->id);
	d->type->memory(d, &n);
	while ((id = snapshot_next(r)) && !strncmp(id, prefix, len)) {
		snprintf(name, sizeof(name), "%s", id);
		if (parse_uint(id + len, &piece) || piece >= n / MEMORY_PIECE ||
		    snapshot_load_bytes(r, name, NULL, MEMORY_PIECE)) {
			snprintf(r->error, sizeof(r->error), "%.200s: no such piece of memory", name);
			return -EINVAL;
		}
	}
	return r->error[0] ? -EINVAL : 0;
}

int devices_check(struct device_env *env, struct snap_reader *r)
{
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->type->snapshot && snapshot_load(r, d->type->snapshot, d->id, NULL))
			return -EINVAL;
		if (d->type->memory && check_memory(d, r))
			return -EINVAL;
	}
	return 0;
}

int devices_load(struct device_env *env, struct snap_reader *r)
{
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->type->snapshot && snapshot_load(r, d->type->snapshot, d->id, d))
			return -EINVAL;
		if (d->type->memory && load_memory(d, r))
			return -EINVAL;
	}
	bus_batch_begin(env->bus);
	if (env->pci)
		memset(env->pci->pirq_count, 0, sizeof(env->pci->pirq_count));
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->pci)
			pci_function_loaded(d->pci);
		if (d->type->loaded)
			d->type->loaded(d);
	}
	bus_batch_end(env->bus);
	return 0;
}

static u64 hash_memory(struct device *d, u64 seed)
{
	u64 n;
	const u8 *p = d->type->memory(d, &n);
	for (u64 at = 0; at < n; at += MEMORY_PIECE)
		if (!all_zero(p + at))
			seed = hash_bytes(seed ^ at, p + at, MEMORY_PIECE);
	return seed;
}

u64 devices_hash(struct device_env *env, u64 seed)
{
	for (struct device *d = env->devices; d; d = d->next) {
		if (d->type->snapshot)
			seed = snapshot_hash(seed, d->type->snapshot, d);
		if (d->type->memory)
			seed = hash_memory(d, seed);
	}
	return seed;
}
