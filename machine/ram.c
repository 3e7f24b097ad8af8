/* The machine's RAM: see ram.h. */
#include "machine/ram.h"

#include <errno.h>
#include "base/host.h"

int ram_init(struct ram *ram, u64 size_bytes)
{
	memset(ram, 0, sizeof(*ram));
	if (!size_bytes || size_bytes & 4095 || size_bytes > BIT64(39))
		return -EINVAL;
	ram->host = host_alloc_pages(size_bytes);
	if (!ram->host)
		return -ENOMEM;
	ram->size_bytes = size_bytes;
	ram->low_bytes = MIN(size_bytes, RAM_LOW_MAX);
	return 0;
}

void ram_free(struct ram *ram)
{
	host_free_pages(ram->host, ram->size_bytes);
	memset(ram, 0, sizeof(*ram));
}

u8 *ram_at(const struct ram *ram, u64 gpa, u64 n)
{
	n += !n;
	if (gpa < ram->low_bytes && n <= ram->low_bytes - gpa)
		return ram->host + gpa;
	u64 high = ram->size_bytes - ram->low_bytes;
	if (gpa >= RAM_HIGH_BASE && gpa - RAM_HIGH_BASE < high && n <= high - (gpa - RAM_HIGH_BASE))
		return ram->host + ram->low_bytes + (gpa - RAM_HIGH_BASE);
	return NULL;
}
