#!/usr/bin/env python3
"""Runs other people's firmware unmodified, unattended, over the serial line: SeaBIOS, OVMF, U-Boot.

usage: foreign.py ORRERY CASE [--timeout SECONDS] [--log FILE]     (--list names the cases)

Images are put together for the run from Debian's packages; a case whose packages are missing is skipped (status 77).
"""
import argparse
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

SEABIOS = "/usr/share/seabios/bios-256k.bin"
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
UBOOT = "/usr/lib/u-boot/qemu-x86_64/u-boot.rom"
GRUB = "/usr/lib/grub/i386-pc"


class Missing(Exception):
    pass


class Failed(Exception):
    pass


def need(*things):
    for thing in things:
        if not (pathlib.Path(thing).exists() if thing.startswith("/") else shutil.which(thing)):
            raise Missing(f"{thing} is not installed")


def make(*command, **more):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


class Guest:
    """Orrery with a serial console that is read for words and typed at."""

    def __init__(self, emulator, log, timeout, *options):
        self.deadline = time.monotonic() + timeout
        self.seen = ""
        self.bytes = queue.Queue()
        self.log = log
        command = [emulator, "-display", "none", "-serial", "stdio", "-nic", "none", "-verdict", log.with_suffix(".verdict"),
                   *options]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0)
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        with open(self.log, "wb", buffering=0) as out:
            while data := self.process.stdout.read(4096):
                out.write(data)
                self.bytes.put(data)
        self.bytes.put(None)

    def expect(self, *texts, never=None):
        """Waits for each text in turn; @never must not come before."""
        for text in texts:
            while text not in self.seen:
                if never and never in self.seen:
                    raise Failed(f"'{never}' before '{text}': {self.seen[-400:]!r}")
                try:
                    data = self.bytes.get(timeout=max(self.deadline - time.monotonic(), 0.01))
                except queue.Empty:
                    raise Failed(f"no '{text}' in time; last: {self.seen[-400:]!r}") from None
                if data is None:
                    raise Failed(f"ended before '{text}'; last: {self.seen[-400:]!r}")
                self.seen += data.decode("latin1")
            self.seen = self.seen[self.seen.index(text) + len(text):]

    def type(self, text):
        for c in text:
            self.process.stdin.write(c.encode())
            time.sleep(0.01)

    def ends(self, status=0):
        try:
            got = self.process.wait(timeout=max(self.deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            raise Failed("does not switch off") from None
        if got != status:
            raise Failed(f"ended with status {got}, not {status}")

    def kill(self):
        self.process.kill()
        self.process.wait()


GRUB_SERIAL = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo "GRUB runs"
ls
"""


def grub_core(top, extra, *modules):
    need("grub-mkimage", GRUB)
    (top / "early.cfg").write_text(GRUB_SERIAL + extra)
    make("grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", "/", "-c", top / "early.cfg", "-o", top / "core", "biosdisk", "serial",
         "terminal", "echo", "ls", "cat", "halt", "fat", "part_msdos", "iso9660", *modules)
    return pathlib.Path(GRUB, "boot.img").read_bytes() + (top / "core").read_bytes()


def fat(path, size_kb, text):
    need("mformat", "mcopy")
    make("mformat", "-C", "-i", path, *(["-f", "1440"] if size_kb == 1440 else ["-T", str(size_kb * 2), "-h", "16", "-s", "63"]), "::")
    subprocess.run(["mcopy", "-i", path, "-", "::hello.txt"], input=text, check=True)


def seabios_floppy(run, top):
    """A diskette in A: through INT 13h, the file on the one in B:."""
    need(SEABIOS)
    image = grub_core(top, "cat (fd1)/hello.txt\nhalt\n").ljust(1440 << 10, b"\0")
    (top / "a.img").write_bytes(image)
    fat(top / "b.img", 1440, b"this is the second diskette\n")
    g = run("-bios", SEABIOS, "-fda", top / "a.img", "-fdb", top / "b.img", "-boot", "a")
    g.expect("GRUB runs", "(fd0)", "this is the second diskette")
    g.ends()


def seabios_disk(run, top):
    """A disk that starts with GRUB, reading a second disk on the slave."""
    need(SEABIOS)
    (top / "hda.img").write_bytes(grub_core(top, "cat (hd1)/hello.txt\nhalt\n").ljust(8 << 20, b"\0"))
    fat(top / "hdb.img", 16 << 10, b"this is the second disk\n")
    g = run("-bios", SEABIOS, "-hda", top / "hda.img", "-hdb", top / "hdb.img")
    g.expect("GRUB runs", "(hd1)", "this is the second disk")
    g.ends()


def seabios_cd(run, top):
    """El Torito from a grub-mkrescue CD."""
    need(SEABIOS, "grub-mkrescue", "xorriso", GRUB)
    (top / "iso/boot/grub").mkdir(parents=True)
    (top / "iso/boot/grub/grub.cfg").write_text(GRUB_SERIAL + "cat /hello.txt\nhalt\n")
    (top / "iso/hello.txt").write_text("this is the disc\n" * 1000)
    make("grub-mkrescue", "-d", GRUB, "-o", top / "cd.iso", top / "iso")
    g = run("-bios", SEABIOS, "-cdrom", top / "cd.iso", "-boot", "d")
    g.expect("GRUB runs", "(cd)", "this is the disc")
    g.ends()


def ovmf_shell(run, top):
    """UEFI from flash to its shell, a file on an IDE disk, a variable that outlives the power switch."""
    need(OVMF_CODE, OVMF_VARS)
    shutil.copy(OVMF_VARS, top / "vars.fd")
    fat(top / "disk.img", 16 << 10, b"this is the disk\n")
    flash = ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}", "-drive",
             f"if=pflash,format=raw,file={top}/vars.fd", "-drive", f"file={top}/disk.img,format=raw", "-m", "256"]
    for again in (False, True):
        g = run(*flash)
        g.expect("any other key to continue")
        g.type("\r")
        g.expect("Shell>")
        if again:
            g.type("set -v orrery\r")
            g.expect("kept")
        else:
            g.type("type fs0:\\hello.txt\r")
            g.expect("this is the disk", "Shell>")
            g.type("set orrery kept\r")
            g.expect("Shell>")
        g.type("reset -s\r")
        g.ends()


def uboot_prompt(run, top):
    """U-Boot to its prompt, and a file on an IDE disk."""
    need(UBOOT)
    fat(top / "disk.img", 16 << 10, b"this is the disk\n")
    g = run("-bios", UBOOT, "-hda", top / "disk.img", "-m", "256")
    g.expect("U-Boot", "stop autoboot")
    g.type("\r")
    g.expect("=>")
    g.type("ide reset\r")
    g.expect("ORRERY HARDDISK", "=>")
    g.type("load ide 0 1000000 hello.txt\r")
    g.expect("17 bytes read")
    g.kill()


CASES = {f.__name__: f for f in (seabios_floppy, seabios_disk, seabios_cd, ovmf_shell, uboot_prompt)}


def main():
    if "--list" in sys.argv:
        print("\n".join(f"{name:16} {f.__doc__}" for name, f in CASES.items()))
        return 0
    a = argparse.ArgumentParser()
    a.add_argument("emulator")
    a.add_argument("case", choices=CASES)
    a.add_argument("--timeout", type=float, default=120)
    a.add_argument("--log")
    a = a.parse_args()
    guests = []
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        top = pathlib.Path(folder)
        log = pathlib.Path(a.log) if a.log else top / "serial.log"

        def run(*options):
            guests.append(Guest(a.emulator, log, a.timeout, *options))
            return guests[-1]
        try:
            started = time.monotonic()
            CASES[a.case](run, top)
            print(f"{a.case}: {time.monotonic() - started:.1f} s")
            return 0
        except Missing as e:
            print(f"{a.case}: skipped, {e}")
            return 77
        except Failed as e:
            print(f"{a.case}: {e}")
            return 1
        finally:
            for g in guests:
                g.kill()


if __name__ == "__main__":
    sys.exit(main())
