#!/usr/bin/env python3
"""The monitor as a person uses it: on a terminal, shared with a serial port, and over sockets.

usage: drive.py ORRERY WORK_DIR [KERNEL INITRD]
With a kernel and its initrd the Debian boot of the monitor's documentation is done too.
"""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time

EMU = sys.argv[1]
WORK = sys.argv[2]
PROMPT = "(orrery) "
failed = 0


def check(what, good, seen=""):
    global failed
    print("%s: %s" % ("ok" if good else "FAILED", what), flush=True)
    if not good:
        failed += 1
        print("    seen: %r" % seen[-1500:], flush=True)


def plain(text):
    """Without the terminal's control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", text)


class Terminal:
    """A program on a pseudo terminal."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "vt100"
            os.execv(EMU, [EMU, *args])
        self.seen = ""

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, text, seconds=30):
        """Waits for text, returns what came up to its end and forgets it; None if it did not come."""
        end = time.monotonic() + seconds
        while text not in plain(self.seen):
            if time.monotonic() > end or (not self.read(0.2) and not self.alive()):
                if text in plain(self.seen):
                    break
                return None
        clean = plain(self.seen)
        at = clean.index(text) + len(text)
        self.seen = clean[at:]
        return clean[:at]

    def alive(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0

    def type(self, text):
        os.write(self.fd, text.encode())

    def command(self, text, seconds=30):
        """A line of the monitor and its answer."""
        self.type(text + "\r")
        answer = self.expect(PROMPT, seconds)
        return answer or ""

    def news(self, text, wanted, seconds=60):
        """A line that sets the guest going, up to the prompt behind the news of its stop."""
        self.type(text + "\r")
        answer = self.expect(wanted, seconds)
        return answer and answer + (self.expect(PROMPT) or "")

    def end(self, seconds=20):
        """Its exit status, None if it does not end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def on_stdio():
    t = Terminal("-display", "none", "-S", "-monitor", "stdio", "-timeout", "100")
    check("the monitor tells where it stands", t.expect("stopped at"), t.seen)
    check("and has a prompt", t.expect(PROMPT), t.seen)
    a = t.command("info registers")
    check("info registers shows eip at the entry", "eip=0x00100020" in a, a)
    check("step tells the next instruction", t.news("step", "0x100021: mov esp"), t.seen)
    check("an empty line steps again", t.news("", "0x100026"), t.seen)
    a = t.command("info registes")
    check("an unknown name gets the nearest", "did you mean 'info registers'" in a, a)
    t.type("info gd\t")
    a = t.expect("info gdt", 5)
    check("Tab completes commands", a, t.seen)
    a = t.command("")
    check("and the line is carried out", "descriptors:" in a, a)
    t.type("\x1b[A")  # arrow up
    a = t.command("")
    check("arrow up brings the last line back", "descriptors:" in a, a)
    t.command("cont")
    status = t.end()
    check("cont runs the guest to its end", status == 0, "%s %s" % (status, t.seen))


def interrupt():
    """A guest that runs for ever, from the firmware's prompt for a disk."""
    t = Terminal("-display", "none", "-monitor", "stdio", "-bios", os.path.join(WORK, "loop.bin"), "-timeout", "100")
    check("a prompt while the guest runs", t.expect(PROMPT), t.seen)
    a = t.command("step")
    check("step is refused while it runs", "runs already" in a, a)
    t.type("\x03")
    a = t.expect("stopped at")
    check("Ctrl-C stops the guest, not the emulator", a, t.seen)
    t.expect(PROMPT)
    a = t.command("info status")
    check("it stands", "paused" in a, a)
    a = t.command("print $cs.base + $rip")
    check("in its loop", "0xf0000" in a, a)
    t.command("cont")
    a = t.command("info status")
    check("it goes on", "running" in a, a)
    t.type("quit 7\r")
    status = t.end()
    check("quit ends with the status asked for", status == 7, "%s %s" % (status, t.seen))


def shared():
    t = Terminal("-nographic", "-bios", os.path.join(WORK, "echo.bin"), "-timeout", "100")
    check("the guest has the terminal", t.expect("ready", 20), t.seen)
    t.type("x")
    check("what is typed reaches it", t.expect("x", 10), t.seen)
    t.type("\x01c")
    check("Ctrl-A c gives it to the monitor", t.expect(PROMPT, 10), t.seen)
    check("stop", t.news("stop", "stopped at"), t.seen)
    a = t.command("info registers")
    check("the monitor answers", "cs " in a, a)
    t.command("cont")
    t.type("\x01c")
    time.sleep(0.5)
    t.type("y")
    check("Ctrl-A c gives it back", t.expect("y", 10), t.seen)
    t.type("\x01x")
    status = t.end()
    check("Ctrl-A x ends", status == 80, "%s" % status)


class Qmp:
    def __init__(self, path, seconds=20):
        end = time.monotonic() + seconds
        self.s = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.s.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.s.settimeout(20)
        self.f = self.s.makefile("r", encoding="utf-8")
        self.events = []

    def line(self):
        return json.loads(self.f.readline())

    def ask(self, name, **args):
        self.s.sendall(json.dumps({"execute": name, "arguments": args, "id": 1}).encode())
        return self.answer()

    def answer(self):
        while True:
            v = self.line()
            if "event" not in v:
                return v
            self.events.append(v["event"])

    def event(self, name):
        while name not in self.events:
            v = self.line()
            if "event" in v:
                self.events.append(v["event"])
        self.events.remove(name)
        return True


def sockets():
    path, mon = os.path.join(WORK, "qmp.sock"), os.path.join(WORK, "mon.sock")
    for p in path, mon:
        if os.path.exists(p):
            os.unlink(p)
    p = subprocess.Popen([EMU, "-display", "none", "-serial", "null", "-S", "-qmp", "unix:%s,server,wait=off" % path,
                          "-monitor", "unix:%s,server,wait=off" % mon, "-bios", os.path.join(WORK, "loop.bin"), "-timeout", "100"])
    try:
        q = Qmp(path)
        check("the greeting", "QMP" in q.line())
        v = q.ask("query-status")
        check("nothing before qmp_capabilities", v.get("error", {}).get("class") == "CommandNotFound", str(v))
        check("qmp_capabilities", q.ask("qmp_capabilities").get("return") == {})
        v = q.ask("query-status")
        check("query-status: paused", v["return"]["status"] == "paused", str(v))
        v = q.ask("x-info-registers")
        check("every view is a command", v["return"]["general"]["eip"] == "0x0000fff0", str(v))
        v = q.ask("human-monitor-command", **{"command-line": "print 6 * 7"})
        check("human-monitor-command", "0x2a" in v["return"], str(v))
        q.s.sendall(b'{"execute": 5}')
        check("nonsense is answered with an error", "error" in q.answer())
        q.s.sendall(b'}}}}\x00\xff{"')
        check("and so are stray bytes", "error" in q.answer())
        q.s.sendall(b'{"execute":"cont"')
        time.sleep(0.2)
        q.s.sendall(b'}')
        check("a command in two pieces", "return" in q.answer())
        check("RESUME", q.event("RESUME"))
        v = q.ask("stop")
        check("STOP", q.event("STOP"))
        q.ask("cont")
        q.ask("system_reset")
        check("RESET", q.event("RESET"))
        s = socket.socket(socket.AF_UNIX)
        s.connect(mon)
        s.settimeout(20)
        s.sendall(b"info status\n")
        text = ""
        while "instructions" not in text:
            text += s.recv(4096).decode()
        check("a monitor on a socket", "running" in text, text)
        s.close()
        q.ask("quit")
        check("quit ends with 0", p.wait(20) == 0)
    finally:
        p.kill()


def pseudo_terminal():
    p = subprocess.Popen([EMU, "-monitor", "pty", "-S", "-display", "none", "-serial", "null"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "TERM": "vt100"})
    name = re.search(r"is at (/dev/\S+)", p.stderr.readline()).group(1)
    t = Terminal.__new__(Terminal)
    t.fd, t.seen = os.open(name, os.O_RDWR | os.O_NOCTTY), ""
    t.type("info regis\t")
    check("Tab completes on a pseudo terminal, too", t.expect("ters"), t.seen)
    t.type("\r")
    check("the command is carried out", t.expect("eax="), t.seen)
    t.expect(PROMPT)
    t.type("\x1b[A")
    check("arrow up brings it back", t.expect("info registers"), t.seen)
    t.type("\x15xq\x7f\x7fquit 5\r")
    check("a line is corrected", p.wait(20) == 5)
    os.close(t.fd)


def script(*commands, args=(), status=None):
    r = subprocess.run([EMU, "-display", "none", "-serial", "null", "-timeout", "60", *args, "-x", ";".join(commands)],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    if status is not None:
        check("exit status %d of -x" % status, r.returncode == status, "%d %s" % (r.returncode, r.stdout))
    return r.stdout


def scripts():
    out = script("break 0x100026", "cont", "where", "quit 5", args=["-S"], status=5)
    check("-S -x runs, waits for the stop, and answers", "break point 1 at 0x100026" in out, out)
    out = script("json:info cpus", args=["-S"])
    v = json.loads(out[:out.rindex("]\n}") + 3])
    check("json: gives JSON", v["cpus"][0]["pc"] == "0x100020", out)
    out = script("nonsense", args=["-S"], status=74)
    check("a bad command ends with its reason", "no command 'nonsense'" in out, out)
    out = script("where")
    check("without -S it runs at the end", "power-off" in out, out)


def guests():
    """Two ROMs of 64 KiB: one that loops, one that echoes serial port 1."""
    for name, code in (("loop.bin", b"\xeb\xfe"), ("echo.bin", echo())):
        rom = bytearray(65536)
        rom[0:len(code)] = code
        rom[0xfff0:0xfff5] = b"\xea\x00\x00\x00\xf0"  # jmp f000:0000
        with open(os.path.join(WORK, name), "wb") as f:
            f.write(rom)


def echo():
    text = b"ready"
    out = b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text)  # mov al, c; out dx, al
    return (b"\xba\xf8\x03" + out +          # mov dx, 3f8h
            b"\xba\xfd\x03\xec\xa8\x01\x74\xf8"   # 1: mov dx, 3fdh; in al, dx; test al, 1; jz 1b
            b"\xba\xf8\x03\xec\xee\xeb\xf0")      # mov dx, 3f8h; in al, dx; out dx, al; jmp 1b


def kernel_symbols(kernel, initrd):
    """The guest's own /proc/kallsyms: Debian's System.map is a note that tells where else to look."""
    path = os.path.join(WORK, "kallsyms")
    if os.path.exists(path) and os.path.getsize(path) > 1000000:
        return path
    t = Terminal("-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 nokaslr quiet", "-m", "256", "-nographic",
                 "-timeout", "280")
    if not t.expect("guest# ", 200):
        return None
    t.type("grep -E ' [tTdDbB] [a-z0-9_]*$' /proc/kallsyms; echo all-of\\-it\n")
    end = time.monotonic() + 120
    while "all-of-it" not in t.seen[-100:] and time.monotonic() < end:
        t.read(1)
    text = plain(t.seen)
    t.type("\x01x")
    t.end()
    lines = [x for x in text.split("\n") if re.match(r"^[0-9a-f]{16} [a-zA-Z] \S+", x)]
    if len(lines) < 10000:
        return None
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def linux(kernel, initrd):
    symbols = kernel_symbols(kernel, initrd)
    check("the guest's kallsyms", symbols)
    if not symbols:
        return
    t = Terminal("-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 nokaslr", "-m", "256", "-display", "none",
                 "-serial", "file:%s" % os.path.join(WORK, "console"), "-S", "-monitor", "stdio", "-symbols", symbols,
                 "-timeout", "300")
    check("it stands", t.expect("stopped at"), t.seen)
    check("a prompt", t.expect(PROMPT), t.seen)
    a = t.command("break start_kernel")
    check("break start_kernel", "break 1" in a, a)
    a = t.news("cont", "break point 1 at", 120)
    check("it is reached, and named", "<start_kernel>" in (a or ""), a or t.seen)
    a = t.command("walk start_kernel x")
    check("walk: four levels, or a large page, allowed", "allowed" in a and "PML4E" in a, a)
    a = t.command("bt")
    check("where it came from", "start_kernel" in a, a)
    a = t.command("disas")
    check("disassembly with symbols", "start_kernel" in a, a)
    t.command("watch jiffies_64 8")
    a = t.news("cont", "written", 120)
    check("a watch point at jiffies", a, t.seen)
    t.command("delete")
    t.command("catch ring 3")
    a = t.news("cont", "ring 0 -> 3", 200)
    check("the first instruction of user space", a, t.seen)
    t.command("delete")
    a = t.command("info idt 0 32")
    check("info idt names the handlers", "asm_exc_page_fault" in a, a)
    t.command("cont")
    end = time.monotonic() + 120
    text = ""
    while "# " not in text and time.monotonic() < end:
        time.sleep(0.5)
        text = open(os.path.join(WORK, "console"), errors="replace").read()
    check("it goes on to the shell", "# " in text, text)
    t.type("quit\r")
    check("quit", t.end() == 0)


def main():
    os.makedirs(WORK, exist_ok=True)
    guests()
    if len(sys.argv) > 3:
        linux(sys.argv[3], sys.argv[4])
    else:
        scripts()
        on_stdio()
        interrupt()
        shared()
        sockets()
        pseudo_terminal()
    print("%d failed" % failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
