#!/usr/bin/env python3
"""Boots the BIOS test from a disk, a CD or a diskette and judges what it reports on port E9h.

usage: run.py ORRERY GUEST.bin disk|virtio|cd|cd-floppy|floppy|rom[:CPU] [BIOS]
"""
import pathlib
import struct
import subprocess
import sys
import tempfile


def numbered(sectors, first, size=512):
    """Sectors that are full of their own number from @first on."""
    image = bytearray(sectors * size)
    for n in range(first, sectors):
        image[n * size:(n + 1) * size] = struct.pack("<I", n) * (size // 4)
    return image


def disk(guest):
    image = numbered(40000, 2048)
    image[:len(guest)] = guest
    return image


def floppy(guest):
    image = numbered(2880, 100)
    image[:len(guest)] = guest
    return image


def cd(boot_image, media, load_sectors):
    """An ISO 9660 disc with nothing but an El Torito boot record."""
    image = numbered(2000, 64, 2048)
    image[16 * 2048:64 * 2048] = bytes(48 * 2048)
    image[16 * 2048:16 * 2048 + 7] = b"\x01CD001\x01"
    record = b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(32, b"\0") + bytes(32) + struct.pack("<I", 19)
    image[17 * 2048:17 * 2048 + len(record)] = record
    image[18 * 2048:18 * 2048 + 7] = b"\xffCD001\x01"
    validation = bytearray(32)
    validation[0], validation[30], validation[31] = 1, 0x55, 0xaa
    total = sum(struct.unpack("<16H", validation)) & 0xffff
    validation[28:30] = struct.pack("<H", -total & 0xffff)
    initial = struct.pack("<BBHBBHI", 0x88, media, 0, 0, 0, load_sectors, 200)
    image[19 * 2048:19 * 2048 + 64] = validation + initial.ljust(32, b"\0")
    image[200 * 2048:200 * 2048 + len(boot_image)] = boot_image
    return image


def main():
    orrery, guest_path, kind = sys.argv[1:4]
    kind, _, cpu = kind.partition(":")
    bios = sys.argv[4:5]
    if bios and not pathlib.Path(bios[0]).exists():
        print(f"{bios[0]} is not installed")
        return 77
    guest = pathlib.Path(guest_path).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        image, out = top / "image", top / "out"
        if kind in ("disk", "virtio"):
            image.write_bytes(disk(guest))
            boot = ["-drive", f"file={image},format=raw,if={'ide' if kind == 'disk' else kind}"]
            if kind == "disk":  # what comes after it
                (top / "floppy").write_bytes(floppy(guest))
                boot += ["-fda", str(top / "floppy"), "-boot", "ca"]
        elif kind == "floppy":
            image.write_bytes(floppy(guest))
            boot = ["-drive", f"file={image},format=raw,if=floppy"]
        elif kind == "rom":
            guest = bytearray(guest)
            guest[-1] = -sum(guest) & 0xff
            image.write_bytes(guest)
            boot = ["-nic", f"user,model=e1000,romfile={image}", "-boot", "n"]
        elif kind == "cd":
            image.write_bytes(cd(guest, 0, (len(guest) + 511) // 512))
            boot = ["-cdrom", str(image)]
        else:
            image.write_bytes(cd(floppy(guest), 2, 1))
            boot = ["-cdrom", str(image)]
        if kind != "rom":
            boot += ["-nic", "none"]
        command = [orrery, *boot, "-m", "128", "-display", "none", "-serial", "null", "-debugcon", f"file:{out}",
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-timeout", "100"]
        if bios:
            command += ["-bios", bios[0]]
        if cpu:
            command += ["-cpu", cpu]
        end = subprocess.run(command, stdin=subprocess.DEVNULL)
        text = out.read_text(errors="replace") if out.exists() else ""
    print(text)
    good = "PASSED" in text and "FAIL" not in text and end.returncode == 1
    return 0 if good else 1


sys.exit(main())
