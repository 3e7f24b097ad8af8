/* The firmware configuration device of virtual machines. */
#ifndef ORRERY_DEVICES_FW_CFG_H
#define ORRERY_DEVICES_FW_CFG_H

#include "devices/device.h"

/** Sets the item of a selector below 20h (copied). -EINVAL, -ENOMEM. */
MUST_CHECK int fw_cfg_set(struct device *d, u16 selector, const void *data, u32 n);
/** Adds a file (copied; name at most 55 characters); the directory is kept in order of names.
 * -EEXIST, -ENOSPC, -ENOMEM. */
MUST_CHECK int fw_cfg_add_file(struct device *d, const char *name, const void *data, u32 n);
/** Gives an existing file new contents (copied). -ENOENT, -ENOMEM. */
MUST_CHECK int fw_cfg_replace_file(struct device *d, const char *name, const void *data, u32 n);
/** @selecting hears of each named file the guest selects, before it is read: it may replace it. NULL: nobody. */
void fw_cfg_on_select(struct device *d, void (*selecting)(void *ctx, const char *name), void *ctx);

#endif
