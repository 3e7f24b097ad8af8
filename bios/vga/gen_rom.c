/*
 * Build tool: makes an option ROM of a flat binary: pads it to 512 bytes, writes the length into its header (byte 2) and
 * into the PCI data structure, and makes all bytes add up to 0 (PCI Firmware Specification 3.0, 5.1).
 *
 * usage: gen_rom IN OUT
 */
#include <stdio.h>
#include <string.h>

#define MAX_ROM 0x10000

int main(int argc, char **argv)
{
	static unsigned char rom[MAX_ROM];
	FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL, *out;
	size_t n = in ? fread(rom, 1, MAX_ROM - 1, in) : 0;
	unsigned pcir = rom[0x18] | rom[0x19] << 8u;
	if (n < 0x80 || rom[0] != 0x55 || rom[1] != 0xaa || pcir + 24 > n || memcmp(rom + pcir, "PCIR", 4)) {
		fprintf(stderr, "gen_rom: no option ROM to finish\n");
		return 1;
	}
	n = (n + 1 + 511) / 512 * 512;
	rom[2] = (unsigned char)(n / 512);
	rom[pcir + 16] = rom[2];
	unsigned char sum = 0;
	for (size_t i = 0; i < n - 1; i++)
		sum = (unsigned char)(sum + rom[i]);
	rom[n - 1] = (unsigned char)-sum;
	out = fopen(argv[2], "wb");
	return !out || fwrite(rom, 1, n, out) != n || fclose(out);
}
