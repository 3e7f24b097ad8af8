/* Who looks on while a guest runs, as the command line asks: traces and profiles. */
#ifndef ORRERY_CLI_OBSERVE_H
#define ORRERY_CLI_OBSERVE_H

#include "frontend/cli/options.h"

struct observers;

/* -profile FILE[,exact][,period=N][,top=N][,flame=F.svg] */
struct profile_request {
	char path[512], flame[512]; /* flame "": none */
	bool exact;
	u64 period;
	unsigned top;
};
/** 0, or -EINVAL with a message. */
MUST_CHECK int profile_request_parse(const char *text, struct profile_request *r, struct errtext *e);

/** Before the run. 0 with *@o, or -errno with a message. */
MUST_CHECK int observers_start(const struct cli *cli, struct machine *m, struct observers **o, struct errtext *e);
/** Behind the run, before the machine goes: writes what there is to write, and says so on standard error. 0 or -errno. */
int observers_end(struct observers *o);

#endif
