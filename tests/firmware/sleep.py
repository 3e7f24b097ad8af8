#!/usr/bin/env python3
"""Linux suspends to memory and wakes up through the firmware.

usage: sleep.py ORRERY GUEST short|full|uefi [--bios FILE] [--cpus N] [--log FILE]

GUEST is the path of GUEST.kernel and GUEST.initrd (tests/linux/fetch): build/guests/amd64 or i386 for "short", build/guests/sleep for
"full". They start from a CD with ISOLINUX.

short: twice the same: memory is filled, the RTC's alarm set, `echo mem >/sys/power/state`; what was in memory is there afterwards, and so
are the processors; both runs end with the same state, to the bit.
full: with a disk that is written before and after, a graphics driver whose picture must come back, two sleeps, the second of which the
power button ends; and the machine that was saved asleep wakes up once more from its file.
uefi: from OVMF's shell, twice asleep; memory and processors are the same afterwards.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import foreign
import rfb

SHORT = ("dd if=/dev/urandom of=/tmp/r bs=1M count=8 2>/dev/null; md5sum /tmp/r >/tmp/sum; nproc >/tmp/cpus; date +%s >/tmp/then; "
         "echo +5 >/sys/class/rtc/rtc0/wakealarm; echo mem >/sys/power/state; "
         "md5sum -c /tmp/sum && [ $(nproc) = $(cat /tmp/cpus) ] && [ $(($(date +%s) - $(cat /tmp/then))) -ge 4 ] && echo AWA''KE")


def make_iso(top, guest, append):
    foreign.need("xorriso", "/usr/lib/ISOLINUX/isolinux.bin", guest + ".kernel", guest + ".initrd")
    disc = top / "disc"
    (disc / "isolinux").mkdir(parents=True)
    for name in ("/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"):
        shutil.copy(name, disc / "isolinux")
    shutil.copy(guest + ".kernel", disc / "linux")
    shutil.copy(guest + ".initrd", disc / "initrd.gz")
    (disc / "isolinux/isolinux.cfg").write_text(
        f"DEFAULT linux\nLABEL linux\nKERNEL /linux\nAPPEND initrd=/initrd.gz mitigations=off console=ttyS0,115200 {append}\n")
    foreign.make("xorriso", "-as", "mkisofs", "-quiet", "-o", top / "sleep.iso", "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
                 "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", disc)
    return top / "sleep.iso"


def short(a, top, bios):
    iso = make_iso(top, a.guest, f'RUN="{SHORT}"')
    ends = []
    for run in range(2):
        serial, verdict = top / f"serial{run}", top / f"verdict{run}"
        command = [a.emulator, "-cdrom", iso, "-m", "192", "-smp", a.cpus, "-nic", "none", "-display", "none", "-serial", f"file:{serial}",
                   "-no-reboot", "-timeout", "200", "-verdict", verdict, *bios]
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL)
        said = serial.read_text(errors="replace")
        if done.returncode or "AWAKE" not in said or "Waking up from system sleep state S3" not in said:
            raise foreign.Failed(f"status {done.returncode}: {said[-1500:]}")
        end = json.loads(verdict.read_text())
        ends.append((end["instructions"], end["state_hash"]))
    if ends[0] != ends[1]:
        raise foreign.Failed(f"two runs differ: {ends}")


class Console(foreign.Guest):
    """A guest with a prompt."""

    def do(self, command, *answers):
        self.type(command + "; echo DO''NE\n")
        self.expect(*answers, "DONE")


def picture(port):
    client = rfb.Client(port)
    try:
        return client.width, client.height, client.picture()
    finally:
        client.close()


def shown(port, seconds=30):
    """The picture of the graphics driver's console, once something is written there."""
    end = time.monotonic() + seconds
    while True:
        width, height, data = picture(port)
        colours = len({data[i:i + 4] for i in range(0, len(data), 4)})
        if width >= 1024 and colours > 1:
            return width, height, data
        if time.monotonic() > end:
            raise foreign.Failed(f"the graphics driver shows {width}x{height} with {colours} colours")
        time.sleep(1)


def same_picture(port, before, seconds=30):
    end = time.monotonic() + seconds
    while picture(port) != before:
        if time.monotonic() > end:
            raise foreign.Failed("the picture is another one after sleep")
        time.sleep(1)


def full(a, top, bios):
    foreign.need("mke2fs", "e2fsck")
    disk, saved, port = top / "disk.img", top / "asleep.sav", rfb.free_port()
    iso = make_iso(top, a.guest, "")
    foreign.make("mke2fs", "-q", "-t", "ext4", disk, "64M")
    machine = ["-hda", disk, "-cdrom", iso, "-boot", "order=d", "-m", "512", "-smp", a.cpus, "-vnc", f"127.0.0.1:{port - 5900}",
               "-monitor", f"unix:{top / 'monitor'},server,wait=off", *bios]
    g = Console(a.emulator, a.log or top / "console.log", 900, *machine)
    try:
        g.expect("guest# ")
        g.do("mount -t ext4 /dev/sda /mnt; dd if=/dev/urandom of=/mnt/a bs=1M count=8; md5sum /mnt/a >/tmp/sum")
        g.do(r"printf '\033[2J\033[H\033[?25lwritten before sleep\n' >/dev/tty1; sleep 1")
        before = shown(port)
        g.do("echo +4 >/sys/class/rtc/rtc0/wakealarm; echo mem >/sys/power/state", "Waking up from system sleep state S3")
        same_picture(port, before)
        g.do("echo 3 >/proc/sys/vm/drop_caches; md5sum -c /tmp/sum; dd if=/dev/urandom of=/mnt/b bs=1M count=4; md5sum /mnt/b >>/tmp/sum; sync",
             "/mnt/a: OK")
        g.type("echo mem >/sys/power/state; echo DO''NE\n")
        g.expect("Suspending console")
        time.sleep(3)
        monitor(top, f"savevm {saved}")
        shutil.copy2(disk, top / "disk.then")
        monitor(top, "system_powerdown")
        g.expect("Waking up from system sleep state S3", "DONE")
        same_picture(port, before)
        g.do("echo 3 >/proc/sys/vm/drop_caches; md5sum -c /tmp/sum; umount /mnt; sync", "/mnt/a: OK", "/mnt/b: OK")
        g.type("poweroff -f\n")
        g.ends()
    finally:
        g.kill()
    if subprocess.run(["e2fsck", "-fn", disk], stdout=subprocess.DEVNULL).returncode:
        raise foreign.Failed("the file system is not clean")
    shutil.copy2(top / "disk.then", disk)
    woken_from_file(a, top, saved, machine)


def woken_from_file(a, top, saved, machine):
    g = Console(a.emulator, top / "loaded.log", 300, "-loadvm", saved, *machine)
    try:
        time.sleep(3)
        monitor(top, "system_powerdown")
        g.expect("Waking up from system sleep state S3", "DONE")
    finally:
        g.kill()


def uefi(a, top, bios):
    foreign.need(foreign.OVMF_CODE, foreign.OVMF_VARS, "mcopy", a.guest + ".kernel", a.guest + ".initrd")
    shutil.copy(foreign.OVMF_VARS, top / "vars.fd")
    foreign.fat(top / "disk.img", 64 << 10, b"")
    (top / "startup.nsh").write_text("fs0:\r\nlinux.efi initrd=\\initrd.gz mitigations=off console=ttyS0,115200\r\n")
    for source, name in ((a.guest + ".kernel", "linux.efi"), (a.guest + ".initrd", "initrd.gz"), (top / "startup.nsh", "startup.nsh")):
        foreign.make("mcopy", "-i", top / "disk.img", source, "::" + name)
    g = Console(a.emulator, a.log or top / "console.log", 280, "-drive", f"if=pflash,format=raw,readonly=on,file={foreign.OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,file={top}/vars.fd", "-hda", top / "disk.img", "-m", "256", "-smp", a.cpus)
    try:
        g.expect("guest# ")
        g.do("dd if=/dev/urandom of=/tmp/r bs=1M count=8 2>/dev/null; md5sum /tmp/r >/tmp/sum; nproc >/tmp/cpus")
        for _ in range(2):
            g.do("echo +4 >/sys/class/rtc/rtc0/wakealarm; echo mem >/sys/power/state", "Waking up from system sleep state S3")
            g.do("md5sum -c /tmp/sum && [ $(nproc) = $(cat /tmp/cpus) ] && echo AWA''KE", "AWAKE")
        g.type("poweroff -f\n")
        g.ends()
    finally:
        g.kill()


def monitor(top, *commands):
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(top / "monitor"))
        s.settimeout(60)
        for c in commands:
            s.sendall(c.encode() + b"\n")
            time.sleep(2)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("emulator")
    a.add_argument("guest")
    a.add_argument("kind", choices=("short", "full", "uefi"))
    a.add_argument("--bios")
    a.add_argument("--cpus", default="1")
    a.add_argument("--log", type=pathlib.Path)
    a = a.parse_args()
    bios = ["-bios", a.bios] if a.bios else []
    with tempfile.TemporaryDirectory() as folder:
        try:
            {"short": short, "full": full, "uefi": uefi}[a.kind](a, pathlib.Path(folder), bios)
        except foreign.Missing as e:
            print(f"sleep: {e}")
            return 77
        except foreign.Failed as e:
            print(f"sleep: {e}")
            return 1
    print("sleep: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
