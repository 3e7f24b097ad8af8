/* The machines that come with the program (configs.def). */
#ifndef ORRERY_CONFIGS_H
#define ORRERY_CONFIGS_H

struct ready_config {
	const char *name; /* of the file, with its ending */
	const char *text;
};

/** All of them; ends with name NULL. */
extern const struct ready_config ready_configs[];

#endif
