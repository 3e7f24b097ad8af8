/*
 * Any bytes as guest code, in any mode, with any registers, flags, descriptors, page tables and
 * events: the processor must neither crash nor hang, must keep to its budget, and must do the same
 * when run in slices of few instructions.
 */
#include "tests/exec/rig.h"

#define BUDGET 400u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < RIG_HEAD + 2)
		return 0;
	struct rig *once = rig_new(data, size), *steps = rig_new(data, size);

	rig_run(once, BUDGET, BUDGET);
	rig_run(steps, BUDGET, 1 + data[2] % 7);
	rig_same(once, steps);
	rig_free(once);
	rig_free(steps);
	return 0;
}
