/* Labs in folders: read, built with the host's compiler, made from a skeleton. See lab.h. */
#define _GNU_SOURCE
#include "frontend/cli/lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/host.h"

#define FILE_MAX (4u << 20)
#define ARGS_MAX 96

static int read_part(const char *path, const char *part, char **data, size_t *n, const char *what, struct errtext *e)
{
	char name[4096];
	u8 *bytes;
	u64 size;

	snprintf(name, sizeof(name), "%s/%s", path, part);
	int r = host_file_read(name, FILE_MAX, &bytes, &size);
	if (r == -ENOENT)
		return err_set(e, r, "%s is missing: %s", name, what);
	if (r)
		return err_set(e, r, "%s: %s", name, strerror(-r));
	*data = (char *)bytes;
	*n = (size_t)size;
	return 0;
}

int lab_folder_read(struct lab_folder *d, const char *path, struct errtext *e)
{
	struct stat st;

	*d = (struct lab_folder){0};
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOENT, "%s: there is no such lab, and no such folder; 'orrery lab' lists the labs", path);
	int r = read_part(path, "lab.json", &d->json, &d->json_n, "a lab's title, questions and expected observations", e);
	if (!r)
		r = read_part(path, "text.md", &d->text, &d->text_n, "the page that a student reads first", e);
	return r;
}

void lab_folder_free(struct lab_folder *d)
{
	free(d->json);
	free(d->text);
	free(d->image);
	*d = (struct lab_folder){0};
}

/* ---- building ---------------------------------------------------------------------------------- */

/* Runs @argv, its output in @text (cut to @n). The exit status, or -errno. */
static int run_tool(char *const *argv, char *text, size_t n)
{
	int fd[2], status;
	size_t used = 0;
	char buf[512];
	ssize_t got;

	if (pipe(fd))
		return -errno;
	pid_t pid = fork();
	if (pid < 0) {
		close(fd[0]);
		close(fd[1]);
		return -errno;
	}
	if (!pid) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		setenv("LC_ALL", "C", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	while ((got = read(fd[0], buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < got; i++)
			if (used + 1 < n)
				text[used++] = buf[i];
	text[used] = 0;
	close(fd[0]);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

struct args {
	char *v[ARGS_MAX + 1];
	unsigned n;
};

static void PRINTF_LIKE(2, 3) arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (a->n < ARGS_MAX && vasprintf(&a->v[a->n], fmt, ap) >= 0)
		a->n++;
	va_end(ap);
}

static void args_free(struct args *a)
{
	while (a->n)
		free(a->v[--a->n]);
	*a = (struct args){0};
}

static int write_common(const char *dir, struct errtext *e)
{
	char path[4096];

	for (const struct lab_file *f = lab_common; f->name; f++) {
		snprintf(path, sizeof(path), "%s/%s", dir, f->name);
		int r = host_file_write_atomic(path, f->data, (u64)(f->end - f->data));
		if (r)
			return err_set(e, r, "%s: %s", path, strerror(-r));
	}
	return 0;
}

static void remove_dir(const char *dir)
{
	static const char *const made[] = {"guest.elf", "guest.bin", NULL};
	char path[4096];

	for (const struct lab_file *f = lab_common; f->name; f++) {
		snprintf(path, sizeof(path), "%s/%s", dir, f->name);
		unlink(path);
	}
	for (unsigned i = 0; made[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* The flags of labs/CMakeLists.txt. */
static void compiler_args(struct args *a, const char *dir, const char *path, const struct lab *l)
{
	static const char *const flags[] = {
	    "-O2", "-std=gnu11", "-ffreestanding", "-fno-pic", "-fno-pie", "-no-pie", "-mno-red-zone", "-mgeneral-regs-only",
	    "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-fno-jump-tables", "-fno-builtin",
	    "-Wall", "-Wextra", "-Wno-unused-parameter", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
	    "-Wl,-z,max-page-size=4096", "-Wl,--no-warn-rwx-segments"};
	const json_t *sources = json_object_get(l->desc, "sources");
	const char *cc = getenv("LAB_CC");
	size_t i;
	json_t *s;

	arg(a, "%s", cc && *cc ? cc : "gcc");
	arg(a, "-m%u", lab_mode(l));
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		arg(a, "%s", flags[i]);
	arg(a, "-I%s", dir);
	arg(a, "-Wl,-T,%s/guest.ld", dir);
	arg(a, "-o");
	arg(a, "%s/guest.elf", dir);
	arg(a, "%s/start.S", dir);
	arg(a, "%s/lab.c", dir);
	if (lab_mode(l) == 64) {
		arg(a, "%s/vmx.c", dir);
		arg(a, "%s/vmxrun.S", dir);
		arg(a, "%s/bt.c", dir);
	}
	if (!sources)
		arg(a, "%s/guest.c", path);
	json_array_foreach((json_t *)sources, i, s) arg(a, "%s/%s", path, json_string_value(s) ? json_string_value(s) : "?");
}

static int run_step(struct args *a, const char *what, struct errtext *e)
{
	char text[560];
	int r = run_tool(a->v, text, sizeof(text));

	if (r == 127)
		r = err_set(e, -ENOENT, "%s cannot be started: install it (package %s)", a->v[0], what);
	else if (r < 0)
		r = err_set(e, r, "%s: %s", a->v[0], strerror(-r));
	else if (r)
		r = err_set(e, -ENOEXEC, "%s", text);
	args_free(a);
	return r;
}

static int sources_there(const char *path, const struct lab *l, struct errtext *e)
{
	const json_t *sources = json_object_get(l->desc, "sources");
	char name[4096];
	size_t i;

	for (i = 0; i < (sources ? json_array_size(sources) : 1); i++) {
		const char *s = sources ? json_string_value(json_array_get(sources, i)) : "guest.c";
		snprintf(name, sizeof(name), "%s/%s", path, s ? s : "?");
		if (access(name, R_OK))
			return err_set(e, -ENOENT, "%s is missing: a source of the lab's guest%s", name,
				       sources ? ", named in lab.json under sources" : "");
	}
	return 0;
}

static int build_in(struct lab_folder *d, const char *path, const struct lab *l, const char *dir, struct errtext *e)
{
	struct args a = {0};
	char name[4096];
	int r = write_common(dir, e);

	if (r)
		return r;
	compiler_args(&a, dir, path, l);
	if ((r = run_step(&a, "gcc", e)))
		return r;
	arg(&a, "objcopy");
	arg(&a, "-O");
	arg(&a, "binary");
	arg(&a, "%s/guest.elf", dir);
	arg(&a, "%s/guest.bin", dir);
	if ((r = run_step(&a, "binutils", e)))
		return r;
	snprintf(name, sizeof(name), "%s/guest.bin", dir);
	r = host_file_read(name, FILE_MAX, &d->image, &d->image_n);
	return r ? err_set(e, r, "%s: %s", name, strerror(-r)) : 0;
}

int lab_folder_build(struct lab_folder *d, const char *path, const struct lab *l, struct errtext *e)
{
	const char *tmp = getenv("TMPDIR");
	char dir[4000];
	int r = sources_there(path, l, e);

	if (r)
		return r;
	snprintf(dir, sizeof(dir), "%s/orrery-lab-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	r = build_in(d, path, l, dir, e);
	remove_dir(dir);
	return r;
}

/* ---- new folders --------------------------------------------------------------------------------- */

static const char new_json[] =
    "{\n"
    "  \"title\": \"%s\",\n"
    "  \"about\": \"one line for the list\",\n"
    "  \"mode\": 32,\n"
    "  \"budget\": 1000000,\n"
    "  \"probes\": {\"events\": [\"ring\", \"exception\", \"interrupt\"], \"counters\": [\"insns\", \"fault.*\", \"ring.*\"]},\n"
    "  \"questions\": [\n"
    "    {\"ask\": \"Ring 3 executes CLI while IOPL is 0. What happens?\",\n"
    "     \"choices\": {\"nothing, it is ignored\": 255, \"#UD\": 6, \"#GP\": 13},\n"
    "     \"phase\": \"cli\", \"key\": \"vector\",\n"
    "     \"why\": \"CLI checks CPL against IOPL (SDM Vol. 2A): above it, #GP(0).\"}\n"
    "  ],\n"
    "  \"expect\": [\n"
    "    {\"phase\": \"cli\", \"key\": \"vector\", \"is\": 13, \"why\": \"CPL 3 is above IOPL 0\"},\n"
    "    {\"phase\": \"cli\", \"key\": \"fault.GP\", \"is\": 1, \"why\": \"the processor delivered it once\"}\n"
    "  ],\n"
    "  \"tables\": [\n"
    "    {\"title\": \"What it cost\", \"phases\": [\"cli\", \"work\"], \"columns\": {\"instructions\": \"insns\", \"faults\": \"faults\"}}\n"
    "  ]\n"
    "}\n";

static const char new_guest[] =
    "/* A lab's guest: what it may use is in lab.h (orrery lab -common shows it). */\n"
    "#include \"lab.h\"\n"
    "\n"
    "/* Code for outer rings is marked USER. */\n"
    "static USER uw try_cli(uw arg)\n"
    "{\n"
    "\tASM(\"cli\");\n"
    "\treturn arg;\n"
    "}\n"
    "\n"
    "static USER uw work(uw n)\n"
    "{\n"
    "\tuw sum = 0;\n"
    "\twhile (n)\n"
    "\t\tsum += n--;\n"
    "\treturn sum;\n"
    "}\n"
    "\n"
    "void lab_main(void)\n"
    "{\n"
    "\tphase(\"cli\"); /* counters run from here ... */\n"
    "\tin_ring(3, try_cli, 0);\n"
    "\tphase_end(); /* ... to here */\n"
    "\tsay(\"CLI in ring 3: %%s\\n\", vector_name(last.vector));\n"
    "\tobs(\"vector\", (uw)last.vector & 0xff);\n"
    "\n"
    "\tphase(\"work\");\n"
    "\tin_ring(3, work, 100);\n"
    "\tphase_end();\n"
    "\tobs(\"sum\", last.value);\n"
    "}\n";

static const char new_text[] =
    "# %s\n\n"
    "What the manual says, and what to predict. A blank line ends a paragraph.\n\n"
    "- Read this page.\n"
    "- Answer the questions before the guest runs.\n"
    "- Change `guest.c` and run the lab again.\n";

static int put_file(const char *dir, const char *name, const void *data, size_t n, struct errtext *e)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int r = host_file_write_atomic(path, data, n);
	return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int put_template(const char *dir, const char *name, const char *template, const char *title, struct errtext *e)
{
	char text[4096];
	/* The templates are ours; the title was checked to be a plain name. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	int n = snprintf(text, sizeof(text), template, title);
#pragma GCC diagnostic pop
	return put_file(dir, name, text, (size_t)n, e);
}

int lab_folder_new(const char *name, const struct lab_builtin *from, struct errtext *e)
{
	const char *slash = strrchr(name, '/'), *title = slash ? slash + 1 : name;

	if (!*title || strlen(title) > 60 || strspn(title, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(title))
		return err_set(e, -EINVAL, "'%s': a lab's name is made of letters, digits, '-', '_' and '.'", title);
	if (mkdir(name, 0777))
		return err_set(e, -errno, "%s: %s", name, errno == EEXIST ? "is there already; choose another name" : strerror(errno));
	int r = 0;
	if (from) {
		for (const struct lab_file *f = from->files; f->name && !r; f++)
			r = put_file(name, f->name, f->data, (size_t)(f->end - f->data), e);
		return r;
	}
	r = put_template(name, "lab.json", new_json, title, e);
	if (!r)
		r = put_template(name, "text.md", new_text, title, e);
	return r ? r : put_template(name, "guest.c", new_guest, title, e);
}
