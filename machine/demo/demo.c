/* Hands out the image that embed.S carries. */
#include "machine/demo/demo.h"

extern const u8 demo_image_start[], demo_image_end[];

const void *demo_image(u64 *bytes)
{
	*bytes = (u64)(demo_image_end - demo_image_start);
	return demo_image_start;
}
