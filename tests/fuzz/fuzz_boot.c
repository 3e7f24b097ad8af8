/* Any bytes as a kernel image with a command line and a module: refused with a reason, or loaded
 * inside RAM. */
#include <stdlib.h>
#include "machine/boot.h"

#define RAM_BYTES (8ull << 20)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* A loaded image enters where RAM is, with tables that lie in RAM. */
static void check_entry(const struct ram *ram, const struct boot_entry *entry)
{
	if (entry->mode == BOOT_REAL16)
		return;
	if (!ram_at(ram, entry->eip, 1) || !ram_at(ram, entry->gdt_base, entry->gdt_limit + 1ull))
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct ram ram;
	struct errtext e = {""};
	struct boot_entry entry;
	enum boot_kind kind;
	const struct boot_module module = {{data, size}, "module"};
	const struct boot_request req = {.name = "fuzz",
					 .kernel = {data, size},
					 .cmdline = "x",
					 .modules = &module,
					 .module_count = 1};
	if (boot_probe(&req.kernel, req.name, &kind, &e))
		return 0;
	if (ram_init(&ram, RAM_BYTES))
		return 0;
	if (!boot_load(kind, &req, &ram, &entry, &e))
		check_entry(&ram, &entry);
	else if (!e.s[0])
		abort();
	ram_free(&ram);
	return 0;
}
