/* See configs.h. */
#include "configs/configs.h"

#include <stddef.h>

#define CONFIG(file, number) extern const char config_text_##number[];
#include "configs/configs.def"
#undef CONFIG

const struct ready_config ready_configs[] = {
#define CONFIG(file, number) {file, config_text_##number},
#include "configs/configs.def"
#undef CONFIG
    {NULL, NULL},
};
