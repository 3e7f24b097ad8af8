#!/usr/bin/env python3
"""Boots other people's boot loaders and stand-alone programs through our BIOS, unattended, and reads the screen.

usage: boot.py ORRERY FONTS.bin CASE [--bios FILE] [--keep FOLDER]     (--list names the cases)

Everything is put together for the run from Debian's packages; a case whose packages are missing is skipped (status 77).
"""
import argparse
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

import rfb
import screen

SYSLINUX = pathlib.Path("/usr/lib/syslinux/modules/bios")
GRUB = pathlib.Path("/usr/lib/grub/i386-pc")
SECTOR = 512


class Missing(Exception):
    pass


def need(*things):
    for thing in things:
        if not (pathlib.Path(thing).exists() if str(thing).startswith("/") else shutil.which(thing)):
            raise Missing(f"{thing} is not installed")


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}")


# ---- images ---------------------------------------------------------------------------------------------------

def fat_image(path, sectors, files, floppy=False):
    """A FAT file system of @sectors with @files {name: content}."""
    with open(path, "wb") as out:
        out.truncate(sectors * SECTOR)
    geometry = ["-f", "1440"] if floppy else ["-T", str(sectors), "-h", "16", "-s", "63"]
    run("mformat", "-i", path, *geometry, "::")
    for name, content in files.items():
        folder = str(pathlib.PurePosixPath(name).parent)
        parts = [] if folder == "." else folder.split("/")
        for n in range(len(parts)):
            subprocess.run(["mmd", "-i", path, "::" + "/".join(parts[:n + 1])], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["mcopy", "-i", path, "-", "::" + name], input=content, check=True)


def partition_entry(start, sectors):
    """An active FAT16 partition; 16 heads, 63 sectors."""
    def chs(lba):
        cylinder, rest = divmod(lba, 16 * 63)
        return bytes([rest // 63, (rest % 63 + 1) | cylinder >> 2 & 0xc0, cylinder & 255])
    return b"\x80" + chs(start) + b"\x06" + chs(start + sectors - 1) + struct.pack("<II", start, sectors)


GRUB_CFG = """
set timeout={timeout}
set default=0
menuentry "Switch off" {{ halt }}
menuentry "Invaders" {{ multiboot /boot/invaders.exec }}
menuentry "Memory test" {{ linux16 /boot/memtest.bin }}
"""


def grub_files(timeout):
    files = {"boot/grub/grub.cfg": GRUB_CFG.format(timeout=timeout).encode()}
    for name, source in (("invaders.exec", "/boot/invaders.exec"), ("memtest.bin", "/boot/memtest86+x64.bin")):
        if pathlib.Path(source).exists():
            files["boot/" + name] = pathlib.Path(source).read_bytes()
    return files


def grub_iso(top, timeout=3, default=0):
    need("grub-mkrescue", "xorriso", "mformat", GRUB)
    for name, content in grub_files(timeout).items():
        if name.endswith(".cfg"):
            content = content.replace(b"default=0", b"default=%d" % default)
        (top / "iso" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "iso" / name).write_bytes(content)
    run("grub-mkrescue", "-d", GRUB, "-o", top / "grub.iso", top / "iso")
    return top / "grub.iso"


def grub_disk(top, timeout=3):
    """An installed disk: boot.img in the first sector, the core image behind it, modules and menu on a FAT partition."""
    need("grub-mkimage", "mformat", GRUB)
    files = grub_files(timeout)
    for module in list(GRUB.glob("*.mod")) + list(GRUB.glob("*.lst")):
        files["boot/grub/i386-pc/" + module.name] = module.read_bytes()
    start, sectors = 2048, 63000
    fat_image(top / "fat", sectors, files)
    run("grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", "(hd0,msdos1)/boot/grub", "-o", top / "core",
        "biosdisk", "part_msdos", "fat", "normal")
    core = bytearray((top / "core").read_bytes())
    core += bytes(-len(core) % SECTOR)
    # The last block list entry of the first sector: where the rest lies, how much, and where it goes.
    core[0x1f4:0x200] = struct.pack("<QHH", 2, len(core) // SECTOR - 1, 0x820)
    boot = bytearray((GRUB / "boot.img").read_bytes())
    boot[0x5c:0x64] = struct.pack("<Q", 1)
    boot[0x66:0x68] = b"\x90\x90"  # trust DL
    boot[0x1be:0x1fe] = partition_entry(start, sectors).ljust(64, b"\0")
    boot[0x1fe:0x200] = b"\x55\xaa"
    image = bytes(boot) + bytes(core)
    image = image.ljust(start * SECTOR, b"\0") + (top / "fat").read_bytes()
    (top / "disk.img").write_bytes(image)
    return top / "disk.img"


LINUX_CFG = """UI menu.c32
MENU TITLE Orrery
TIMEOUT {timeout}
LABEL off
  MENU LABEL Switch off
  COM32 poweroff.c32
"""


def syslinux_modules():
    need(SYSLINUX)
    return {name: (SYSLINUX / name).read_bytes() for name in
            ("ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32", "poweroff.c32")}


def isolinux_iso(top, timeout=30):
    need("xorriso", "/usr/lib/ISOLINUX/isolinux.bin")
    folder = top / "isolinux" / "isolinux"
    folder.mkdir(parents=True)
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", folder)
    (folder / "isolinux.cfg").write_text(LINUX_CFG.format(timeout=timeout))
    for name, content in syslinux_modules().items():
        (folder / name).write_bytes(content)
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", top / "isolinux.iso", "-b", "isolinux/isolinux.bin",
        "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", top / "isolinux")
    return top / "isolinux.iso"


def syslinux_files(timeout):
    return {"syslinux.cfg": LINUX_CFG.format(timeout=timeout).encode(), **syslinux_modules()}


def syslinux_floppy(top, timeout=30):
    need("syslinux", "mformat")
    fat_image(top / "floppy.img", 2880, syslinux_files(timeout), floppy=True)
    run("syslinux", "--install", top / "floppy.img")
    return top / "floppy.img"


def syslinux_disk(top, timeout=30):
    need("syslinux", "mformat", "/usr/lib/syslinux/mbr/mbr.bin")
    start, sectors = 63, 40257
    fat_image(top / "fat", sectors, syslinux_files(timeout))
    fat = bytearray((top / "fat").read_bytes())
    fat[0x1c:0x20] = struct.pack("<I", start)  # hidden sectors
    (top / "fat").write_bytes(fat)
    run("syslinux", "--install", top / "fat")
    mbr = bytearray(pathlib.Path("/usr/lib/syslinux/mbr/mbr.bin").read_bytes().ljust(SECTOR, b"\0"))
    mbr[0x1be:0x1fe] = partition_entry(start, sectors).ljust(64, b"\0")
    mbr[0x1fe:0x200] = b"\x55\xaa"
    (top / "disk.img").write_bytes(bytes(mbr).ljust(start * SECTOR, b"\0") + (top / "fat").read_bytes())
    return top / "disk.img"


# ---- running --------------------------------------------------------------------------------------------------

class Machine:
    """One run of Orrery: screens at given times, keys through VNC, the end."""

    def __init__(self, args, top):
        self.args, self.top, self.shots = args, top, []

    def run(self, *options, seconds, shots=(), keys=None, status=None, memory=64, stop=None):
        """@shots: [(guest seconds or None for the end, [texts that must be there])]; @keys: fn(rfb.Client); @stop: text on the
        serial line that ends it."""
        command = [self.args.orrery, *map(str, options), "-m", str(memory), "-serial", f"file:{self.top / 'serial'}",
                   "-timeout", str(seconds), "-no-reboot"]
        if self.args.bios:
            command += ["-bios", self.args.bios]
        if "-nic" not in options:
            command += ["-nic", "none"]
        for n, (at, _) in enumerate(shots):
            command += ["-screenshot", f"{self.top / f'shot{n}.png'}" + (f",at={at}s" if at else "")]
        if keys:
            port = rfb.free_port()
            command += ["-vnc", f"127.0.0.1:{port - 5900}"]
            thread = threading.Thread(target=rfb.drive, args=(port, keys), daemon=True)
            thread.start()
        else:
            command += ["-display", "none"]
        with open(self.top / "stderr", "w") as errors:
            end = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors)
            while stop and end.poll() is None:
                time.sleep(1)
                if stop in (self.top / "serial").read_text(errors="replace"):
                    time.sleep(5)
                    end.terminate()
            end.wait()
        good = status is None or end.returncode == status
        if not good:
            print(f"ended with {end.returncode}, not {status}: {(self.top / 'stderr').read_text()}")
        for n, (at, wanted) in enumerate(shots):
            good &= self.judge(self.top / f"shot{n}.png", at, wanted)
        return good

    def judge(self, path, at, wanted):
        if not path.exists():
            print(f"no picture at {at}")
            return False
        lines = screen.text(self.args.fonts, path)
        whole = "\n".join(lines)
        missing = [w for w in wanted if w not in whole]
        if missing or self.args.verbose:
            print(f"--- screen at {at or 'the end'}; missing: {missing}\n{whole}\n---")
        return not missing


def case_grub_iso(m, top):
    return m.run("-cdrom", grub_iso(top), seconds=100, status=0,
                 shots=[(2.5, ["GNU GRUB", "Switch off", "Invaders", "executed automatically"])])


def case_grub_disk(m, top):
    return m.run("-hda", grub_disk(top), seconds=100, status=0,
                 shots=[(2.5, ["GNU GRUB", "Switch off", "Memory test", "executed automatically"])])


def case_isolinux(m, top):
    return m.run("-cdrom", isolinux_iso(top), seconds=60, status=0, shots=[(1.5, ["Orrery", "Switch off", "Automatic boot in"])])


def case_syslinux_disk(m, top):
    return m.run("-hda", syslinux_disk(top), seconds=60, status=0, shots=[(1.5, ["Orrery", "Switch off", "Automatic boot in"])])


def case_syslinux_floppy(m, top):
    return m.run("-fda", syslinux_floppy(top), seconds=60, status=0, shots=[(3, ["Orrery", "Switch off", "Automatic boot in"])])


def el_torito(m, top, image, *options):
    """The image as one that the BIOS shows as a drive."""
    need("xorriso")
    (top / "disc").mkdir()
    shutil.copy(image, top / "disc" / "boot.img")
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", top / "emulated.iso", "-b", "boot.img", "-c", "boot.cat", *options, top / "disc")
    return m.run("-cdrom", top / "emulated.iso", seconds=60, status=0)


def case_emulated_disk(m, top):
    return el_torito(m, top, syslinux_disk(top), "-hard-disk-boot")


def case_emulated_floppy(m, top):
    return el_torito(m, top, syslinux_floppy(top))


def case_memtest(m, top):
    iso = "/usr/lib/memtest86+/memtest86+x64.iso"
    need(iso)
    return m.run("-cdrom", iso, "-max-insns", "2500M", seconds=100,
                 shots=[(None, ["Memtest86+", "Status: Testing", "Errors: 0"])])


def case_memtest_pass(m, top):
    """All ten tests of a small memory; the last two wait for 80 seconds each."""
    iso = "/usr/lib/memtest86+/memtest86+x64.iso"
    need(iso)
    return m.run("-cdrom", iso, "-max-insns", "130G", seconds=1800, memory=12,
                 shots=[(None, ["Memtest86+", "Pass:  1", "Errors: 0"])])


def case_invaders(m, top):
    return m.run("-cdrom", grub_iso(top, timeout=0, default=1), "-max-insns", "1800M", seconds=100,
                 shots=[(None, ["GAME OVER"])])  # nobody plays


def case_ipxe(m, top):
    """A network ROM that moves itself into memory of the POST Memory Manager; DHCP, a script and a kernel by TFTP."""
    rom, kernel = "/usr/lib/ipxe/qemu/pxe-e1000.rom", "/boot/memtest86+x64.bin"
    need(rom, kernel)
    (top / "tftp").mkdir(exist_ok=True)
    (top / "tftp" / "script.ipxe").write_text("#!ipxe\nkernel tftp://${next-server}/memtest.bin console=ttyS0,115200\nboot\n")
    shutil.copy(kernel, top / "tftp" / "memtest.bin")
    network = f"user,model=e1000,romfile={rom},tftp={top / 'tftp'},bootfile=script.ipxe"
    good = m.run("-boot", "n", "-nic", network, seconds=300, stop="Memtest86", shots=[(1, ["PnP PMM+00"])])
    return good and "Memtest86" in (top / "serial").read_text(errors="replace")


def installer_iso(top, arch, kind, append):
    folder = pathlib.Path(f"/usr/lib/debian-installer/images/12/{arch}/{kind}/debian-installer/{arch}")
    need(folder / "linux", "xorriso", "/usr/lib/ISOLINUX/isolinux.bin")
    disc = top / "disc"
    (disc / "isolinux").mkdir(parents=True)
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", disc / "isolinux")
    shutil.copy(SYSLINUX / "ldlinux.c32", disc / "isolinux")
    for name in ("linux", "initrd.gz"):
        shutil.copy(folder / name, disc)
    (disc / "isolinux" / "isolinux.cfg").write_text(
        f"DEFAULT install\nLABEL install\nKERNEL /linux\nAPPEND initrd=/initrd.gz {append} ---\n")
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", top / "installer.iso", "-b", "isolinux/isolinux.bin",
        "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", disc)
    return top / "installer.iso"


def installer(m, top, arch):
    """Debian's installer from a CD, to its first question, on screen and serial line."""
    iso = installer_iso(top, arch, "text", "console=tty0 console=ttyS0")
    m.run("-cdrom", iso, seconds=600, memory=1024, shots=[(None, [])], stop="Select a language")
    return "Select a language" in (top / "serial").read_text(errors="replace")


def case_installer_amd64(m, top):
    return installer(m, top, "amd64")


def case_installer_i386(m, top):
    return installer(m, top, "i386")


CHOSEN = (0x2a, 0x8a, 0x80)  # the colour of the installer's selected row, roughly


class Installer:
    """The graphical installer through VNC. A new connection for each picture: the size changes as it starts."""

    def __init__(self, port, top):
        self.port, self.top, self.end = port, top, time.monotonic() + 900

    def look(self, name=None):
        client = rfb.Client(self.port)
        try:
            data = client.picture()
        finally:
            client.close()
        if name:
            rgb = bytearray(len(data) // 4 * 3)
            rgb[0::3], rgb[1::3], rgb[2::3] = data[2::4], data[1::4], data[0::4]
            (self.top / name).write_bytes(b"P6 %d %d 255\n" % (client.width, client.height) + rgb)
        return client.width, client.height, data

    def chosen(self):
        """The middles of the selected rows."""
        w, h, data = self.look()
        x = w // 2
        rows = [y for y in range(120, h - 80) if all(abs(data[(y * w + x) * 4 + 2 - i] - CHOSEN[i]) < 24 for i in range(3))]
        return w, h, (rows[0] + rows[-1]) // 2 if rows else None

    def wait(self, what, check):
        while time.monotonic() < self.end:
            try:
                found = check()
                if found:
                    return found
            except (OSError, EOFError):
                pass
            time.sleep(2)
        raise RuntimeError("waited in vain for " + what)

    def click(self, x, y):
        client = rfb.Client(self.port)
        client.click(x, y)
        time.sleep(1)
        client.close()


def graphical_installer(m, top, arch):
    """The graphical installer: another language by a click on its row, then Continue; the next page is another."""
    iso = installer_iso(top, arch, "gtk", "vga=788 quiet")
    port = rfb.free_port()
    command = [m.args.orrery, "-cdrom", iso, "-m", "1024", "-nic", "none", "-serial", "null", "-vnc", f"127.0.0.1:{port - 5900}",
               "-timeout", "900"]
    if m.args.bios:
        command += ["-bios", m.args.bios]
    with open(top / "stderr", "w") as errors:
        guest = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stderr=errors)
    d = Installer(port, top)
    try:
        w, h, first = d.wait("the list of languages", lambda: (lambda s: s if s[2] else None)(d.chosen()))
        target = first + (h - 80 - first) // 2
        d.click(w // 4, target)
        row = d.wait("the row that was clicked", lambda: (lambda s: s[2] if s[2] and abs(s[2] - target) < 20 else None)(d.chosen()))
        before = d.look("language.ppm")[2]
        d.click(w - 61, h - 26)
        text = slice(w * 125 * 4, w * 145 * 4)

        def turned():
            now = d.look()[2][text]  # letters, and others than before
            return now != before[text] and len({now[i:i + 4] for i in range(0, len(now), 4)}) > 8
        d.wait("the next page", turned)
        d.look("next.ppm")
        print(f"the selection went from {first} to {row}")
        return True
    except RuntimeError as e:
        d.look("failed.ppm")
        print(e)
        return False
    finally:
        guest.kill()
        guest.wait()


def case_installer_gtk_amd64(m, top):
    return graphical_installer(m, top, "amd64")


def case_installer_gtk_i386(m, top):
    return graphical_installer(m, top, "i386")


def case_nothing(m, top):
    (top / "blank").write_bytes(bytes(1 << 20))
    return m.run("-hda", top / "blank", seconds=6,
                 shots=[(3, ["Orrery BIOS", "Not bootable: it is blank.", "No bootable device.", "press a key"])])


def case_menu(m, top):
    """F12, then the second entry: the CD though the disk comes first."""
    (top / "blank").write_bytes(bytes(1 << 20))
    iso = isolinux_iso(top)

    def keys(client):
        client.sleep(1)
        client.key("F12")
        client.sleep(2)
        client.key("b")
    return m.run("-hda", top / "blank", "-cdrom", iso, "-boot", "menu=on,splash-time=4000", seconds=60, status=0, keys=keys)


CASES = {name[5:]: fn for name, fn in list(globals().items()) if name.startswith("case_")}


def main():
    parser = argparse.ArgumentParser(description="boots boot loaders through the BIOS")
    parser.add_argument("orrery", nargs="?")
    parser.add_argument("fonts", nargs="?")
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("--bios")
    parser.add_argument("--keep", help="leave images and pictures in this folder")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list or not args.case:
        print("\n".join(CASES))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(args.keep or folder)
        top.mkdir(parents=True, exist_ok=True)
        try:
            return 0 if CASES[args.case](Machine(args, top), top) else 1
        except Missing as missing:
            print(missing)
            return 77


sys.exit(main())
