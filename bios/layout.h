/*
 * Where the system BIOS stands in memory.
 *
 *   F0000-FFFFF  the 16-bit run time (rt/), copied from the ROM into shadow RAM and write-protected
 *   EC000-EFFFF  its data and stack: shadow RAM that stays writable; DS = ES = SS = RT_SEG in C
 * code C0000-EBFFF  option ROMs 9FC00-9FFFF  extended BIOS data area 80000-9EFFF  data and stack of
 * the 32-bit power-on code (post/), free for the guest afterwards
 *
 * The image is 128 KiB: its first half, at FFFE0000h, is the power-on code, which runs in place;
 * the second half is the run time.
 */
#ifndef ORRERY_BIOS_LAYOUT_H
#define ORRERY_BIOS_LAYOUT_H

#define RT_CS         0xf000
#define RT_SEG        0xec00
#define RT_BASE       0xec000
#define RT_DATA_SIZE  0x4000
#define RT_STACK_TOP  0x3ff0
#define EBDA_SEG      0x9fc0
#define POST_DATA     0x80000
#define POST_STACK    0x9f000
#define OPTION_ROMS   0xc0000
#define OPTION_END    0xec000
#define RESET_LINEAR  0xfffffff0
#define REAL_STACK_SP  0x7b00 /* of option ROMs and boot code, in segment 0, */
#define REAL_STACK_END 0x7300 /* and how far down it may reach */

/* What the power-on code overwrites on the way back from S3, below 640 KiB, is put aside first: vectors, data areas and the real-mode stack;
 * where processors have SMBASE after reset; the power-on code's data and the extended BIOS data area. */
#define RESUME_LOW      0x0
#define RESUME_LOW_END  0x8000
#define RESUME_SMM      0x38000
#define RESUME_SMM_END  0x40000
#define RESUME_HIGH     POST_DATA
#define RESUME_HIGH_END 0xa0000
#define RESUME_BYTES    0x30000

/* SMRAM: processor n has its entry at SMRAM_BASE + 8000h + n * SMRAM_STRIDE */
#define SMRAM_BASE   0xa0000
#define SMRAM_STRIDE 0x400
#define SMBASE_RESET 0x30000

/* Selectors of the run time's descriptor table */
#define SEL_CODE32 0x08
#define SEL_DATA32 0x10
#define SEL_CODE16 0x18
#define SEL_DATA16 0x20
#define SEL_BIG16  0x28 /* limit 4 GiB: "big real mode" for option ROMs */

#endif
