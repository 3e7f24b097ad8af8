/* Shared by vga*.c only: the state of the adapter. */
#ifndef ORRERY_DEVICES_VGA_INTERNAL_H
#define ORRERY_DEVICES_VGA_INTERNAL_H

#include "devices/chipset/pci.h"
#include "devices/display/display.h"
#include "devices/device.h"

#define VGA_WINDOW      0xa0000u
#define VGA_WINDOW_SIZE 0x20000u
#define VGA_PLANE_MASK  0xffffu /* 64 KiB in each of the four planes */

/* DISPI registers, by index */
enum {
	DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK, DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT, DISPI_X_OFFSET, DISPI_Y_OFFSET, DISPI_MEMORY, DISPI_REGS
};
#define DISPI_EDID     0x20u /* our own: the EDID as 64 words, for the video BIOS */
#define DISPI_ENABLED  0x01u
#define DISPI_GETCAPS  0x02u
#define DISPI_8BIT_DAC 0x20u
#define DISPI_LFB      0x40u
#define DISPI_NOCLEAR  0x80u

struct vga {
	struct device dev;
	struct pci_function fn;
	struct pci_ident ident; /* ours, because the size of BAR 0 is a setting */

	u8 misc, feature, enabled;
	u8 seq_index, gc_index, crtc_index, attr_index;
	bool attr_data; /* the flip-flop of 3C0h: the next write is data */
	u8 seq[8], gc[16], crtc[32], attr[32];
	u8 dac_mask, dac_read, dac_write, dac_part, dac_state;
	u8 dac_latch[3];
	u8 dac[768];
	u32 latch; /* what the last read left, plane 0 in the low byte */
	u16 dispi_index, dispi[DISPI_REGS];

	u8 *vram;                   /* plane p of offset o at 4 o + p; linear in packed modes */
	u64 vram_bytes;             /* power of two */
	u64 vram_mib, xres, yres;   /* settings */
	char romfile[PROP_TEXT_SIZE];
	struct mem_region *window;  /* A0000h: handlers */
	struct mem_region *linear;  /* over it where it is plain memory */
	u8 edid[128];

	/* for drawing */
	bool touched;       /* something visible may have changed since the last drawing */
	u8 *shadow;         /* what was last drawn of linear modes */
	u64 shadow_bytes;
	u64 shadow_key;     /* of which mode the shadow is */
	u64 blink;          /* phase last drawn */
	u64 frame_ns, line_ns, visible_ns, retrace_from_ns, retrace_to_ns, shown_lines_ns;
};

/** The linear modes of the DISPI interface are on. */
static inline bool vga_dispi_on(const struct vga *v)
{
	return v->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

/** Bytes from line to line of the present DISPI mode. */
static inline u32 vga_dispi_pitch(const struct vga *v)
{
	u32 w = v->dispi[DISPI_VIRT_WIDTH];
	return v->dispi[DISPI_BPP] == 4 ? w / 2 : w * ((v->dispi[DISPI_BPP] + 7u) / 8);
}

/* vga_mem.c: the window at A0000h in planar, odd/even and chain-4 modes */
extern const struct mmio_ops vga_window_ops;
/** If the window is plain memory now, its host address and size; else NULL. */
u8 *vga_window_linear(struct vga *v, u64 *size);

/* vga_draw.c */
void vga_draw(void *ctx, struct display *d, bool all);
/** Works out frame and retrace times from the CRTC. */
void vga_timing(struct vga *v);

extern const struct device_type vga_type;

/* vga_edid.c */
/** EDID 1.4 of a monitor whose preferred mode is @w x @h at 60 Hz. */
void vga_edid(u8 edid[128], unsigned w, unsigned h);

#endif
