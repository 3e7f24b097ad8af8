/*
 * RFB server: the picture is copied out of the display as it changes, small old modes doubled; keys and pointer go into the
 * machine's input queue. Everything of libvncserver happens on one thread, which wakes 60 times a second while somebody
 * looks at what changes, 20 times if nothing does, and 10 times otherwise.
 *
 * Not modelled: clipboard, resizing by the viewer. A guest that asks the tablet is told where the viewer's pointer is. A PS/2
 * mouse only knows motion, so there the guest's pointer is led by differences, and pushed against the edges to find it again.
 */
#include "frontend/vnc/vnc.h"

#include <errno.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <rfb/rfb.h>
#include "base/host.h"
#include "devices/display/display.h"
#include "frontend/vnc/keys.h"

#define BASE_PORT    5900
#define WATCHED_US   16000
#define QUIET_US     50000
#define QUIET_AFTER  30 /* looks that found nothing new */
#define UNWATCHED_US 100000
#define EDGE_PUSH    64 /* counts against an edge */
#define PASSWORD_MAX 64

struct vnc {
	struct machine *m;
	const struct keymap *keymap;
	struct display *d;
	rfbScreenInfoPtr screen;
	struct host_thread *thread;
	atomic_bool stop;
	unsigned viewers, quiet; /* quiet: looks since the picture or a viewer did something */
	u32 *pixels;
	u32 w, h, fx, fy; /* of the served picture; how often each pixel is repeated */
	u64 generation, geometry;
	int x, y, buttons; /* the viewer's pointer as last heard */
	bool pointer_known;
	char password[PASSWORD_MAX + 1];
	char *passwords[2];
};

/* ---- picture -------------------------------------------------------------------------------- */

static void copy_rect(struct vnc *v, const struct display_surface *s, const struct display_rect *r)
{
	for (u32 y = r->y; y < r->y + r->h; y++) {
		const u32 *in = s->pixels + (size_t)y * s->stride;
		u32 *out = v->pixels + (size_t)y * v->fy * v->w;
		for (u32 x = r->x; x < r->x + r->w; x++)
			for (u32 k = 0; k < v->fx; k++)
				out[x * v->fx + k] = in[x];
		for (u32 k = 1; k < v->fy; k++)
			memcpy(out + k * v->w + r->x * v->fx, out + r->x * v->fx, (size_t)r->w * v->fx * 4);
	}
}

/* True if there is memory for the size of @s now. */
static bool fit(struct vnc *v, const struct display_surface *s)
{
	u32 fx = s->aspect_w && s->width <= 400 ? 2 : 1, fy = s->aspect_w && s->height <= 240 ? 2 : 1;
	u32 w = s->width * fx, h = s->height * fy, *old = v->pixels;
	if (v->pixels && w == v->w && h == v->h) {
		v->fx = fx;
		v->fy = fy;
		return true;
	}
	u32 *pixels = calloc((size_t)w * h, sizeof(u32));
	if (!pixels)
		return false;
	v->pixels = pixels;
	v->w = w;
	v->h = h;
	v->fx = fx;
	v->fy = fy;
	if (v->screen)
		rfbNewFramebuffer(v->screen, (char *)pixels, (int)w, (int)h, 8, 3, 4);
	free(old);
	return true;
}

/* The surface is 0x00RRGGBB in host order. */
static void set_format(rfbScreenInfoPtr s)
{
	s->serverFormat.redShift = 16;
	s->serverFormat.greenShift = 8;
	s->serverFormat.blueShift = 0;
}

static void update(struct vnc *v)
{
	struct display_rect r;
	const struct display_surface *s = display_lock(v->d, v->generation, &r);
	bool resized = s->geometry != v->geometry;
	if (resized)
		r = (struct display_rect){0, 0, s->width, s->height};
	v->quiet = r.w ? 0 : v->quiet + 1;
	if (r.w && fit(v, s)) {
		copy_rect(v, s, &r);
		v->generation = s->generation;
		v->geometry = s->geometry;
	}
	display_unlock(v->d);
	if (resized)
		set_format(v->screen);
	if (r.w)
		rfbMarkRectAsModified(v->screen, (int)(r.x * v->fx), (int)(r.y * v->fy), (int)((r.x + r.w) * v->fx),
				      (int)((r.y + r.h) * v->fy));
}

/* ---- input ---------------------------------------------------------------------------------- */

static void on_key(rfbBool down, rfbKeySym key, rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	u16 code = vnc_key(v->keymap, key);
	v->quiet = 0;
	if (code)
		machine_send_key(v->m, code, down);
}

/* Motion from @from to @to of @size, and a push if the pointer rests at an edge. */
static int motion(int from, int to, u32 size, u32 factor)
{
	int d = to / (int)factor - from / (int)factor;
	if (to <= 0)
		return d - EDGE_PUSH;
	return to >= (int)size - 1 ? d + EDGE_PUSH : d;
}

static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	unsigned buttons = (unsigned)((mask & 1) | (mask & 4) >> 1 | (mask & 2) << 1);
	int wheel = mask & 8 && !(v->buttons & 8) ? -1 : mask & 16 && !(v->buttons & 16) ? 1 : 0, dx = 0, dy = 0;
	struct machine_stats s;
	machine_stats(v->m, &s);
	v->quiet = 0;
	if (s.pointer_wanted) {
		unsigned px = (unsigned)MAX(x, 0) * 32767u / MAX(v->w - 1, 1u), py = (unsigned)MAX(y, 0) * 32767u / MAX(v->h - 1, 1u);
		if (machine_send_pointer(v->m, MIN(px, 32767u), MIN(py, 32767u), wheel, buttons))
			v->buttons = mask;
		v->pointer_known = false;
		return;
	}
	if (v->pointer_known) {
		dx = motion(v->x, x, v->w, v->fx);
		dy = motion(v->y, y, v->h, v->fy);
	}
	if (!machine_send_mouse(v->m, dx, dy, wheel, buttons))
		return; /* the guest is behind: the next event brings the difference */
	v->pointer_known = true;
	v->x = x;
	v->y = y;
	v->buttons = mask;
}

static void gone(rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	v->viewers--;
	display_detach(v->d);
}

static enum rfbNewClientAction come(rfbClientPtr client)
{
	struct vnc *v = client->screen->screenData;
	client->clientGoneHook = gone;
	v->viewers++;
	display_attach(v->d);
	return RFB_CLIENT_ACCEPT;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void serve(void *ctx)
{
	struct vnc *v = ctx;
	while (!atomic_load(&v->stop)) {
		rfbProcessEvents(v->screen, !v->viewers ? UNWATCHED_US : v->quiet > QUIET_AFTER ? QUIET_US : WATCHED_US);
		if (v->viewers)
			update(v);
	}
}

static int read_password(struct vnc *v, const char *path, struct errtext *e)
{
	u8 *data;
	u64 n;
	int r = host_file_read(path, 4096, &data, &n);
	if (r)
		return err_set(e, r, "-vnc: cannot read the password file '%s': %s", path, strerror(-r));
	size_t len = strcspn((char *)data, "\r\n");
	bool good = len && len <= PASSWORD_MAX;
	if (good)
		memcpy(v->password, data, len);
	free(data);
	v->passwords[0] = v->password;
	return good ? 0 : err_set(e, -EINVAL, "-vnc: '%s' has no password in its first line", path);
}

struct address {
	char host[64];
	int port;
	char password[512];
};

static int parse(const char *where, struct address *a, struct errtext *e)
{
	const char *colon = strchr(where, ':'), *comma = strchr(where, ',');
	char *end;
	*a = (struct address){.host = "127.0.0.1"};
	if (!colon || (comma && comma < colon) || (size_t)(colon - where) >= sizeof(a->host))
		return err_set(e, -EINVAL, "-vnc %s: expected [HOST]:N, as in :0", where);
	if (colon != where)
		snprintf(a->host, sizeof(a->host), "%.*s", (int)(colon - where), where);
	if (!strcmp(a->host, "localhost"))
		strcpy(a->host, "127.0.0.1");
	long n = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || (*end && *end != ',') || n < 0 || n > 65535 - BASE_PORT)
		return err_set(e, -EINVAL, "-vnc %s: the number behind the colon is added to port %d", where, BASE_PORT);
	a->port = BASE_PORT + (int)n;
	if (*end && strncmp(end, ",password=", 10))
		return err_set(e, -EINVAL, "-vnc %s: the one setting is password=FILE", where);
	snprintf(a->password, sizeof(a->password), "%s", *end ? end + 10 : "");
	return 0;
}

static int open_screen(struct vnc *v, const struct address *a, const char *name, struct errtext *e)
{
	rfbScreenInfoPtr s = rfbGetScreen(NULL, NULL, (int)v->w, (int)v->h, 8, 3, 4);
	if (!s)
		return err_set(e, -ENOMEM, "no memory for the VNC server");
	v->screen = s;
	s->frameBuffer = (char *)v->pixels;
	s->screenData = v;
	s->desktopName = name ? name : "Orrery";
	s->alwaysShared = TRUE;
	s->autoPort = FALSE;
	s->port = a->port;
	s->ipv6port = 0;
	s->httpPort = s->http6Port = 0;
	s->cursor = NULL;
	s->kbdAddEvent = on_key;
	s->ptrAddEvent = on_pointer;
	s->newClientHook = come;
	if (!inet_aton(a->host, (struct in_addr *)&s->listenInterface))
		return err_set(e, -EINVAL, "-vnc: '%s' is not an IPv4 address", a->host);
	if (*v->password) {
		s->authPasswdData = v->passwords;
		s->passwordCheck = rfbCheckPasswordByList;
	}
	set_format(s);
	rfbInitServer(s);
	if (s->listenSock < 0)
		return err_set(e, -EADDRINUSE, "-vnc: cannot listen at %s port %d: is it taken?", a->host, a->port);
	return 0;
}

static void free_all(struct vnc *v)
{
	if (v->screen) {
		rfbShutdownServer(v->screen, TRUE);
		v->screen->frameBuffer = NULL;
		rfbScreenCleanup(v->screen);
	}
	free(v->pixels);
	free(v);
}

int vnc_check(const char *where, struct errtext *e)
{
	struct address a;
	return parse(where, &a, e);
}

struct vnc *vnc_start(struct machine *m, const char *where, const struct keymap *keymap, const char *name, struct errtext *e)
{
	struct address a;
	struct vnc *v = calloc(1, sizeof(*v));
	if (!v) {
		err_set(e, -ENOMEM, "no memory for the VNC server");
		return NULL;
	}
	v->m = m;
	v->keymap = keymap;
	v->d = machine_display(m);
	v->geometry = UINT64_MAX;
	atomic_init(&v->stop, false);
	rfbLogEnable(FALSE);
	bool room = fit(v, display_lock(v->d, 0, NULL));
	display_unlock(v->d);
	int r = room ? parse(where, &a, e) : err_set(e, -ENOMEM, "no memory for the VNC server");
	if (!r && *a.password)
		r = read_password(v, a.password, e);
	if (!r)
		r = open_screen(v, &a, name, e);
	if (!r && !(v->thread = host_thread_start(serve, v)))
		r = err_set(e, -EAGAIN, "cannot start a thread for the VNC server");
	if (r) {
		free_all(v);
		return NULL;
	}
	machine_set_pace(m, PACE_REAL_TIME);
	return v;
}

void vnc_stop(struct vnc *v)
{
	if (!v)
		return;
	atomic_store(&v->stop, true);
	host_thread_join(v->thread);
	free_all(v);
}
