#!/usr/bin/env python3
"""The real gdb against the stub: modes.gdb through every mode of modes.S, again over a unix socket and with other descriptions of
the processor, a shutdown, several clients one after another.

usage: run.py EMULATOR [case...]
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent


class Guest:
    """The emulator with a stub at a unix socket."""

    def __init__(self, emulator, folder, args, arch=""):
        self.path = os.path.join(folder, "gdb-%d" % time.monotonic_ns())
        self.emulator = subprocess.Popen([emulator, "-display", "none", "-serial", "null", "-gdb", "unix:%s%s" % (self.path, arch)] + args,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(200):
            if os.path.exists(self.path):
                return
            time.sleep(0.05)
        raise SystemExit("the emulator does not serve: " + self.emulator.stdout.read())

    def gdb(self, commands, elf=None, timeout=90):
        """What gdb prints for a script file or lines of commands."""
        argv = ["gdb", "-q", "-nx", "-batch"] + ([elf] if elf else [])
        argv += ["-ex", "set sysroot", "-ex", "target remote " + self.path]
        if isinstance(commands, pathlib.Path):
            argv += ["-x", str(commands)]
        else:
            for line in commands:
                argv += ["-ex", line]
        try:
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=timeout)
        except subprocess.TimeoutExpired as e:
            return (e.stdout or b"").decode() + "\ngdb did not come to an end"
        return p.stdout

    def talk(self, data, seconds=0.5):
        """Raw bytes, without gdb."""
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)
        s.settimeout(seconds)
        s.sendall(data)
        got = b""
        try:
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
        except socket.timeout:
            pass
        s.close()
        return got

    def end(self):
        self.emulator.kill()
        return self.emulator.communicate()[0]


def build(folder):
    elf, image = os.path.join(folder, "modes.elf"), os.path.join(folder, "modes.bin")
    subprocess.run(["gcc", "-m64", "-g", "-c", "-o", elf + ".o", str(HERE / "modes.S")], check=True)
    subprocess.run(["ld", "-m", "elf_x86_64", "-N", "--no-warn-rwx-segments", "-Ttext=0xf0000", "-o", elf, elf + ".o"], check=True)
    subprocess.run(["objcopy", "-O", "binary", elf, image], check=True)
    return elf, image


def wants(text, *patterns):
    for pattern in patterns:
        if not re.search(pattern, text, re.M):
            yield "does not say /%s/:\n%s" % (pattern, text)


def modes(emulator, folder):
    elf, image = build(folder)
    guest = Guest(emulator, folder, ["-S", "-bios", image])
    text = guest.gdb(HERE / "modes.gdb", elf)
    guest.end()
    expected = (HERE / "modes.gdb").read_text().count("\ncheck ")
    if "BAD" in text or len(re.findall("^ok ", text, re.M)) != expected + 1:
        yield "modes.gdb: %d checks, expected %d\n%s" % (len(re.findall("^ok ", text, re.M)), expected + 1, text)
    yield from wants(text, r"^\* 1 +Thread 1 .*CPU 0", r"LME", r"Hardware .*watchpoint", r"Hardware read watchpoint")


def i386(emulator, folder):
    """A client that wants an i386 finds one, in real mode and in long mode."""
    elf, image = build(folder)
    for arch, name in (("i386", "i386"), ("i8086", "i8086")):
        guest = Guest(emulator, folder, ["-S", "-bios", image], ",arch=" + arch)
        text = guest.gdb(["show architecture", "info registers eip", "x/i $pc", "stepi", "x/4i $pc", "hbreak *0x%x" % symbol(elf, "long_mode"),
                          "continue", "info registers eip efer", "stepi", "info registers eip"])
        guest.end()
        yield from wants(text, 'currently "%s"' % name, r"eip +0xfffffff0", r"LMA", r"=> 0xf0000:\s+cli")
        if arch == "i8086":
            yield from wants(text, r"=> 0xfffffff0:\s+ljmp +\$0xf000,\$0x0", r"mov +%ax,%ss", r"mov +\$0x7c00,%sp")


def symbol(elf, name):
    for line in subprocess.run(["nm", elf], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
        if line.endswith(" " + name):
            return int(line.split()[0], 16)
    raise SystemExit("no symbol " + name)


def clients(emulator, folder):
    """One after another, one of them rude; the machine lives on."""
    elf, image = build(folder)
    guest = Guest(emulator, folder, ["-bios", image])
    first = guest.gdb(["info registers cpl", "detach"], elf)
    yield from wants(first, r"cpl +(0x)?3")
    guest.talk(b"+$qSupported#37$g#67$Z0,f0000")      # goes away in the middle of a packet
    guest.talk(os.urandom(5000) + b"\x03$\x7d#00$m0,ffffffffffffffff#00$M0,#11$X0,9:#22")
    second = guest.gdb(["info registers cpl", "interrupt", "x/i $pc", "detach"], elf)
    yield from wants(second, r"cpl +(0x)?3", r"counting")
    answer = guest.talk(b"$?#3f")
    if b"+$T" not in answer:
        yield "no stop reply: %r" % answer
    third = guest.gdb(["kill"], elf)
    try:
        status = guest.emulator.wait(20)
        if status != 80:
            yield "kill: exit status %d\n%s" % (status, third)
    except subprocess.TimeoutExpired:
        yield "kill does not end the emulator"
    guest.end()


def shutdown(emulator, folder):
    """A triple fault stops under gdb before the reset, and says why."""
    elf, image = build(folder)
    guest = Guest(emulator, folder, ["-S", "-bios", image, "-no-reboot"])
    text = guest.gdb(["hbreak *0x%x" % symbol(elf, "protected_function"), "continue", "set {unsigned short}$pc = 0x0b0f", "continue",
                      "info registers pc", "x/i $pc", "kill"], elf)
    guest.end()
    yield from wants(text, r"SIGSEGV", r"#UD invalid opcode", r"UD0, UD1 or UD2", r"=> .*protected_function.*ud2")


def smp(emulator, folder):
    """A thread for each processor."""
    elf, image = build(folder)
    guest = Guest(emulator, folder, ["-S", "-bios", image, "-smp", "3"])
    text = guest.gdb(["info threads", "thread 2", "info registers pc", "thread 1", "stepi", "info registers pc", "kill"], elf)
    guest.end()
    yield from wants(text, r"Thread 3 .*CPU 2", r"Switching to thread 2", r"pc +0xf0000")


def reverse(emulator, folder):
    """Back to where a counter was lower, and on again with the same values."""
    elf, image = build(folder)
    guest = Guest(emulator, folder, ["-S", "-bios", image], ",reverse=on")
    text = guest.gdb(["set pagination off", "hbreak *0x%x" % symbol(elf, "counting"), "continue", "continue", "continue", "continue",
                      "echo == forward\\n", "p {long}0x5000", "reverse-stepi", "echo == a step back\\n", "x/i $pc",
                      "echo == a break point back\\n", "reverse-continue", "p {long}0x5000", "delete", "echo == a store back\\n",
                      "watch *(long *)0x5000", "reverse-continue", "p {long}0x5000", "delete", "echo == its beginning\\n",
                      "reverse-continue", "info registers pc cr0", "echo == again\\n", "hbreak *0x%x" % symbol(elf, "counting"),
                      "continue", "continue", "continue", "continue", "p {long}0x5000", "kill"], elf)
    guest.end()
    yield from wants(text, r"== forward\n[^=]*= 3\n", r"== a step back\n=> .*jmp", r"== a break point back\n(?s:.*?)\$2 = 2\n",
                     r"== a store back\n(?s:.*?)\$3 = [12]\n", r"== its beginning\n(?s:.*?)pc +0xfffffff0",
                     r"== again\n(?s:.*?)\$4 = 3\n")


CASES = {f.__name__: f for f in (modes, i386, clients, shutdown, smp, reverse)}


def main():
    emulator, names = sys.argv[1], sys.argv[2:] or list(CASES)
    if not shutil.which("gdb"):
        print("gdb is not installed")
        return 77
    bad = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            found = list(CASES[name](emulator, folder))
        print("%s: %s (%.1f s)" % (name, "\n".join(found) or "good", time.monotonic() - start), flush=True)
        bad += bool(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
