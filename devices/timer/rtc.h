/* Real-time clock and CMOS memory. */
#ifndef ORRERY_DEVICES_RTC_H
#define ORRERY_DEVICES_RTC_H

#include "devices/device.h"

/** Sets the time (seconds since 1970 UTC) as of now. */
void rtc_set_time(struct device *d, s64 seconds);
s64 rtc_get_time(struct device *d);
/** Sets a CMOS byte (0Eh..7Fh), e.g. memory sizes for firmware; call rtc_set_checksum() after the
 * last. */
void rtc_set_cmos(struct device *d, unsigned index, u8 value);
void rtc_set_checksum(struct device *d);

/* CMOS 0Fh, shutdown status: why firmware starts. FEh is what QEMU leaves there for it at the end of S3. */
#define CMOS_SHUTDOWN    0x0f
#define CMOS_SHUTDOWN_S3 0xfe

#endif
