/*
 * The screen over the network: an RFB (VNC) server for one machine, on a thread of its own, through libvncserver. Browsers
 * reach it on the same port by WebSocket (noVNC).
 */
#ifndef ORRERY_VNC_H
#define ORRERY_VNC_H

#include "machine/machine.h"

struct vnc;
struct keymap;

/**
 * Starts serving @m at @where: "[HOST]:N[,password=FILE]" (port 5900 + N). Without a host only this computer is served;
 * @keymap: of the guest, for viewers name keys by what they mean. "0.0.0.0:N" serves everybody. NULL with a message (a bad address, the port is taken, no password in the file).
 */
struct vnc *vnc_start(struct machine *m, const char *where, const struct keymap *keymap, const char *name, struct errtext *e);
/** What can be seen of @where beforehand: 0, or -EINVAL with a message. */
MUST_CHECK int vnc_check(const char *where, struct errtext *e);
/** Ends the server; before the machine goes. @v may be NULL. */
void vnc_stop(struct vnc *v);

#endif
