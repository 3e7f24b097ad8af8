/* Shared by options.c and option_handlers.c only. */
#ifndef ORRERY_CLI_OPTIONS_INTERNAL_H
#define ORRERY_CLI_OPTIONS_INTERNAL_H

#include <errno.h>
#include "frontend/cli/options.h"

enum option_group { G_MACHINE, G_BOOT, G_INPUT, G_DEVICES, G_CI, G_DEBUG, G_CONFIG, G_ACCEPTED, G_NOT_YET, G_COUNT };

/* OPTION(name, argument or NULL, group, handler, help) */
#define OPTION_LIST(OPTION)                                                                              \
	OPTION("m", "SIZE", G_MACHINE, opt_m, "RAM in MiB, or with a suffix K, M, G (default 128M)")     \
	OPTION("cpu", "MODEL[,+F][,-F]", G_MACHINE, opt_cpu, "processor model and features; -cpu help")  \
	OPTION("smp", "N", G_MACHINE, opt_smp, "number of processors (one is modelled so far)")           \
	OPTION("machine", "pc[,KEY=VAL]", G_MACHINE, opt_machine, "machine type; -machine help")          \
	OPTION("M", "TYPE", G_MACHINE, opt_machine, "same as -machine")                                   \
	OPTION("rtc", "base=BASE", G_MACHINE, opt_rtc,                                                    \
	       "clock start: utc, localtime, YYYY-MM-DDTHH:MM:SS; default 2026-01-01, so runs repeat")    \
	OPTION("no-hpet", NULL, G_MACHINE, opt_no_hpet, "leave the HPET out")                             \
	OPTION("kernel", "FILE", G_BOOT, opt_kernel,                                                      \
	       "start a bzImage, Multiboot 1 or 2, or PVH kernel without firmware")                       \
	OPTION("initrd", "FILE", G_BOOT, opt_initrd,                                                      \
	       "initial RAM disk; for Multiboot: modules \"file args,file args\"")                        \
	OPTION("append", "TEXT", G_BOOT, opt_append, "kernel command line")                               \
	OPTION("bios", "FILE", G_BOOT, opt_bios, "ROM image at the top of 4 GiB; starts at the reset vector") \
	OPTION("serial", "DEV", G_INPUT, opt_serial,                                                      \
	       "stdio, mon:stdio, file:PATH, pty, tcp:HOST:PORT[,server][,wait=off], null, chardev:ID; repeat for COM2..") \
	OPTION("debugcon", "DEV", G_INPUT, opt_debugcon, "port E9h output, same places as -serial")       \
	OPTION("chardev", "KIND,id=ID[,..]", G_INPUT, opt_chardev,                                        \
	       "names a place for chardev:ID: stdio, null, pty, file,path=F, socket,host=H,port=P")       \
	OPTION("nographic", NULL, G_INPUT, opt_nographic,                                                 \
	       "no display; serial port and Ctrl-A commands share the terminal")                          \
	OPTION("display", "none|sdl", G_INPUT, opt_display, "where the screen goes (this build has none)") \
	OPTION("device", "TYPE[,KEY=VAL]", G_DEVICES, opt_device, "add a device; -device help, -device TYPE,help") \
	OPTION("set", "ID.KEY=VAL", G_DEVICES, opt_set, "change a setting of a device")                   \
	OPTION("no-reboot", NULL, G_CI, opt_no_reboot, "a reset ends the emulator")                       \
	OPTION("no-shutdown", NULL, G_CI, opt_no_shutdown, "stand still at power-off instead of ending")  \
	OPTION("timeout", "SEC", G_CI, opt_timeout, "end after so many seconds of real time")             \
	OPTION("max-insns", "N", G_CI, opt_max_insns, "end after exactly N instructions (suffix K, M, G: powers of 1000)") \
	OPTION("verdict", "FILE", G_CI, opt_verdict, "write how it ended as JSON, when it ends")          \
	OPTION("name", "TEXT", G_CI, opt_name, "a name for the verdict")                                  \
	OPTION("d", "ITEM[,..]", G_DEBUG, opt_d, "log classes; -d help")                                  \
	OPTION("D", "FILE", G_DEBUG, opt_log_file, "log file (default: standard error)")                  \
	OPTION("config", "FILE", G_CONFIG, opt_config, "read options from \"name = value\" lines")        \
	OPTION("dump-config", NULL, G_CONFIG, opt_dump_config, "print the options as such a file and end") \
	OPTION("version", NULL, G_CONFIG, opt_version, "print the version and end")                       \
	OPTION("help", NULL, G_CONFIG, opt_help, "print this and end")                                    \
	OPTION("h", NULL, G_CONFIG, opt_help, "same as -help")                                            \
	OPTION("?", NULL, G_CONFIG, opt_help, "same as -help")                                            \
	OPTION("accel", "NAME", G_ACCEPTED, opt_accel, "everything is interpreted")                       \
	OPTION("enable-kvm", NULL, G_ACCEPTED, opt_enable_kvm, "everything is interpreted")               \
	OPTION("nodefaults", NULL, G_ACCEPTED, opt_nodefaults, "no serial port on the terminal by default") \
	OPTION("no-user-config", NULL, G_ACCEPTED, opt_ignore_flag, "there is none")                      \
	OPTION("no-fd-bootchk", NULL, G_ACCEPTED, opt_ignore_flag, "there is no floppy")                  \
	OPTION("global", "DRIVER.KEY=VAL", G_ACCEPTED, opt_global, "kvm-* ignored, others as -set")       \
	OPTION("vnc", "none", G_ACCEPTED, opt_vnc, "no VNC server yet")                                   \
	OPTION("vga", "none", G_ACCEPTED, opt_vga, "no display adapter yet")                              \
	OPTION("monitor", "none", G_ACCEPTED, opt_monitor, "no monitor on a port of its own yet")         \
	OPTION("parallel", "none", G_ACCEPTED, opt_parallel, "no parallel port yet")                      \
	OPTION("net", "none", G_ACCEPTED, opt_net, "no network yet")                                      \
	OPTION("nic", "none", G_ACCEPTED, opt_net, "no network yet")                                      \
	OPTION("boot", "ORDER", G_ACCEPTED, opt_ignore_value, "no disks to choose from yet")              \
	OPTION("drive", "...", G_NOT_YET, opt_not_yet, "disks")                                           \
	OPTION("hda", "FILE", G_NOT_YET, opt_not_yet, "disks")                                            \
	OPTION("cdrom", "FILE", G_NOT_YET, opt_not_yet, "disks")                                          \
	OPTION("fda", "FILE", G_NOT_YET, opt_not_yet, "disks")                                            \
	OPTION("netdev", "...", G_NOT_YET, opt_not_yet, "networking")                                     \
	OPTION("gdb", "DEV", G_NOT_YET, opt_not_yet, "the GDB stub")                                      \
	OPTION("loadvm", "FILE", G_NOT_YET, opt_not_yet, "snapshots")                                     \
	OPTION("record", "FILE", G_NOT_YET, opt_not_yet, "recording")                                     \
	OPTION("replay", "FILE", G_NOT_YET, opt_not_yet, "replay")

typedef int option_handler(struct cli *cli, const char *value);
#define OPTION_DECLARE(name, arg, group, handler, help) option_handler handler;
OPTION_LIST(OPTION_DECLARE)
#undef OPTION_DECLARE

/** Error text "-NAME: ..." Returns -EINVAL. */
int cli_bad(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** ", did you mean 'x'?" or an empty string, in @buf. */
const char *cli_did_you_mean(char *buf, size_t n, const char *word, const char *const *list);

#define ORRERY_VERSION "0.1.0"

#endif
