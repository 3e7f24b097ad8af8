/*
 * The only process of the guest of tests/sound/linux.py: loads Linux's Sound Blaster 16 driver, plays 16-bit stereo and 8-bit mono through
 * /dev/dsp, powers off. Without a C library, so that a 64-bit host can build it for i386.
 */
enum { SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_mount = 21, SYS_ioctl = 54, SYS_reboot = 88, SYS_finit_module = 350 };

#define DSP_SYNC     0x5001
#define DSP_SPEED    0xc0045002
#define DSP_SETFMT   0xc0045005
#define DSP_CHANNELS 0xc0045006
#define MIXER_VOLUME 0xc0044d00
#define MIXER_PCM    0xc0044d04
#define S16_LE	     0x10
#define U8	     8

static int call(int n, long a, long b, long c, long d, long e)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return r;
}

static void say(const char *s)
{
	int n = 0;
	while (s[n])
		n++;
	call(SYS_write, 1, (long)s, n, 0, 0);
}

static int set(int fd, unsigned what, int v)
{
	if (call(SYS_ioctl, fd, what, (long)&v, 0, 0) < 0)
		say("an ioctl fails\n");
	return v;
}

/* A triangle of period @p. */
static int triangle(int t, int p)
{
	int h = p / 2;
	t %= p;
	return t < h ? -20000 + 40000 * t / h : 20000 - 40000 * (t - h) / h;
}

static short words[4410][2];
static unsigned char bytes[11025];

static int dsp(int format, int channels, int rate)
{
	int d = call(SYS_open, (long)"/dev/dsp", 1, 0, 0, 0);
	if (d < 0)
		say("no /dev/dsp\n");
	if (set(d, DSP_SETFMT, format) != format || set(d, DSP_CHANNELS, channels) != channels ||
	    set(d, DSP_SPEED, rate) != rate)
		say("the driver wants another format\n");
	return d;
}

static void finish(int d)
{
	call(SYS_ioctl, d, DSP_SYNC, 0, 0, 0);
	call(SYS_close, d, 0, 0, 0, 0);
}

/* Modules stand in the folder as 00.ko, 01.ko, ... in the order of their needs. */
static void load_modules(void)
{
	char name[] = "/m/00.ko";
	for (int i = 0; i < 100; i++) {
		name[3] = (char)('0' + i / 10);
		name[4] = (char)('0' + i % 10);
		int fd = call(SYS_open, (long)name, 0, 0, 0, 0);
		if (fd < 0)
			break;
		/* parameters that a module does not know are only remarked upon */
		if (call(SYS_finit_module, fd,
			 (long)"isapnp=0 port=0x220 irq=5 dma8=1 dma16=5 mpu_port=0x330 fm_port=0x388", 0, 0, 0) < 0)
			say(name);
	}
}

void _start(void)
{
	call(SYS_mount, (long)"dev", (long)"/dev", (long)"devtmpfs", 0, 0);
	load_modules();
	int mixer = call(SYS_open, (long)"/dev/mixer", 2, 0, 0, 0);
	set(mixer, MIXER_VOLUME, 0x6464);
	set(mixer, MIXER_PCM, 0x6464);
	int d = dsp(S16_LE, 2, 44100);
	for (int i = 0; i < 4410; i++) {
		words[i][0] = (short)triangle(i, 98); /* 450 Hz */
		words[i][1] = (short)triangle(i, 49); /* 900 Hz */
	}
	for (int i = 0; i < 20; i++)
		call(SYS_write, d, (long)words, sizeof(words), 0, 0);
	finish(d);
	d = dsp(U8, 1, 11025);
	for (int i = 0; i < 11025; i++)
		bytes[i] = (unsigned char)(128 + triangle(i, 15) / 256); /* 735 Hz */
	call(SYS_write, d, (long)bytes, sizeof(bytes), 0, 0);
	finish(d);
	say("played\n");
	call(SYS_reboot, (int)0xfee1dead, 0x28121969, 0x4321fedc, 0, 0);
	for (;;)
		;
}
