/* What the video BIOS does at power-on, for machines that boot a kernel without firmware. */
#include <errno.h>
#include "bios/vga/image.h"
#include "bios/vga/modes.h"
#include "bios/vga/vbe_modes.h"
#include "devices/display/vga.h"
#include "devices/display/vga_internal.h"

#define TEXT_MODE 3

bool vga_is(const struct device *d)
{
	return d->type == &vga_type;
}

static void out(struct device *d, u16 port, unsigned value)
{
	bus_io_write(d->env->bus, port, value & 0xff, 1);
}

static void out_indexed(struct device *d, u16 port, unsigned index, unsigned value)
{
	out(d, port, index);
	out(d, (u16)(port + 1), value);
}

static void set_registers(struct device *d, const struct video_mode *m)
{
	const u8 gc[9] = {0, 0, 0, 0, 0, m->gc5, m->gc6, m->gc7, 0xff};
	const u8 tail[5] = {m->attr10, 0, m->planes, m->pan, 0};
	out(d, 0x3c2, m->misc);
	out_indexed(d, 0x3c4, 0, 3);
	out_indexed(d, 0x3c4, 1, m->seq1);
	out_indexed(d, 0x3c4, 2, m->seq2);
	out_indexed(d, 0x3c4, 3, 0);
	out_indexed(d, 0x3c4, 4, m->seq4);
	out_indexed(d, 0x3d4, 0x11, 0);
	for (unsigned i = 0; i < 0x19; i++)
		out_indexed(d, 0x3d4, i, mode_crtc(m, i));
	for (unsigned i = 0; i < 9; i++)
		out_indexed(d, 0x3ce, i, gc[i]);
	bus_io_read(d->env->bus, 0x3da, 1);
	for (unsigned i = 0; i < 0x15; i++) {
		out(d, 0x3c0, i);
		out(d, 0x3c0, i < 16 ? mode_attr[m->attr][i] : tail[i - 16]);
	}
	out(d, 0x3c0, 0x20);
	out(d, 0x3c6, 0xff);
	out(d, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		unsigned c = mode_dac(m->palette, i);
		out(d, 0x3c9, c >> 16);
		out(d, 0x3c9, c >> 8);
		out(d, 0x3c9, c);
	}
}

void vga_text_mode(struct device *d)
{
	struct vga *v = (struct vga *)d;
	const u8 *where = vga_bios_image + VGA_BIOS_FONTS + 4;
	const u8 *font = vga_bios_image + (where[0] | where[1] << 8);
	set_registers(d, &modes[TEXT_MODE]);
	memset(v->vram, 0, 0x40000);
	for (unsigned i = 0; i < 0x4000; i += 2) { /* blanks, light grey on black, in planes 0 and 1 */
		v->vram[i * 4] = ' ';
		v->vram[i * 4 + 1] = 7;
	}
	for (unsigned i = 0; i < 256 * 16; i++)
		v->vram[(i / 16 * 32 + i % 16) * 4 + 2] = font[i];
	v->touched = true;
}

static void dispi(struct device *d, u16 index, unsigned value)
{
	bus_io_write(d->env->bus, 0x1ce, index, 2);
	bus_io_write(d->env->bus, 0x1cf, value, 2);
}

int vga_vbe_mode(struct device *d, unsigned number, struct vga_picture *out)
{
	const struct vga *v = (const struct vga *)d;
	const struct vbe_mode *m = vbe_modes;
	while (m->number && m->number != number)
		m++;
	const u32 pitch = m->w * ((m->bpp + 7u) / 8);
	const u64 base = pci_bar_base(&v->fn, 0);
	if (!m->number || m->bpp == 4 || (u64)pitch * m->h > v->vram_bytes || !base)
		return -EINVAL;
	set_registers(d, &modes[MODES - 2]); /* 13h */
	dispi(d, DISPI_ENABLE, 0);
	dispi(d, DISPI_XRES, m->w);
	dispi(d, DISPI_YRES, m->h);
	dispi(d, DISPI_BPP, m->bpp);
	dispi(d, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
	*out = (struct vga_picture){m->w, m->h, m->bpp, pitch, base, v->vram_bytes};
	return 0;
}
