#!/usr/bin/env python3
"""Linux writes files to ext4 on an image and syncs; the emulator is killed (SIGKILL) at any moment; the next start finds all that was
synced. Then qemu-img check must find no error, and e2fsck (if there) none that the journal does not mend.

usage: kill.py CACHE [--kills N] [--format qcow2] [--interface ide|virtio]
The emulator is $EMU (default: orrery). Exit status 0 when every check held, 77 without qemu-img or mkfs.ext4.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Guest:
    def __init__(self, argv):
        self.lines = []
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    def said(self, pattern):
        return [int(m.group(1)) for line in list(self.lines) if (m := re.search(pattern, line))]

    def wait(self, pattern, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if self.said(pattern):
                return True
            time.sleep(0.02)
        return bool(self.said(pattern))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("cache", type=pathlib.Path)
    p.add_argument("--kills", type=int, default=3)
    p.add_argument("--format", default="qcow2")
    p.add_argument("--interface", default="ide")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    if not shutil.which("qemu-img") or not shutil.which("mkfs.ext4"):
        return 77
    random.seed(args.seed)
    work = pathlib.Path(tempfile.mkdtemp())
    image = work / "disk"
    with open(work / "raw", "wb") as f:
        f.truncate(256 << 20)
    run("mkfs.ext4", "-q", "-F", str(work / "raw"))
    run("qemu-img", "convert", "-f", "raw", "-O", args.format, str(work / "raw"), str(image))
    argv = [os.environ.get("EMU", "orrery"), "-kernel", str(args.cache / "disk.kernel"), "-initrd", str(args.cache / "disk.initrd"),
            "-append", "console=ttyS0 quiet panic=-1", "-m", "256", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-drive", "file=%s,format=%s,if=%s" % (image, args.format, args.interface)]
    synced, bad = -1, 0
    for kill in range(args.kills):
        guest = Guest(argv)
        started = guest.wait(r"GUEST wrote (\d+)", 240)
        if started:
            time.sleep(random.uniform(0, 3))
        guest.kill()
        found, wrote, wrong = guest.said(r"GUEST found (\d+)"), guest.said(r"GUEST wrote (\d+)"), guest.said(r"file (\d+) is wrong")
        if not started or not found:
            print("the guest did not come so far:", *guest.lines[-15:], sep="\n  ")
            return 1
        if found[0] <= synced or [n for n in wrong if n <= synced]:
            print("kill %d: files up to %d were synced; found %d, wrong %s" % (kill, synced, found[0], wrong))
            bad += 1
        synced = max(wrote)
        check = run("qemu-img", "check", "-f", args.format, str(image))
        if check.returncode not in (0, 3, 63):  # 3: leaks; 63: the format has no checks
            print("kill %d: qemu-img check: %s" % (kill, check.stdout))
            bad += 1
        print("kill %d: %d files found, %d synced, qemu-img check %d" % (kill, found[0], synced + 1, check.returncode), flush=True)
    shutil.rmtree(work)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
