#!/usr/bin/env python3
"""Drives Orrery's window as a person would, on a display of its own (Xvfb): real key and mouse events, screenshots compared.

usage: drive.py ORRERY GUEST [--keep FOLDER]
GUEST is the program built from guest.S. With --keep the pictures stay. Exit status 0 when every check held, 77 when Xvfb,
xdotool or ImageMagick are missing.
"""
import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

NEEDED = ["Xvfb", "xdotool", "import", "convert", "setxkbmap", "xclip"]


class Failed(Exception):
    pass


def wait_for(what, check, seconds=10.0):
    """Polls until check() gives something true, and returns that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise Failed("waited in vain for " + what)


class Screen:
    """An X server without a monitor."""

    def __init__(self, size="1700x1000"):
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", size + "x24", "-nolisten", "tcp", "-noreset"],
            pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as end:
            number = end.readline().strip()
        if not number:
            raise Failed("Xvfb did not start")
        self.env = dict(os.environ, DISPLAY=":" + number, SDL_RENDER_DRIVER="software", LC_ALL="C")
        self.env.pop("WAYLAND_DISPLAY", None)
        self.env.pop("SDL_VIDEODRIVER", None)

    def run(self, *argv, data=None):
        return subprocess.run(argv, env=self.env, input=data, capture_output=True, timeout=20, text=True).stdout

    def tool(self, *argv):
        return self.run("xdotool", *argv)

    def close(self):
        self.server.terminate()
        self.server.wait()


class Emulator:
    def __init__(self, screen, argv, folder):
        self.screen = screen
        self.log = os.path.join(folder, "serial.txt")
        self.errors = open(os.path.join(folder, "errors.txt"), "w+")
        self.seen = 0
        self.process = subprocess.Popen(argv + ["-serial", "file:" + self.log], env=screen.env, cwd=folder,
                                        stdin=subprocess.DEVNULL, stderr=self.errors)
        self.window = wait_for("the window", self.find)
        screen.tool("windowfocus", "--sync", self.window)
        wait_for("the guest", lambda: "ready" in self.text())
        self.seen = len(self.text())

    def find(self):
        if self.process.poll() is not None:
            self.errors.seek(0)
            raise Failed("the emulator ended: " + self.errors.read())
        return self.screen.tool("search", "--onlyvisible", "--pid", str(self.process.pid)).split("\n")[0]

    def text(self):
        try:
            with open(self.log, encoding="latin-1") as f:
                return f.read()
        except OSError:
            return ""

    def new(self):
        """What the guest has said since it was last asked: the bytes of keyboard or mouse."""
        lines = self.text()
        fresh = lines[self.seen:lines.rfind("\n") + 1]
        self.seen += len(fresh)
        return [(line[0], int(line[2:], 16)) for line in fresh.splitlines() if re.match(r"[kmt] [0-9a-f]{2}$", line)]

    def expect_keys(self, what, codes):
        got = []

        def enough():
            got.extend(v for kind, v in self.new() if kind == "k")
            return len(got) >= len(codes)

        try:
            wait_for(what, enough, 5)
        except Failed:
            pass
        if got != codes:
            raise Failed("%s: expected %s, got %s" % (what, bytes(codes).hex(" "), bytes(got).hex(" ")))

    def title(self):
        return self.screen.tool("getwindowname", self.window).strip()

    def picture(self, path):
        self.screen.run("import", "-silent", "-window", self.window, path)
        return path

    def size(self):
        text = self.screen.tool("getwindowgeometry", "--shell", self.window)
        return tuple(int(re.search(name + r"=(\d+)", text).group(1)) for name in ("WIDTH", "HEIGHT"))


def client_message(env, window, kind, *data):
    """Sends the window a message of another client's; data are longs, or names of atoms (ICCCM 4.2.8)."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    x.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x.XCloseDisplay.argtypes = [ctypes.c_void_p]

    class Message(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                    ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                    ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("pad", ctypes.c_long * 24)]

    display = x.XOpenDisplay(env["DISPLAY"].encode())
    message = Message(type=33, window=int(window), format=32)
    message.message_type = x.XInternAtom(display, kind.encode(), 0)
    for i, value in enumerate(data):
        message.data[i] = x.XInternAtom(display, value.encode(), 0) if isinstance(value, str) else value
    x.XSendEvent(display, int(window), 0, 0, ctypes.byref(message))
    x.XCloseDisplay(display)


def close_button(env, window):
    """What a window manager sends when its close button is clicked (ICCCM 4.2.8.1)."""
    client_message(env, window, "WM_PROTOCOLS", "WM_DELETE_WINDOW")


def pixels(path):
    """Width, height and RGB bytes of a picture."""
    raw = subprocess.run(["convert", path, "-depth", "8", "ppm:-"], capture_output=True, check=True).stdout
    kind, width, height, _, data = re.match(rb"(P6)\s+(\d+)\s+(\d+)\s+(\d+)\s(.*)", raw, re.S).groups()
    return int(width), int(height), data


def find_scaled(window, guest):
    """By what whole factor, and where, the guest's picture stands pixel for pixel in the window's; None: nowhere."""
    (ww, wh, wd), (gw, gh, gd) = window, guest
    for k in range(min(ww // gw, wh // gh), 0, -1):
        rows = [b"".join(gd[(y * gw + x) * 3:(y * gw + x) * 3 + 3] * k for x in range(gw)) for y in (0, gh // 2, gh - 1)]
        left = (ww - gw * k) // 2
        for top in range(0, wh - gh * k + 1):
            if all(wd[((top + (y * k) + i) * ww + left) * 3:][:gw * k * 3] == row
                   for y, row in zip((0, gh // 2, gh - 1), rows) for i in range(k)):
                return k, left, top
    return None


def check_keys(screen, e):
    screen.tool("key", "a", "Up", "F12")
    e.expect_keys("keys", [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x58, 0xd8])
    screen.tool("key", "shift+x")
    e.expect_keys("a key with Shift", [0x2a, 0x2d, 0xaa, 0xad])
    # The same places on a French keyboard say A and Q: the guest must not notice (keycode 38 is the key left of S).
    screen.run("setxkbmap", "fr")
    time.sleep(0.3)
    screen.tool("key", "38", "24")
    e.expect_keys("keys under a French layout", [0x1e, 0x9e, 0x10, 0x90])
    screen.run("setxkbmap", "us")
    time.sleep(0.3)


def check_held_key(screen, e):
    began = time.monotonic()
    screen.tool("keydown", "b")
    time.sleep(0.9)
    screen.tool("keyup", "b")
    codes = []
    wait_for("the release", lambda: codes.extend(v for _, v in e.new()) or 0xb0 in codes)
    held = time.monotonic() - began  # a busy host lets go late
    # The keyboard's own rate is 10.9 a second after 0.5 s. Virtual time may lag, and catches up by 0.2 s at most.
    if not 1 <= codes.count(0x30) <= 2 + 11 * max(0, held - 0.5 + 0.2):
        raise Failed("a key held for %.1f s came %d times" % (held, codes.count(0x30)))


def check_mouse(screen, e):
    screen.tool("mousemove", "--window", e.window, "200", "150", "click", "1")
    wait_for("the grab in the title", lambda: "Ctrl+Alt+G" in e.title())
    time.sleep(0.2)
    e.new()
    screen.tool("mousemove_relative", "--", "7", "5")
    packet = []

    def bytes_of_mouse(n):
        packet.extend(v for kind, v in e.new() if kind == "m")
        return len(packet) >= n

    wait_for("a mouse report", lambda: bytes_of_mouse(4))
    dx = sum(packet[1::4]) - 256 * sum(bool(b & 16) for b in packet[0::4])
    dy = sum(packet[2::4]) - 256 * sum(bool(b & 32) for b in packet[0::4])
    if (dx, dy) != (7, -5):
        raise Failed("moved by 7, 5 (down); the guest saw %d, %d (up): %s" % (dx, dy, bytes(packet).hex(" ")))
    packet.clear()
    screen.tool("mousedown", "3")
    wait_for("the right button", lambda: bytes_of_mouse(4) and packet[0] & 2)
    screen.tool("mouseup", "3")
    wait_for("its release", lambda: bytes_of_mouse(8) and not packet[-4] & 2)
    packet.clear()
    screen.tool("click", "2")  # down and up at once
    wait_for("a quick click", lambda: bytes_of_mouse(8) and packet[0] & 4 and not packet[-4] & 4)
    packet.clear()
    screen.tool("click", "4")
    wait_for("the wheel", lambda: bytes_of_mouse(4) and packet[3] == 0xff)
    screen.tool("key", "ctrl+alt+g")
    wait_for("the release in the title", lambda: "Ctrl+Alt+G" not in e.title())
    time.sleep(0.1)
    e.new()


def check_tablet(screen, e):
    """A guest that asks for positions gets them without a grab: where the pointer stands in the picture, of 32767 each."""
    screen.tool("mousemove", "--window", e.window, "10", "10")
    screen.tool("key", "t")
    wait_for("the tablet's driver", lambda: any(v == 0x94 for kind, v in e.new() if kind == "k"))
    time.sleep(0.5)  # until the window has heard of it
    e.new()
    seen = []

    def reports():
        seen.extend(v for kind, v in e.new() if kind == "t")
        return [(seen[i], seen[i + 1] | seen[i + 2] << 8, seen[i + 3] | seen[i + 4] << 8, seen[i + 5])
                for i in range(0, len(seen) - 5, 6)]

    def report_of(what, check):
        wait_for(what, lambda: any(check(r) for r in reports()), 5)
        if "Ctrl+Alt+G" in e.title():
            raise Failed("the mouse was grabbed")

    width = e.size()[0]
    for x, y in ((100, 50), (width - 101, 300)):
        want = x * 32767 // (width - 1)
        screen.tool("mousemove", "--window", e.window, str(x), str(y))
        report_of("the pointer at %d" % x, lambda r: abs(r[1] - want) <= 50 and r[0] == 0)
    screen.tool("click", "1")
    report_of("the left button", lambda r: r[0] == 1)
    screen.tool("click", "4")
    report_of("the wheel", lambda r: r[3] == 1)
    seen.clear()


def check_pause_and_menu(screen, e):
    screen.tool("key", "ctrl+alt+p")
    wait_for("the pause in the title", lambda: "(paused)" in e.title())
    screen.tool("key", "ctrl+alt+p")
    wait_for("the end of the pause", lambda: "(paused)" not in e.title())
    e.new()
    screen.tool("key", "ctrl+alt+m")
    time.sleep(0.2)
    e.new()
    screen.tool("key", "Down", "Down")
    time.sleep(0.3)
    if e.new():
        raise Failed("keys meant for the menu reached the guest")
    screen.tool("key", "Escape")
    time.sleep(0.2)
    e.new()


def check_panel(screen, e, folder):
    """The live views stand beside the picture, change with what is looked at, are saved, and go; the guest keeps its keys."""
    before = e.size()
    screen.tool("key", "ctrl+alt+r")
    wait_for("a wider window", lambda: e.size()[0] >= before[0] + 400)
    seen = set()
    for view in range(13):
        time.sleep(0.35)
        seen.add(pixels(e.picture(os.path.join(folder, "panel-%d.png" % view)))[2])
        screen.tool("key", "ctrl+alt+n")
    if len(seen) != 13:
        raise Failed("13 views look like %d" % len(seen))
    screen.tool("key", "ctrl+alt+a")
    time.sleep(0.3)
    e.new()  # Ctrl and Alt
    screen.tool("type", "0x100000")
    screen.tool("key", "Return")
    time.sleep(0.5)
    if e.new():
        raise Failed("an address for the view reached the guest")
    screen.tool("key", "ctrl+alt+e")
    name = wait_for("the saved view", lambda: [n for n in os.listdir(folder) if n.endswith(".svg")])[0]
    with open(os.path.join(folder, name)) as f:
        svg = f.read()
    if not svg.startswith("<svg ") or "0x100000" not in svg:
        raise Failed("the saved view is not the walk of 0x100000: " + svg[:300])
    time.sleep(0.2)
    e.new()
    screen.tool("key", "a")
    e.expect_keys("a key beside the views", [0x1e, 0x9e])
    screen.tool("key", "ctrl+alt+r")
    wait_for("the window as it was", lambda: e.size() == before)
    e.new()


def check_paste(screen, e):
    """On a guest with a German keyboard."""
    subprocess.run(["xclip", "-selection", "clipboard"], input="H\u00fc{^!\n".encode(), env=screen.env, check=True,
                   stderr=subprocess.DEVNULL)
    screen.tool("key", "ctrl+alt+v")
    got = []
    try:
        wait_for("the text", lambda: got.extend(v for _, v in e.new()) or 0x9c in got, 5)
    except Failed:
        pass
    typed = [0x2a, 0x23, 0xa3, 0xaa, 0x1a, 0x9a, 0xe0, 0x38, 0x08, 0x88, 0xe0, 0xb8,  # AltGr with 7
             0x29, 0xa9, 0x39, 0xb9,  # a dead key needs a space
             0x2a, 0x02, 0x82, 0xaa, 0x1c, 0x9c]
    if got[-len(typed):] != typed:
        raise Failed("pasted text: expected %s, got %s" % (bytes(typed).hex(" "), bytes(got).hex(" ")))


def check_refusal(screen, e):
    """A request that the X server refuses is not the end of the guest: the answer to a drag whose source has gone meanwhile."""
    gone = 0x7ffffff
    client_message(screen.env, e.window, "XdndPosition", gone, 0, 0, 0, "XdndActionCopy")
    time.sleep(0.3)
    screen.tool("key", "a")
    e.expect_keys("a key after a refused request", [0x1e, 0x9e])


def check_picture(screen, e, folder):
    before = set(os.listdir(folder))
    screen.tool("key", "ctrl+alt+s")
    name = wait_for("a screenshot", lambda: [n for n in set(os.listdir(folder)) - before if n.endswith(".png")])[0]
    guest = pixels(os.path.join(folder, name))
    time.sleep(4.3)  # until the message about it is gone
    if not any(guest[2]):
        print("the guest's screen is empty: no display adapter in this build")
        return
    screen.tool("windowmove", "--sync", e.window, "0", "0")
    for width, height in [e.size(), (guest[0] * 2 + 37, guest[1] * 2 + 60), (guest[0] + 90, guest[1] + 50)]:
        screen.tool("windowsize", "--sync", e.window, str(width), str(height))
        time.sleep(0.5)
        found = find_scaled(pixels(e.picture(os.path.join(folder, "window-%dx%d.png" % (width, height)))), guest)
        want = 2 if width >= guest[0] * 2 else 1
        if not found or found[0] != want:
            raise Failed("in a window of %dx%d: expected the picture at %d:1, found %s" % (width, height, want, found))


def end(e, seconds=10):
    try:
        return e.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failed("the emulator did not end")


def check_close(screen, argv, folder):
    e = Emulator(screen, argv, folder)
    close_button(screen.env, e.window)
    if end(e) != 0:
        raise Failed("closed, the guest powered off: expected status 0, got %d" % e.process.returncode)
    e = Emulator(screen, argv, folder)
    screen.tool("key", "n")  # now it ignores the button
    e.expect_keys("n", [0x31, 0xb1])
    close_button(screen.env, e.window)
    time.sleep(0.5)
    if e.process.poll() is not None:
        raise Failed("the first close did not wait for the guest")
    e.picture(os.path.join(folder, "asked.png"))
    close_button(screen.env, e.window)
    if end(e) != 80:
        raise Failed("closed twice: expected status 80, got %d" % e.process.returncode)


def check_snapshot(screen, argv, folder):
    """What was done after a snapshot was saved is undone by loading it; a damaged one is refused, and the guest runs on."""
    e = Emulator(screen, argv, folder)

    def choose(picture, up, *more):
        screen.tool("key", "ctrl+alt+m")
        time.sleep(0.3)
        screen.tool("key", "--delay", "40", *["Up"] * up)  # from the last entry
        time.sleep(0.3)
        e.picture(os.path.join(folder, picture))
        screen.tool("key", "Return")
        time.sleep(0.3)
        for key in more:
            e.picture(os.path.join(folder, "list.png"))
            screen.tool("key", key)
        time.sleep(0.5)
        e.new()

    def snapshots():
        return sorted(n for n in os.listdir(folder) if n.endswith(".sav"))

    choose("menu.png", 8)
    name = wait_for("the snapshot", snapshots)[0]
    time.sleep(0.3)
    e.picture(os.path.join(folder, "saved.png"))
    screen.tool("key", "n")  # now it ignores the power button
    e.expect_keys("n", [0x31, 0xb1])
    with open(os.path.join(folder, name), "rb") as f:
        whole = f.read()
    with open(os.path.join(folder, "torn.sav"), "wb") as f:
        f.write(whole[:-100])
    choose("menu.png", 7, "Return")  # the newest stands first
    e.picture(os.path.join(folder, "refused.png"))
    screen.tool("key", "a")
    e.expect_keys("a key after a snapshot was refused", [0x1e, 0x9e])
    close_button(screen.env, e.window)
    time.sleep(0.5)
    if e.process.poll() is not None:
        raise Failed("after a snapshot was refused the guest heard the power button")
    os.unlink(os.path.join(folder, "torn.sav"))
    choose("menu.png", 7, "Return")
    e.picture(os.path.join(folder, "loaded.png"))
    screen.tool("key", "a")
    e.expect_keys("a key after loading", [0x1e, 0x9e])
    close_button(screen.env, e.window)
    if end(e) != 0:
        raise Failed("loaded from before it ignored the button, the guest ended with %d" % e.process.returncode)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("orrery")
    parser.add_argument("guest")
    parser.add_argument("--keep")
    args = parser.parse_args()
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if missing:
        print("missing: " + " ".join(missing))
        return 77
    folder = args.keep or tempfile.mkdtemp()
    os.makedirs(folder, exist_ok=True)
    argv = [os.path.abspath(args.orrery), "-kernel", os.path.abspath(args.guest), "-display", "sdl", "-m", "16", "-device", "usb-tablet",
            "-k", "de"]
    screen = Screen()
    e = None
    try:
        e = Emulator(screen, argv, folder)
        e.picture(os.path.join(folder, "start.png"))
        check_keys(screen, e)
        check_held_key(screen, e)
        check_mouse(screen, e)
        check_tablet(screen, e)
        check_pause_and_menu(screen, e)
        check_panel(screen, e, folder)
        check_paste(screen, e)
        check_refusal(screen, e)
        check_picture(screen, e, folder)
        e.process.kill()
        e.process.wait()
        check_close(screen, argv, folder)
        check_snapshot(screen, argv, folder)
        print("the window behaves")
        return 0
    except Failed as failure:
        print("FAILED: %s" % failure)
        with open(os.path.join(folder, "errors.txt")) as said:
            print(said.read(), end="")
        if e and e.process.poll() is None:
            e.picture(os.path.join(folder, "failed.png"))
        return 1
    finally:
        if e and e.process.poll() is None:
            e.process.kill()
            e.process.wait()
        screen.close()
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
