/* Small things every part of the run time uses, and the data that it shares with the power-on code.
 */
#include "bios/rt/rt.h"

u32 stack_next = RT_STACK_TOP;
u32 saved_esp, saved_ebx;
u16 saved_fs, saved_ss, saved_retry;
struct regs bridge_regs;
u32 bridge_target, bridge_sp = REAL_STACK_SP;
u16 bridge_ss;

struct ata_channel ata_channels[MAX_CHANNELS];
struct drive drives[MAX_DRIVES];
u8 disk_map[8], cd_map[4], floppy_map[2];
u8 disk_count, cd_count, floppy_count;
struct virtqueue virtqueues[MAX_VIRTIO];
struct emulation emulation;
struct e820_entry e820_map[MAX_E820];
u32 e820_count;
u32 memory_below_4g, memory_above_4g_64k;
u8 last_pci_bus;
u8 no_vga;
u16 console_port;
u32 boot_again;
u32 ap_msrs[3 * 24];
u32 ap_present, ap_count;
u16 pir_offset;
u32 smm_base, resume_area, wake_vector, facs;
struct pmm pmm;

void far_read(void *to, u16 seg, u16 off, u32 n)
{
	u8 *p = to;
	while (n--)
		*p++ = peek8(seg, off++);
}

void far_write(u16 seg, u16 off, const void *from, u32 n)
{
	const u8 *p = from;
	while (n--)
		poke8(seg, off++, *p++);
}

void deadline_set(struct deadline *d, u32 ms)
{
	d->left = ms * 66 + 2;
	d->last = inb(0x61) & REFRESH;
}

bool expired(struct deadline *d)
{
	u8 now = inb(0x61) & REFRESH;
	if (now != d->last) {
		d->last = now;
		if (d->left)
			d->left--;
	}
	return !d->left;
}

bool i8042_takes_input(void)
{
	struct deadline d;
	deadline_set(&d, 50);
	while (inb(0x64) & 2)
		if (expired(&d))
			return false;
	return true;
}

void debug_char(char c)
{
	outb(0xe9, (u8)c);
}

/* ---- interrupts nobody wanted ------------------------------------------------------------ */

void eoi_master(void)
{
	outb(0x20, 0x20);
}

void eoi_slave(void)
{
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void int_nothing(struct regs *r)
{
}

/* An IRQ without a handler is masked, as an AT does it; IRQ 7 may be spurious. */
void irq_unexpected(struct regs *r)
{
	outb(0x20, 0x0b);
	u8 in_service = inb(0x20);
	if (!in_service)
		return;
	outb(0x21, inb(0x21) | (in_service & ~4u));
	set8(0x6b, in_service);
	eoi_master();
}

void irq_unexpected_slave(struct regs *r)
{
	outb(0xa0, 0x0b);
	u8 in_service = inb(0xa0);
	if (in_service) {
		outb(0xa1, inb(0xa1) | in_service);
		outb(0xa0, 0x20);
	}
	eoi_master();
}

void irq_fpu(struct regs *r)
{
	struct regs c = {0};
	outb(0xf0, 0);
	eoi_slave();
	call_int(2, &c);
}

void int_05(struct regs *r)
{
	poke8(0x50, 0, 0xff); /* print screen: there is no printer to print on */
}
