/* i440FX host bridge. */
#ifndef ORRERY_DEVICES_I440FX_H
#define ORRERY_DEVICES_I440FX_H

#include "devices/device.h"

/** The running CPU entered or left SMM. */
void i440fx_set_smm(struct device *d, bool smm);

#endif
