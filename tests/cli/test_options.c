/* The command line: values, refusals with the nearest match, configuration files, exit statuses,
 * the verdict. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/suite.h"
#include "base/log.h"
#include "configs/configs.h"
#include "frontend/cli/exitcode.h"
#include "frontend/cli/options.h"
#include "frontend/cli/verdict.h"

static struct cli cli;
static struct errtext e;
static char *out_text;
static size_t out_size;
static FILE *out;

static void setup(void)
{
	out = open_memstream(&out_text, &out_size);
}

static void teardown(void)
{
	fclose(out);
	free(out_text);
	cli_free(&cli);
}

#define PARSE(...) parse((char *[]){(char *)"orrery", __VA_ARGS__, NULL})
static enum cli_outcome parse(char *const *argv)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	cli_free(&cli); /* of an earlier command line in the same test */
	enum cli_outcome r = cli_parse(&cli, argc, argv, out, out, &e);
	fflush(out);
	return r;
}

static void bad(enum cli_outcome r, const char *words)
{
	ck_assert_int_eq(r, CLI_BAD);
	ck_assert_msg(strstr(e.s, words) != NULL, "said \"%s\", expected \"%s\"", e.s, words);
}

START_TEST(pictures_at_instants)
{
	ck_assert_int_eq(PARSE("-screenshot", "a.png", "-screenshot", "b.png,at=3M", "-screenshot", "c.png,at=1.5s"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.screenshot[0].path, "a.png");
	ck_assert(!cli.cfg.screenshot[0].at_insns && !cli.cfg.screenshot[0].at_ns);
	ck_assert_str_eq(cli.cfg.screenshot[1].path, "b.png");
	ck_assert_uint_eq(cli.cfg.screenshot[1].at_insns, 3000000);
	ck_assert_uint_eq(cli.cfg.screenshot[2].at_ns, 1500000000);
}
END_TEST

START_TEST(adapter_is_there_unless_refused)
{
	ck_assert_int_eq(PARSE("-m", "64"), CLI_RUN);
	ck_assert(!cli.cfg.no_vga);
	ck_assert_int_eq(PARSE("-vga", "none"), CLI_RUN);
	ck_assert(cli.cfg.no_vga);
	ck_assert_int_eq(PARSE("-nodefaults"), CLI_RUN);
	ck_assert(cli.cfg.no_vga);
	ck_assert_int_eq(PARSE("-nodefaults", "-vga", "std"), CLI_RUN);
	ck_assert(!cli.cfg.no_vga);
	ck_assert_int_eq(PARSE("-device", "VGA,vgamem_mb=64"), CLI_RUN);
	ck_assert(cli.cfg.no_vga); /* the board's gives way to it */
}
END_TEST

START_TEST(no_arguments_run_the_demo_on_the_terminal)
{
	char *argv[] = {(char *)"orrery", NULL};
	ck_assert_int_eq(parse(argv), CLI_RUN);
	ck_assert(cli.demo);
	ck_assert_str_eq(cli.cfg.serial[0], "stdio");
}
END_TEST

START_TEST(memory_sizes)
{
	static const struct {
		const char *text;
		u64 bytes;
	} row[] = {
	    {"256", 256ull << 20},    {"64M", 64ull << 20},       {"2G", 2ull << 30},
	    {"1048576K", 1ull << 30}, {"size=512", 512ull << 20}, {"512,slots=2", 512ull << 20},
	};
	ck_assert_int_eq(PARSE("-m", (char *)row[_i].text), CLI_RUN);
	ck_assert_uint_eq(cli.cfg.ram_bytes, row[_i].bytes);
}
END_TEST

START_TEST(bad_memory_sizes)
{
	static const char *const row[] = {"", "x", "12Q", "0", "99999999999", "1T", "-5"};
	bad(PARSE("-m", (char *)row[_i]), "-m ");
}
END_TEST

START_TEST(one_dash_or_two)
{
	ck_assert_int_eq(PARSE("--kernel", "f", "--append", "a=1", "-no-reboot"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.kernel, "f");
	ck_assert_str_eq(cli.cfg.append, "a=1");
	ck_assert(cli.cfg.no_reboot);
}
END_TEST

START_TEST(a_bare_name_is_the_kernel)
{
	ck_assert_int_eq(PARSE("vmlinuz"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.kernel, "vmlinuz");
	bad(PARSE("one", "two"), "only one kernel");
}
END_TEST

START_TEST(drives_have_places_and_names)
{
	ck_assert_int_eq(PARSE("-hda", "a", "-cdrom", "c", "-fda", "f", "-drive",
			       "file=b,,b,format=qcow2,snapshot=on,serial=X1", "-drive",
			       "file=v,if=virtio,id=root,readonly=on", "-drive",
			       "file=p,if=pflash,unit=1"),
			 CLI_RUN);
	static const struct drive row[] = {
	    {.path = "a", .id = "ide0-hd0", .interface = DRIVE_IDE},
	    {.path = "c", .id = "ide1-cd0", .interface = DRIVE_IDE, .unit = 2, .cdrom = true},
	    {.path = "f", .id = "floppy0", .interface = DRIVE_FLOPPY},
	    {.path = "b,b", .id = "ide0-hd1", .interface = DRIVE_IDE, .unit = 1, .snapshot = true},
	    {.path = "v", .id = "root", .interface = DRIVE_VIRTIO, .read_only = true},
	    {.path = "p", .id = "pflash1", .interface = DRIVE_PFLASH, .unit = 1},
	};
	ck_assert_uint_eq(cli.cfg.drives, ARRAY_SIZE(row));
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		const struct drive *d = &cli.cfg.drive[i];
		ck_assert_str_eq(d->path, row[i].path);
		ck_assert_str_eq(d->id, row[i].id);
		ck_assert_int_eq(d->interface, row[i].interface);
		ck_assert_uint_eq(d->unit, row[i].unit);
		ck_assert_int_eq(d->cdrom, row[i].cdrom);
		ck_assert_int_eq(d->snapshot, row[i].snapshot);
		ck_assert_int_eq(d->read_only, row[i].read_only || row[i].cdrom);
	}
	ck_assert_str_eq(cli.cfg.drive[3].format, "qcow2");
	ck_assert_str_eq(cli.cfg.drive[3].serial, "X1");
	ck_assert(!cli.demo);
}
END_TEST

START_TEST(snapshot_is_for_every_disk_and_no_cd)
{
	ck_assert_int_eq(PARSE("-hda", "a", "-cdrom", "c", "-snapshot"), CLI_RUN);
	ck_assert(cli.cfg.drive[0].snapshot);
	ck_assert(!cli.cfg.drive[1].snapshot);
}
END_TEST

START_TEST(bad_drives)
{
	static const char *const row[][3] = {
	    {"-drive", "file=a,fromat=raw", "'format'"},
	    {"-drive", "file=a,format=qcow", "'qcow2'"},
	    {"-drive", "file=a,if=ied", "'ide'"},
	    {"-drive", "file=a,index=4", "IDE drives"},
	    {"-drive", "file=a,snapshot=perhaps", "on or off"},
	    {"-drive", "a.img", "file=a.img"},
	    {"-drive", "if=ide", "file=NAME"},
	    {"-hda", "", "file name"},
	    {"-boot", "x", "floppy"},
	    {"-boot", "mneu=on", "'menu'"},
	};
	bad(PARSE((char *)row[_i][0], (char *)row[_i][1]), row[_i][2]);
}
END_TEST

START_TEST(two_drives_in_one_place)
{
	bad(PARSE("-hda", "a", "-drive", "file=b,index=0"), "already");
	bad(PARSE("-drive", "file=a,id=x", "-drive", "file=b,id=x"), "id 'x'");
	bad(PARSE("-hda", "a", "-hdb", "b", "-hdc", "c", "-hdd", "d", "-drive", "file=e"), "one too many");
}
END_TEST

START_TEST(boot_order)
{
	ck_assert_int_eq(PARSE("-boot", "dc"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.boot_order, "dc");
	ck_assert_int_eq(PARSE("-boot", "order=c,once=d,menu=on,splash-time=500"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.boot_order, "c");
	ck_assert_str_eq(cli.cfg.boot_once, "d");
	ck_assert(cli.cfg.boot_menu);
	ck_assert_uint_eq(cli.cfg.boot_menu_ms, 500);
}
END_TEST

/* What a bare name becomes: 0 kernel, 1 CD, 2 diskette, 3 disk. */
START_TEST(a_bare_name_is_what_its_content_says)
{
	static const struct {
		long size, at;
		const char *bytes;
		unsigned n, what;
	} row[] = {
	    {34000, 0, "\x7f\x45\x4c\x46", 4, 0},
	    {1 << 20, 510, "\x55\xaa", 2, 3},
	    {1 << 20, 510, "\x55\xaa\0\0HdrS", 8, 0},
	    {1 << 20, 0x202, "HdrS", 4, 0},
	    {1474560, 510, "\x55\xaa", 2, 2},
	    {1474560, 0, "\xe9", 1, 2},
	    {1 << 20, 32769, "CD001", 5, 1},
	    {1 << 20, 0, "QFI\xfb\0\0\0\3", 8, 3},
	};
	char path[] = "/tmp/orrery-test-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, row[_i].size), 0);
	ck_assert_int_eq(pwrite(fd, row[_i].bytes, row[_i].n, row[_i].at), row[_i].n);
	close(fd);
	ck_assert_int_eq(PARSE(path), CLI_RUN);
	unlink(path);
	if (!row[_i].what) {
		ck_assert_str_eq(cli.cfg.kernel, path);
		return;
	}
	ck_assert_ptr_null(cli.cfg.kernel);
	ck_assert_uint_eq(cli.cfg.drives, 1);
	ck_assert_int_eq(cli.cfg.drive[0].cdrom, row[_i].what == 1);
	ck_assert_int_eq(cli.cfg.drive[0].interface == DRIVE_FLOPPY, row[_i].what == 2);
}
END_TEST

START_TEST(unknown_words_name_the_nearest)
{
	static const char *const row[][3] = {
	    {"-kernal", "x", "'kernel'"},
	    {"-nograhpic", NULL, "'nographic'"},
	    {"-device", "isa-debug-exti", "'isa-debug-exit'"},
	    {"-d", "itn", "'int'"},
	    {"-machine", "pc,hpte=on", "'hpet'"},
	    {"-serial", "stdoi", "'stdio'"},
	    {"-rtc", "bas=utc", "'base'"},
	    {"-display", "nnoe", "'none'"},
	};
	bad(PARSE((char *)row[_i][0], (char *)row[_i][1]), row[_i][2]);
}
END_TEST

START_TEST(refusals)
{
	static const char *const row[][3] = {
	    {"-kernel", NULL, "needs a value"},
	    {"-smp", "zero", "-smp"},
	    {"-smp", "0", "-smp"},
	    {"-smp", "9", "-smp"},
	    {"-cpu", "nosuchcpu", "-cpu"},
	    {"-cpu", "skylake,+nosuchfeature", "-cpu"},
	    {"-machine", "q35", "only the machine 'pc'"},
	    {"-timeout", "soon", "seconds"},
	    {"-timeout", "-1", "seconds"},
	    {"-max-insns", "1.5", "number"},
	    {"-max-insns", "99999999999999999999", "number"},
	    {"-rtc", "base=yesterday", "-rtc"},
	    {"-display", "vnc", "vnc=[HOST]:N"},
    {"-vga", "cirrus", "'std' and 'none'"},
    {"-screenshot", ",at=5", "FILE.png"},
    {"-screenshot", "a.png,at=soon", "guest seconds"},
	    {"-append", "x", "needs -kernel"},
	    {"-set", "nodot", "ID.KEY=VALUE"},
	    {"-serial", "chardev:x", "no -chardev"},
	    {"-chardev", "file,id=x", "expected"},
	    {"-config", "/nonexistent/f", "cannot read"},
	};
	bad(PARSE((char *)row[_i][0], (char *)row[_i][1]), row[_i][2]);
}
END_TEST

/* The line that kvm-unit-tests' x86/run composes. */
START_TEST(kvm_unit_tests_line)
{
	ck_assert_int_eq(PARSE("--no-reboot", "-nodefaults", "-global",
			       "kvm-pit.lost_tick_policy=discard", "-device", "pc-testdev",
			       "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-vnc", "none",
			       "-serial", "stdio", "-device", "pci-testdev", "-machine",
			       "accel=tcg,kernel_irqchip=split", "-kernel", "x.flat", "-smp", "1",
			       "-cpu", "max,host-phys-bits"),
			 CLI_RUN);
	ck_assert_str_eq(cli.cfg.device[1], "isa-debug-exit,iobase=0xf4,iosize=0x4");
	ck_assert_str_eq(cli.cfg.serial[0], "stdio");
	ck_assert(cli.cfg.no_reboot);
	ck_assert(!cli.mux);
}
END_TEST

START_TEST(kvm_unit_tests_probes)
{
	ck_assert_int_eq(PARSE("-device", "?"), CLI_DONE);
	ck_assert_ptr_nonnull(strstr(out_text, "\"pc-testdev\""));
	ck_assert_ptr_nonnull(strstr(out_text, "pci-testdev"));
	ck_assert_int_eq(PARSE("--help"), CLI_DONE);
	ck_assert_ptr_nonnull(strstr(out_text, "QEMU"));
	ck_assert_ptr_nonnull(strstr(out_text, "Orrery emulator version"));
}
END_TEST

START_TEST(notes_say_warning)
{
	ck_assert_int_eq(PARSE("-smp", "4", "-enable-kvm"), CLI_RUN);
	ck_assert_uint_eq(cli.cfg.cpus, 4);
	ck_assert_ptr_nonnull(strstr(out_text, "warning: accelerator 'kvm'"));
}
END_TEST

START_TEST(serial_places)
{
	ck_assert_int_eq(PARSE("-nographic", "-m", "64"), CLI_RUN);
	ck_assert(cli.mux);
	ck_assert_str_eq(cli.cfg.serial[0], "stdio,signal=off");
	ck_assert_int_eq(PARSE("-serial", "null", "-serial", "file:x"), CLI_RUN);
	ck_assert_str_eq(cli.cfg.serial[1], "file:x");
	ck_assert_int_eq(
	    PARSE("-chardev", "socket,id=c,port=44,server=on,wait=off", "-serial", "chardev:c"),
	    CLI_RUN);
	ck_assert_str_eq(cli.cfg.serial[0], "tcp:127.0.0.1:44,server,wait=off");
	ck_assert_int_eq(PARSE("-display", "none"), CLI_RUN);
	ck_assert_ptr_null(cli.cfg.serial[0]);
}
END_TEST

START_TEST(limits_and_logs)
{
	ck_assert_int_eq(PARSE("-timeout", "1.5", "-max-insns", "2M", "-d", "int,io"), CLI_RUN);
	ck_assert_uint_eq(cli.cfg.timeout_ns, 1500000000);
	ck_assert_uint_eq(cli.cfg.max_insns, 2000000);
	ck_assert_uint_eq(cli.cfg.log_classes, BIT(LOG_INT) | BIT(LOG_IO) | BIT(LOG_UNIMPLEMENTED));
}
END_TEST

START_TEST(rtc_bases)
{
	ck_assert_int_eq(PARSE("-rtc", "base=2000-01-02T03:04:05"), CLI_RUN);
	ck_assert_int_eq(cli.cfg.rtc_start_s, 946782245);
	ck_assert_int_eq(PARSE("-rtc", "base=utc,clock=vm"), CLI_RUN);
	ck_assert_int_gt(cli.cfg.rtc_start_s, 1700000000);
}
END_TEST

START_TEST(configuration_file_round_trip)
{
	char path[] = "/tmp/orrery-test-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	const char text[] = "# comment\n\n m = 64M \nkernel= a b\nno-reboot\nappend = x=1 y\n";
	ck_assert_int_eq(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	ck_assert_int_eq(PARSE("-config", path), CLI_RUN);
	ck_assert_uint_eq(cli.cfg.ram_bytes, 64 << 20);
	ck_assert_str_eq(cli.cfg.kernel, "a b");
	ck_assert_str_eq(cli.cfg.append, "x=1 y");
	ck_assert(cli.cfg.no_reboot);
	cli_free(&cli);
	ck_assert_int_eq(PARSE("-config", path, "-dump-config"), CLI_DONE);
	ck_assert_ptr_nonnull(
	    strstr(out_text, "m = 64M\nkernel = a b\nno-reboot\nappend = x=1 y\n"));
	unlink(path);
}
END_TEST

/* Strings by content, everything else by value: the two must mean the same machine. */
static void same(const char *a, const char *b)
{
	ck_assert_msg(!a == !b && (!a || !strcmp(a, b)), "'%s' became '%s'", a ? a : "(none)", b ? b : "(none)");
}

static void same_machine(const struct cli *a, const struct cli *b)
{
	ck_assert_uint_eq(a->cfg.ram_bytes, b->cfg.ram_bytes);
	ck_assert_uint_eq(a->cfg.cpus, b->cfg.cpus);
	same(a->cfg.cpu, b->cfg.cpu);
	same(a->cfg.kernel, b->cfg.kernel);
	same(a->cfg.append, b->cfg.append);
	same(a->cfg.boot_order, b->cfg.boot_order);
	same(a->cfg.audio, b->cfg.audio);
	ck_assert_uint_eq(a->devices, b->devices);
	for (unsigned i = 0; i < a->devices; i++)
		same(a->cfg.device[i], b->cfg.device[i]);
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		same(a->cfg.serial[i], b->cfg.serial[i]);
	for (unsigned i = 0; i < MACHINE_NETDEVS; i++)
		same(a->cfg.netdev[i].description, b->cfg.netdev[i].description);
	ck_assert_uint_eq(a->cfg.drives, b->cfg.drives);
	for (unsigned i = 0; i < a->cfg.drives; i++) {
		same(a->cfg.drive[i].id, b->cfg.drive[i].id);
		same(a->cfg.drive[i].path, b->cfg.drive[i].path);
		ck_assert_int_eq(a->cfg.drive[i].interface, b->cfg.drive[i].interface);
		ck_assert_uint_eq(a->cfg.drive[i].unit, b->cfg.drive[i].unit);
	}
	ck_assert_int_eq(a->cfg.no_reboot, b->cfg.no_reboot);
	ck_assert_int_eq(a->cfg.no_vga, b->cfg.no_vga);
	ck_assert_int_eq(a->cfg.no_hpet, b->cfg.no_hpet);
	ck_assert_int_eq(a->nographic, b->nographic);
	ck_assert_int_eq(a->snapshot, b->snapshot);
	ck_assert_uint_eq(a->cfg.timeout_ns, b->cfg.timeout_ns);
	ck_assert_uint_eq(a->cfg.log_classes, b->cfg.log_classes);
}

/* What -dump-config writes means the same as the command line it came from. */
static void round_trip(char *const *argv)
{
	static struct cli before;
	char path[] = "/tmp/orrery-test-XXXXXX";
	char *dump[40] = {NULL}, *from_file[] = {(char *)"orrery", (char *)"-config", path, NULL};
	unsigned n = 0;
	for (; argv[n]; n++)
		dump[n] = argv[n];
	dump[n] = (char *)"-dump-config";
	long from = ftell(out);
	ck_assert_int_eq(parse(dump), CLI_DONE);
	int fd = mkstemp(path);
	size_t size = out_size - (size_t)from;
	ck_assert_int_eq(write(fd, out_text + from, size), (ssize_t)size);
	close(fd);
	enum cli_outcome r = cli_parse(&before, (int)n, argv, out, out, &e);
	ck_assert_msg(r == CLI_RUN, "%s", e.s);
	r = parse(from_file);
	unlink(path);
	ck_assert_msg(r == CLI_RUN, "%s", e.s);
	same_machine(&before, &cli);
	cli_free(&before);
}
#define ROUND_TRIP(...) round_trip((char *[]){(char *)"orrery", __VA_ARGS__, NULL})

START_TEST(a_dumped_configuration_means_the_same)
{
	char disk[] = "/tmp/orrery-test-XXXXXX";
	int fd = mkstemp(disk);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
	ROUND_TRIP("-m", "64", "-cpu", "p3,-sse", "-hda", disk, "-cdrom", "", "-snapshot", "-boot", "order=dc", "-device", "sb16,irq=7",
		   "-nic", "user,model=ne2k_pci,hostfwd=tcp::2222-:22", "-no-reboot", "-d", "int,io");
	ROUND_TRIP("-kernel", "a kernel", "-append", "  two  spaces ", "-nographic", "-smp", "2");
	ROUND_TRIP("-append", "\"quoted\"", "a-kernel", "-timeout", "2.5", "-machine", "pc,hpet=off");
	ROUND_TRIP("-drive", "file=/dev/null,if=virtio,format=raw,id=x", "-serial", "null", "-serial", "file:/dev/null", "-vga", "none");
	unlink(disk);
}
END_TEST

/* Each ready machine can be had by its name, can be changed on the command line, and survives -dump-config. */
START_TEST(ready_machines)
{
	unsigned n = 0;
	for (const struct ready_config *c = ready_configs; c->name; c++, n++) {
		char name[32];
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(c->name, "."), c->name);
		ck_assert_msg(!strncmp(c->text, "# ", 2), "%s does not say what it is for", c->name);
		ck_assert_msg(PARSE("-config", name, "-m", "77", "-kernel", "k") == CLI_RUN, "%s: %s", name, e.s);
		ck_assert_uint_eq(cli.cfg.ram_bytes, 77 << 20);
		ROUND_TRIP("-config", name, "-kernel", "k");
	}
	ck_assert_uint_ge(n, 4);
	ck_assert_int_eq(PARSE("-config", "help"), CLI_DONE);
	ck_assert_ptr_nonnull(strstr(out_text, "win9x"));
	bad(PARSE("-config", "linus"), "did you mean 'linux'?");
}
END_TEST

/* What boots through firmware has a tablet; what does not gets what it asks for; nobody gets what was refused. */
START_TEST(usb_devices)
{
	char disk[] = "/tmp/orrery-test-XXXXXX";
	int fd = mkstemp(disk);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
	ck_assert_int_eq(PARSE("-hda", disk), CLI_RUN);
	ck_assert(cli.cfg.usb && cli.cfg.tablet);
	ck_assert_int_eq(PARSE("-hda", disk, "-machine", "pc,usb=off"), CLI_RUN);
	ck_assert(!cli.cfg.usb && !cli.cfg.tablet);
	ck_assert_int_eq(PARSE("-config", "dos", "-hda", disk), CLI_RUN);
	ck_assert(!cli.cfg.usb);
	ck_assert_int_eq(PARSE("-hda", disk, "-usb", "-device", "usb-tablet"), CLI_RUN);
	ck_assert(cli.cfg.usb && !cli.cfg.tablet); /* not a second one */
	ck_assert_int_eq(PARSE("-hda", disk, "-nodefaults"), CLI_RUN);
	ck_assert(!cli.cfg.usb);
	ck_assert_int_eq(PARSE("-kernel", "k"), CLI_RUN);
	ck_assert(!cli.cfg.usb);
	ck_assert_int_eq(PARSE("-kernel", "k", "-usbdevice", "tablet"), CLI_RUN);
	ck_assert(cli.cfg.usb && !cli.cfg.tablet);
	ck_assert_str_eq(cli.cfg.device[0], "usb-tablet");
	bad(PARSE("-kernel", "k", "-machine", "usb=off", "-device", "usb-tablet"), "usb=off");
	bad(PARSE("-usbdevice", "tabelt"), "did you mean 'tablet'?");
	bad(PARSE("-machine", "usb=perhaps"), "on or off");
	unlink(disk);
}
END_TEST

START_TEST(configuration_file_errors_name_the_line)
{
	char path[] = "/tmp/orrery-test-XXXXXX";
	int fd = mkstemp(path);
	const char text[] = "m = 64M\nkernal = x\n";
	ck_assert_int_eq(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	enum cli_outcome r = PARSE("-config", path);
	unlink(path);
	bad(r, ":2: ");
	ck_assert_ptr_nonnull(strstr(e.s, "'kernel'"));
}
END_TEST

START_TEST(a_file_that_includes_itself_ends)
{
	char path[] = "/tmp/orrery-test-XXXXXX", text[64];
	int fd = mkstemp(path), n = snprintf(text, sizeof(text), "config = %s\n", path);
	ck_assert_int_eq(write(fd, text, (size_t)n), n);
	close(fd);
	enum cli_outcome r = PARSE("-config", path);
	unlink(path);
	bad(r, "include each other");
}
END_TEST

START_TEST(mux_commands)
{
	u8 text[] = {'a', 1, 1, 'b', 1, 'q', 'c', 1};
	memset(&cli, 0, sizeof(cli));
	cli.out = out;
	ck_assert_uint_eq(cli_mux(&cli, text, sizeof(text)), 4);
	ck_assert_mem_eq(text, "a\001bc", 4);
	u8 help[] = {'h', 'd'}; /* the escape is remembered between calls */
	ck_assert_uint_eq(cli_mux(&cli, help, 2), 1);
	ck_assert_uint_eq(help[0], 'd');
	fflush(out);
	ck_assert_ptr_nonnull(strstr(out_text, "Ctrl-A x"));
}
END_TEST

START_TEST(exit_statuses_are_distinct_and_even)
{
	bool seen[256] = {false};
	for (int i = END_POWER_OFF; i < END_REASONS; i++) {
		struct machine_result r = {.reason = (enum end_reason)i, .debug_code = 3};
		int s = exit_status(&r);
		ck_assert_int_ge(s, 0);
		ck_assert_int_lt(s, 256);
		ck_assert_msg(!seen[s], "status %d stands for two reasons", s);
		seen[s] = true;
		if (i == END_DEBUG_EXIT)
			ck_assert_int_eq(s, 7);
		else
			ck_assert_int_eq(s & 1, 0);
		if (i != END_DEBUG_EXIT && i != END_POWER_OFF)
			ck_assert_int_ge(s, 64);
	}
	ck_assert_int_eq(exit_status_of_error(-EINVAL), EXIT_USAGE);
	ck_assert_int_eq(exit_status_of_error(-ENOENT), EXIT_IMAGE);
	ck_assert_int_eq(exit_status_of_error(-ENOEXEC), EXIT_IMAGE);
	ck_assert_int_eq(exit_status_of_error(-ENOMEM), EXIT_INTERNAL);
}
END_TEST

START_TEST(verdict_is_json)
{
	struct verdict v = {.reason = "hang",
			    .exit_status = 68,
			    .name = "a \"b\"\n",
			    .ran = true,
			    .state_hash = 0x12,
			    .result = {.instructions = 5000000,
				       .real_ns = 1000000000,
				       .virtual_ns = 5000000,
				       .explanation = "x\ty"}};
	char *text = verdict_text(&v);
	ck_assert_ptr_nonnull(strstr(text, "\"exit_status\": 68,"));
	ck_assert_ptr_nonnull(strstr(text, "\"name\": \"a \\\"b\\\"\\n\""));
	ck_assert_ptr_nonnull(strstr(text, "\"mips\": 5.0"));
	ck_assert_ptr_nonnull(strstr(text, "\"state_hash\": \"0000000000000012\""));
	ck_assert_ptr_nonnull(strstr(text, "\"explanation\": \"x\\u0009y\""));
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("options");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, no_arguments_run_the_demo_on_the_terminal);
	tcase_add_loop_test(t, memory_sizes, 0, 6);
	tcase_add_loop_test(t, bad_memory_sizes, 0, 7);
	tcase_add_test(t, pictures_at_instants);
	tcase_add_test(t, adapter_is_there_unless_refused);
	tcase_add_test(t, one_dash_or_two);
	tcase_add_test(t, a_bare_name_is_the_kernel);
	tcase_add_test(t, drives_have_places_and_names);
	tcase_add_test(t, snapshot_is_for_every_disk_and_no_cd);
	tcase_add_loop_test(t, bad_drives, 0, 10);
	tcase_add_test(t, two_drives_in_one_place);
	tcase_add_test(t, boot_order);
	tcase_add_loop_test(t, a_bare_name_is_what_its_content_says, 0, 8);
	tcase_add_loop_test(t, unknown_words_name_the_nearest, 0, 8);
	tcase_add_loop_test(t, refusals, 0, 18);
	tcase_add_test(t, kvm_unit_tests_line);
	tcase_add_test(t, kvm_unit_tests_probes);
	tcase_add_test(t, notes_say_warning);
	tcase_add_test(t, serial_places);
	tcase_add_test(t, limits_and_logs);
	tcase_add_test(t, rtc_bases);
	tcase_add_test(t, configuration_file_round_trip);
	tcase_add_test(t, a_dumped_configuration_means_the_same);
	tcase_add_test(t, ready_machines);
	tcase_add_test(t, usb_devices);
	tcase_add_test(t, configuration_file_errors_name_the_line);
	tcase_add_test(t, a_file_that_includes_itself_ends);
	tcase_add_test(t, mux_commands);
	tcase_add_test(t, exit_statuses_are_distinct_and_even);
	tcase_add_test(t, verdict_is_json);
	suite_add_tcase(s, t);
	return run_suite(s);
}
