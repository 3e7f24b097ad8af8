/*
 * VGA with the "DISPI" linear frame buffer, as PCI function 1234:1111 (the display adapter of Bochs and QEMU).
 *
 * Registers after IBM's VGA XGA Technical Reference (1992): miscellaneous output, sequencer, CRTC, graphics and attribute
 * controllers, DAC; input status with retrace from virtual time. DISPI ID B0C5h: 4, 8, 15, 16, 24, 32 bits a pixel up to
 * 4096 x 2304. BAR 0 is the frame buffer, BAR 2 holds EDID, VGA registers (400h), DISPI (500h), byte order (600h).
 *
 * Not modelled: the retrace interrupt, light pen, feature connector, SEQ 1 shift/load, big-endian frame buffers.
 */
#include "devices/display/vga.h"

#include <errno.h>
#include <stdlib.h>
#include "base/host.h"
#include "bios/vga/image.h"
#include "devices/display/vga_internal.h"

#define VRAM_MIB_DEFAULT "16"
#define MMIO_SIZE        0x1000

/* clang-format off */
#define VGA_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) H(ident) V(misc) V(feature) V(enabled) V(seq_index) V(gc_index) \
	V(crtc_index) V(attr_index) V(attr_data) V(seq) V(gc) V(crtc) V(attr) V(dac_mask) V(dac_read) V(dac_write) \
	V(dac_part) V(dac_state) V(dac_latch) V(dac) V(latch) V(dispi_index) V(dispi) H(vram) H(vram_bytes) \
	H(vram_mib) H(xres) H(yres) H(romfile) H(window) H(linear) H(edid) H(touched) H(shadow) H(shadow_bytes) \
	H(shadow_key) H(blink) H(frame_ns) H(line_ns) H(visible_ns) H(retrace_from_ns) H(retrace_to_ns) \
	H(shown_lines_ns) P(11)
/* clang-format on */
SNAPSHOT(vga_snapshot, "vga", 1, struct vga, VGA_FIELDS);

/* ---- the window --------------------------------------------------------------------------- */

/* Lets plain memory answer at A0000h, or the handlers, as the registers stand. */
static void update_window(struct vga *v)
{
	struct bus *bus = v->dev.env->bus;
	u64 size;
	u8 *host = vga_window_linear(v, &size);
	if (!v->linear)
		return;
	bool same = !host || (v->linear->host == host && v->linear->size == size);
	if (same && v->linear->reads == (host != NULL))
		return;
	if (!same) {
		struct mem_region r = *v->linear;
		r.host = host;
		r.size = size;
		r.reads = r.writes = true;
		bus_change_mem(bus, v->linear, &r);
	} else {
		bus_enable_mem(bus, v->linear, host != NULL, host != NULL);
	}
}

/* ---- DISPI -------------------------------------------------------------------------------- */

static bool dispi_bpp_valid(u16 bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Keeps virtual size and offsets within the memory there is. */
static void fit_virtual(struct vga *v)
{
	u16 *d = v->dispi;
	d[DISPI_VIRT_WIDTH] = (u16)MAX(d[DISPI_VIRT_WIDTH], d[DISPI_XRES]);
	u64 pitch = MAX(vga_dispi_pitch(v), 1), lines = v->vram_bytes / pitch;
	if (lines < d[DISPI_YRES]) {
		d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
		pitch = MAX(vga_dispi_pitch(v), 1);
		lines = v->vram_bytes / pitch;
	}
	d[DISPI_VIRT_HEIGHT] = (u16)MIN(lines, 0xffff);
	u32 right = d[DISPI_VIRT_WIDTH] - d[DISPI_XRES];
	u32 below = d[DISPI_VIRT_HEIGHT] > d[DISPI_YRES] ? d[DISPI_VIRT_HEIGHT] - d[DISPI_YRES] : 0;
	d[DISPI_X_OFFSET] = (u16)MIN(d[DISPI_X_OFFSET], right);
	d[DISPI_Y_OFFSET] = (u16)MIN(d[DISPI_Y_OFFSET], below);
}

static void dispi_enable(struct vga *v, u16 value)
{
	u16 *d = v->dispi, was = d[DISPI_ENABLE];
	d[DISPI_ENABLE] = value & (DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB |
				   DISPI_NOCLEAR);
	if (!(value & DISPI_ENABLED)) {
		d[DISPI_BANK] = 0;
		return;
	}
	if (was & DISPI_ENABLED)
		return;
	d[DISPI_XRES] = MAX(d[DISPI_XRES], 8);
	d[DISPI_YRES] = MAX(d[DISPI_YRES], 1);
	if (!dispi_bpp_valid(d[DISPI_BPP]))
		d[DISPI_BPP] = 8;
	d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	d[DISPI_X_OFFSET] = d[DISPI_Y_OFFSET] = d[DISPI_BANK] = 0;
	/* a mode that the memory cannot hold loses lines */
	u64 fit = v->vram_bytes / MAX(vga_dispi_pitch(v), 1);
	d[DISPI_YRES] = (u16)MIN(d[DISPI_YRES], MAX(fit, 1));
	fit_virtual(v);
	if (!(value & DISPI_NOCLEAR))
		memset(v->vram, 0, MIN((u64)vga_dispi_pitch(v) * d[DISPI_YRES], v->vram_bytes));
}

static u16 dispi_read(const struct vga *v, unsigned index)
{
	static const u16 caps[] = {
	    [DISPI_XRES] = DISPLAY_MAX_WIDTH, [DISPI_YRES] = DISPLAY_MAX_HEIGHT, [DISPI_BPP] = 32};
	if (index >= DISPI_EDID && index < DISPI_EDID + 64)
		return (u16)(v->edid[(index - DISPI_EDID) * 2] | v->edid[(index - DISPI_EDID) * 2 + 1] << 8);
	if (index == DISPI_MEMORY)
		return (u16)(v->vram_bytes >> 16);
	if (index >= DISPI_REGS)
		return 0;
	if (v->dispi[DISPI_ENABLE] & DISPI_GETCAPS && index >= DISPI_XRES && index <= DISPI_BPP)
		return caps[index];
	return v->dispi[index];
}

static void dispi_write(struct vga *v, unsigned index, u16 value)
{
	u16 *d = v->dispi;
	bool on = vga_dispi_on(v);
	switch (index) {
	case DISPI_ID:
		if (value >= 0xb0c0 && value <= 0xb0c5)
			d[DISPI_ID] = value;
		break;
	case DISPI_XRES:
		if (!on)
			d[index] = (u16)(MIN(value, DISPLAY_MAX_WIDTH) & ~7u);
		break;
	case DISPI_YRES:
		if (!on)
			d[index] = MIN(value, DISPLAY_MAX_HEIGHT);
		break;
	case DISPI_BPP:
		if (!on)
			d[index] = dispi_bpp_valid(value) ? value : 8;
		break;
	case DISPI_ENABLE: dispi_enable(v, value); break;
	case DISPI_BANK: d[index] = value & (u16)((v->vram_bytes >> 16) - 1); break;
	case DISPI_VIRT_WIDTH:
		if (on)
			d[index] = value & 0xfff8;
		break;
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET: d[index] = value; break;
	default: return;
	}
	if (vga_dispi_on(v))
		fit_virtual(v);
	v->touched = true;
	update_window(v);
}

static u32 dispi_port_read(void *ctx, u16 port, unsigned size)
{
	const struct vga *v = ctx;
	if (port == 0x1ce)
		return v->dispi_index;
	u16 r = dispi_read(v, v->dispi_index);
	return size == 1 && port == 0x1d0 ? r >> 8 : r;
}

static void dispi_port_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct vga *v = ctx;
	if (port == 0x1ce)
		v->dispi_index = (u16)value;
	else if (size == 2)
		dispi_write(v, v->dispi_index, (u16)value);
	else if (port == 0x1cf) /* bytes: the low one first */
		dispi_write(v, v->dispi_index,
			    (u16)((dispi_read(v, v->dispi_index) & 0xff00) | value));
	else
		dispi_write(v, v->dispi_index,
			    (u16)((dispi_read(v, v->dispi_index) & 0xff) | value << 8));
}

/* ---- DAC ---------------------------------------------------------------------------------- */

static u8 dac_data_read(struct vga *v)
{
	u8 r = v->dac[v->dac_read * 3 + v->dac_part];
	if (!(v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC))
		r &= 0x3f;
	if (++v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return r;
}

static void dac_data_write(struct vga *v, u8 value)
{
	v->dac_latch[v->dac_part] = value;
	if (++v->dac_part < 3)
		return;
	v->dac_part = 0;
	memcpy(v->dac + v->dac_write++ * 3, v->dac_latch, 3);
}

/* ---- VGA registers ------------------------------------------------------------------------ */

static u8 attr_read(const struct vga *v)
{
	unsigned i = v->attr_index & 0x1f;
	return i < 0x15 ? v->attr[i] : 0;
}

static void attr_write(struct vga *v, u8 value)
{
	static const u8 mask[0x15] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
				      0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};
	unsigned i = v->attr_index & 0x1f;
	v->attr_data = !v->attr_data;
	if (v->attr_data)
		v->attr_index = value & 0x3f;
	else if (i < 16 && v->attr_index & 0x20)
		return; /* the palette is closed while the screen is on */
	else if (i < 0x15)
		v->attr[i] = value & mask[i];
}

static void seq_write(struct vga *v, u8 value)
{
	static const u8 mask[5] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
	if (v->seq_index < 5)
		v->seq[v->seq_index] = value & mask[v->seq_index];
	if (v->seq_index == 1)
		vga_timing(v);
}

static void gc_write(struct vga *v, u8 value)
{
	static const u8 mask[9] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
	if (v->gc_index < 9)
		v->gc[v->gc_index] = value & mask[v->gc_index];
}

static void crtc_write(struct vga *v, u8 value)
{
	unsigned i = v->crtc_index;
	if (i > 0x18)
		return;
	if (i <= 7 && v->crtc[0x11] & 0x80) {
		if (i == 7) /* the protection spares line compare bit 8 */
			v->crtc[7] = (v->crtc[7] & ~0x10u) | (value & 0x10);
		return;
	}
	if (i == 0x11 && (value & 0x30) == 0x10 && v->crtc[0x11] & 0x20)
		log_unimplemented(v->dev.env->log, "vga: the retrace interrupt (IRQ 2)");
	v->crtc[i] = value;
	if (i < 8 || (i >= 0x10 && i <= 0x17) || i == 9)
		vga_timing(v);
}

static u8 crtc_read(const struct vga *v)
{
	switch (v->crtc_index) {
	case 0x22: return (u8)(v->latch >> (v->gc[4] & 3) * 8);
	case 0x24: return v->attr_data ? 0x80 : 0;
	case 0x26: return v->attr_index;
	default: return v->crtc_index <= 0x18 ? v->crtc[v->crtc_index] : 0xff;
	}
}

/* Input status 1: bit 0 while nothing is displayed, bit 3 during vertical retrace. */
static u8 input_status1(struct vga *v)
{
	u64 t = clock_now(v->dev.env->clock) % v->frame_ns;
	bool shown = t < v->shown_lines_ns && t % v->line_ns < v->visible_ns;
	v->attr_data = false;
	return (u8)((shown ? 0 : 1) | (t >= v->retrace_from_ns && t < v->retrace_to_ns ? 8 : 0));
}

/* The colour ports 3D4h, 3D5h, 3DAh stand at 3B4h... for a monochrome display (misc bit 0). */
static bool crtc_port(const struct vga *v, u16 port)
{
	return (port & 0xfff0) == (v->misc & 1 ? 0x3d0 : 0x3b0);
}

static u32 vga_read(void *ctx, u16 port, unsigned size)
{
	struct vga *v = ctx;
	switch (port) {
	case 0x3c0: return v->attr_index;
	case 0x3c1: return attr_read(v);
	case 0x3c2: return 0x10; /* switch sense: a colour display */
	case 0x3c3: return v->enabled;
	case 0x3c4: return v->seq_index;
	case 0x3c5: return v->seq_index < 5 ? v->seq[v->seq_index] : 0;
	case 0x3c6: return v->dac_mask;
	case 0x3c7: return v->dac_state;
	case 0x3c8: return v->dac_write;
	case 0x3c9: return dac_data_read(v);
	case 0x3ca: return v->feature;
	case 0x3cc: return v->misc;
	case 0x3ce: return v->gc_index;
	case 0x3cf: return v->gc_index < 9 ? v->gc[v->gc_index] : 0;
	case 0x3b4:
	case 0x3d4: return crtc_port(v, port) ? v->crtc_index : 0xff;
	case 0x3b5:
	case 0x3d5: return crtc_port(v, port) ? crtc_read(v) : 0xff;
	case 0x3ba:
	case 0x3da: return crtc_port(v, port) ? input_status1(v) : 0xff;
	default: return 0xff;
	}
}

static void write_crtc_port(struct vga *v, u16 port, u8 value)
{
	if (!crtc_port(v, port))
		return;
	switch (port & 15) {
	case 4: v->crtc_index = value; break;
	case 5: crtc_write(v, value); break;
	case 10: v->feature = value & 0xb; break;
	default: break;
	}
}

static void vga_write(void *ctx, u16 port, u32 value32, unsigned size)
{
	struct vga *v = ctx;
	u8 value = (u8)value32;
	v->touched = true;
	switch (port) {
	case 0x3c0: attr_write(v, value); return;
	case 0x3c2:
		v->misc = value;
		vga_timing(v);
		break;
	case 0x3c3: v->enabled = value & 1; return;
	case 0x3c4: v->seq_index = value; return;
	case 0x3c5: seq_write(v, value); break;
	case 0x3c6: v->dac_mask = value; return;
	case 0x3c7:
		v->dac_read = value;
		v->dac_part = 0;
		v->dac_state = 3;
		return;
	case 0x3c8:
		v->dac_write = value;
		v->dac_part = 0;
		v->dac_state = 0;
		return;
	case 0x3c9: dac_data_write(v, value); return;
	case 0x3ce: v->gc_index = value; return;
	case 0x3cf: gc_write(v, value); break;
	default: write_crtc_port(v, port, value); return;
	}
	update_window(v); /* misc, sequencer and graphics controller decide how memory answers */
}

/* ---- BAR 2 -------------------------------------------------------------------------------- */

#define MMIO_VGA        0x400u
#define MMIO_DISPI      0x500u
#define MMIO_EXT        0x600u
#define EXT_SIZE        8u
#define EXT_LITTLE      0x1e1e1e1eu

static u64 mmio_read(void *ctx, u64 at, unsigned size)
{
	struct vga *v = ctx;
	u64 r = 0;
	if (at < MMIO_VGA) {
		for (unsigned i = 0; i < size; i++)
			r |= (u64)(at + i < sizeof(v->edid) ? v->edid[at + i] : 0xff) << (i * 8);
		return r;
	}
	if (at < MMIO_VGA + 0x20) {
		for (unsigned i = 0; i < size && at + i < MMIO_VGA + 0x20; i++)
			r |= (u64)vga_read(v, (u16)(at + i - MMIO_VGA + 0x3c0), 1) << (i * 8);
		return r;
	}
	if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * DISPI_REGS)
		return dispi_read(v, (unsigned)(at - MMIO_DISPI) / 2) >> (at & 1) * 8;
	if (at == MMIO_EXT)
		return EXT_SIZE;
	return at == MMIO_EXT + 4 ? EXT_LITTLE : UINT64_MAX;
}

static void mmio_write(void *ctx, u64 at, u64 value, unsigned size)
{
	struct vga *v = ctx;
	if (at >= MMIO_VGA && at < MMIO_VGA + 0x20) {
		for (unsigned i = 0; i < size && at + i < MMIO_VGA + 0x20; i++)
			vga_write(v, (u16)(at + i - MMIO_VGA + 0x3c0), (u8)(value >> (i * 8)), 1);
	} else if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * DISPI_REGS && size >= 2 && !(at & 1)) {
		dispi_write(v, (unsigned)(at - MMIO_DISPI) / 2, (u16)value);
	} else if (at == MMIO_EXT + 4 && (u32)value != EXT_LITTLE) {
		log_unimplemented(v->dev.env->log, "vga: a big-endian frame buffer");
	}
}

/* ---- life --------------------------------------------------------------------------------- */

static const struct mmio_ops mmio_ops = {mmio_read, mmio_write, 4};

static const struct pci_ident ident = {
    .vendor = 0x1234,
    .device = 0x1111,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .revision = 2, /* BAR 2 has the registers */
    .class_code = 0x030000,
    .devfn = -1,
    .bar = {{.kind = PCI_BAR_MEM32, .prefetch = true, .size = 16u << 20},
	    [2] = {.kind = PCI_BAR_MEM32, .size = MMIO_SIZE, .mmio = &mmio_ops}},
};

/* BAR 0 is memory of this instance, of the size that was asked for. */
static void set_identity(struct vga *v)
{
	v->ident = ident;
	v->ident.bar[0].size = v->vram_bytes;
	v->ident.bar[0].ram = v->vram;
	v->fn.ident = &v->ident;
	pci_put32(v->fn.wmask, PCI_BAR0, (u32) ~(v->vram_bytes - 1));
	v->fn.wmask[PCI_COMMAND] |= PCI_COMMAND_IO; /* for the VGA ports, which no BAR declares */
}

static int add_windows(struct vga *v)
{
	int e = 0;
	struct mem_region r = {.base = VGA_WINDOW,
			       .size = VGA_WINDOW_SIZE,
			       .ops = &vga_window_ops,
			       .ctx = v,
			       .name = v->dev.id,
			       .kind = MEM_MMIO,
			       .prio = MEM_PRIO_ROM,
			       .reads = true,
			       .writes = true};
	v->window = bus_add_mem(v->dev.env->bus, &r, &e);
	if (e)
		return e;
	r = (struct mem_region){.base = VGA_WINDOW,
				.size = 0x10000,
				.host = v->vram,
				.name = v->dev.id,
				.kind = MEM_RAM,
				.prio = MEM_PRIO_PCI};
	v->linear = bus_add_mem(v->dev.env->bus, &r, &e);
	return e;
}

static int init(struct device *d, char *err, size_t n)
{
	struct vga *v = (struct vga *)d;
	v->vram_bytes = v->vram_mib << 20;
	if (v->vram_bytes & (v->vram_bytes - 1)) {
		snprintf(err, n, "%s: vgamem_mb must be a power of two", d->id);
		return -EINVAL;
	}
	v->vram = host_alloc_pages(v->vram_bytes);
	if (!v->vram) {
		snprintf(err, n, "%s: no memory for %u MiB of frame buffer", d->id,
			 (unsigned)v->vram_mib);
		return -ENOMEM;
	}
	set_identity(v);
	vga_edid(v->edid, (unsigned)v->xres, (unsigned)v->yres);
	int e = *v->romfile ? pci_rom_file(&v->fn, v->romfile, err, n)
			    : pci_set_rom(&v->fn, vga_bios_image, vga_bios_image_bytes);
	if (e)
		return e;
	e = add_windows(v);
	if (e)
		snprintf(err, n, "%s: memory at A0000h is taken (one VGA at most)", d->id);
	const struct display_source source = {vga_draw, v};
	if (!e && d->env->display)
		display_set_source(d->env->display, &source);
	return e;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct vga *v = (struct vga *)d;
	v->misc = v->feature = v->seq_index = v->gc_index = v->crtc_index = v->attr_index = 0;
	v->attr_data = false;
	v->enabled = 1;
	memset(v->seq, 0, sizeof(v->seq));
	memset(v->gc, 0, sizeof(v->gc));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->attr, 0, sizeof(v->attr));
	memset(v->dispi, 0, sizeof(v->dispi));
	v->dispi[DISPI_ID] = 0xb0c5;
	v->dispi_index = 0;
	v->dac_mask = 0xff;
	v->dac_read = v->dac_write = v->dac_part = v->dac_state = 0;
	v->latch = 0;
	v->touched = true;
	if (kind == RESET_COLD)
		memset(v->dac, 0, sizeof(v->dac));
	vga_timing(v);
	update_window(v);
}

static void loaded(struct device *d)
{
	struct vga *v = (struct vga *)d;
	v->touched = true;
	v->shadow_key = 0;
	if (vga_dispi_on(v))
		fit_virtual(v);
	vga_timing(v);
	update_window(v);
}

static void release(struct device *d)
{
	struct vga *v = (struct vga *)d;
	if (d->env->display)
		display_set_source(d->env->display, NULL);
	bus_remove_mem(d->env->bus, v->window);
	bus_remove_mem(d->env->bus, v->linear);
	if (v->vram)
		host_free_pages(v->vram, v->vram_bytes);
	free(v->shadow);
}

static u8 *memory(struct device *d, u64 *n)
{
	struct vga *v = (struct vga *)d;
	*n = v->vram_bytes;
	return v->vram;
}

static const struct port_ops vga_ports = {vga_read, vga_write, IO_1};
static const struct port_ops dispi_ports = {dispi_port_read, dispi_port_write, IO_1 | IO_2};

static const struct prop props[] = {
    {"vgamem_mb", PROP_UINT, offsetof(struct vga, vram_mib), VRAM_MIB_DEFAULT,
     "frame buffer in MiB, a power of two", 1, 64, NULL},
    {"xres", PROP_UINT, offsetof(struct vga, xres), "1280", "width the monitor prefers", 640,
     DISPLAY_MAX_WIDTH - 1, NULL},
    {"yres", PROP_UINT, offsetof(struct vga, yres), "800", "height the monitor prefers", 400,
     DISPLAY_MAX_HEIGHT, NULL},
    {"romfile", PROP_TEXT, offsetof(struct vga, romfile), "", "video BIOS instead of the built-in one", 0,
     0, NULL},
    {0},
};

const struct device_type vga_type = {
    .name = "VGA",
    .help = "VGA with linear frame buffer (DISPI)",
    .category = "display",
    .size = sizeof(struct vga),
    .ports = (const struct port_claim[]){{0x3b4, 2, &vga_ports},
					 {0x3ba, 1, &vga_ports},
					 {0x3c0, 16, &vga_ports},
					 {0x3d4, 2, &vga_ports},
					 {0x3da, 1, &vga_ports},
					 {0x1ce, 3, &dispi_ports},
					 {0}},
    .pci = &ident,
    .pci_offset = offsetof(struct vga, fn),
    .props = props,
    .snapshot = &vga_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .loaded = loaded,
    .memory = memory,
};
