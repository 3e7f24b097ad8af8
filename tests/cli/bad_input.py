#!/usr/bin/env python3
"""Bad options, files and kernels, given to the whole program: one line on what and where, the documented exit status, no file made or changed.

usage: bad_input.py ORRERY
"""
import os
import pathlib
import random
import resource
import struct
import subprocess
import sys
import tempfile

USAGE, IMAGE, INTERNAL, LIMIT, HANG, TRIPLE = 74, 76, 78, 72, 68, 66
OUTPUTS = ("-serial file:serial -debugcon file:debug -D log -audio wav:sound -trace trace -profile profile,flame=flame -record record "
           "-netdev user,id=n -object filter-dump,netdev=n,file=frames -device e1000,netdev=n -savevm saved -screenshot shot.png")
QUIET = "-display none -nodefaults -no-reboot -serial null -max-insns 2M"

# Status, words of the line, arguments.
REFUSED = (
    (USAGE, "unknown option", "-frobnicate"),
    (USAGE, "needs a value", "-kernel"),
    (USAGE, "did you mean 'pentium'", "-cpu penitum"),
    (USAGE, "'avx512f' is not modelled", "-cpu max,+avx512f"),
    (USAGE, "no property 'foo'", "-device e1000,foo=1"),
    (USAGE, "there is no -netdev with id=zz", "-device e1000,netdev=zz"),
    (USAGE, "1 to 8", "-smp 0"),
    (USAGE, "not a memory size", "-m -5"),
    (USAGE, "RAM can be", "-m 100T"),
    (USAGE, "expected utc", "-rtc base=yesterday"),
    (USAGE, "ports go up to 65535", "-serial tcp:localhost:99999"),
    (USAGE, "ports go up to 65535", "-gdb tcp:localhost:99999"),
    (USAGE, "no character device 'foo'", "-gdb foo"),
    (USAGE, "expected stdio", "-monitor foo"),
    (USAGE, "-vnc foo", "-vnc foo"),
    (USAGE, "-history abc", "-history abc"),
    (USAGE, "'random' is not a text file", "-config random"),
    (USAGE, "bad.conf:2: -memroy: unknown option", "-config bad.conf"),
    (USAGE, "-savevm none/x: No such file", "-savevm none/x"),
    (USAGE, "-savevm folder: Is a directory", "-savevm folder"),
    (USAGE, "-verdict none/x: No such file", "-verdict none/x"),
    (USAGE, "-screenshot none/x.png: No such file", "-screenshot none/x.png"),
    (USAGE, "-profile none/x: No such file", "-profile none/x"),
    (USAGE, "-trace none/x: No such file", "-trace none/x"),
    (USAGE, "-record none/x: No such file", "-record none/x"),
    (USAGE, "-D folder: Is a directory", "-D folder"),
    (USAGE, "none/x: No such file", "-serial file:none/x"),
    (USAGE, "wav:none/x: No such file", "-audio wav:none/x"),
    (IMAGE, "'absent': No such file", "-kernel absent"),
    (IMAGE, "'folder': Is a directory", "-kernel folder"),
    (IMAGE, "'pipe': is not a regular file", "-kernel pipe"),
    (IMAGE, "'/dev/zero': is not a regular file", "-kernel /dev/zero"),
    (IMAGE, "no bzImage header", "-kernel text"),
    (IMAGE, "the file is empty", "-kernel empty"),
    (IMAGE, "'absent': No such file", "-kernel halts -initrd absent"),
    (IMAGE, "'folder': Is a directory", "-kernel halts -initrd folder"),
    (USAGE, "-initrd needs -kernel", "-initrd text"),
    (IMAGE, "a BIOS image must be", "-bios empty"),
    (IMAGE, "'absent': cannot be opened", "-hda absent"),
    (IMAGE, "'folder': cannot be opened", "-hda folder"),
    (IMAGE, "'absent': cannot be opened", "-cdrom absent"),
    (IMAGE, "which no diskette has (160K to 2880K)", "-fda random"),
    (IMAGE, "has 6 bytes, which no diskette has", "-fda text"),
    (IMAGE, "a multiple of 4 KiB up to 64 MiB, this has 6 bytes", "-pflash text"),
    (IMAGE, "a multiple of 4 KiB up to 64 MiB, this has 5000 bytes", "-pflash random"),
    (IMAGE, "is empty", "-pflash empty"),
    (IMAGE, "'absent': cannot be opened", "-fda absent"),
    (IMAGE, "'absent': cannot be opened", "-pflash absent"),
    (IMAGE, "'absent': No such file", "-loadvm absent"),
    (IMAGE, "is not a snapshot", "-loadvm text"),
    (IMAGE, "is not a recording", "-kernel halts -replay text"),
    (IMAGE, "expected ELF", "-kernel halts -symbols text"),
)


def multiboot(flags, *fields):
    return struct.pack("<III", 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff) + struct.pack("<%dI" % len(fields), *fields)


def program(code):
    """A Multiboot kernel at 1 MiB that is this code."""
    return multiboot(0x10000, 0x100000, 0x100000, 0, 0, 0x100020) + code.ljust(4064, b"\xf4")


KERNELS = (  # what is wrong, words, bytes
    ("Multiboot: an unknown feature", "ask for features", multiboot(0x8000) + bytes(4096)),
    ("Multiboot: no addresses, no ELF", "not an ELF file", multiboot(0) + bytes(4096)),
    ("Multiboot: begins before its header", "does not fit header_addr", multiboot(0x10000, 0x100000, 0x200000, 0, 0, 0) + bytes(64)),
    ("Multiboot: ends behind the file", "outside the file", multiboot(0x10000, 0x100000, 0x100000, 0x900000, 0, 0) + bytes(64)),
    ("Multiboot: no RAM there", "RAM ends at", multiboot(0x10000, 0xfffff000, 0xfffff000, 0, 0, 0xfffff000) + bytes(64)),
    ("Multiboot: entry nowhere", "entry_addr 0xdeadbeef", multiboot(0x10000, 0x100000, 0x100000, 0, 0, 0xdeadbeef) + bytes(64)),
    ("Multiboot 2: another processor", "architecture 4", struct.pack("<IIII", 0xe85250d6, 4, 24, -(0xe85250d6 + 28) & 0xffffffff) + bytes(64)),
    ("Multiboot 2: length 0", "outside the file", struct.pack("<IIII", 0xe85250d6, 0, 0, -0xe85250d6 & 0xffffffff) + bytes(64)),
    ("Multiboot 2: a tag without end", "bad size 0",
     struct.pack("<IIII", 0xe85250d6, 0, 32, -(0xe85250d6 + 32) & 0xffffffff) + struct.pack("<HHI", 1, 0, 0) + bytes(64)),
    ("ELF: cut off", "no PVH note", b"\x7fELF\1\1\1" + bytes(20)),
    ("ELF: program headers nowhere", "no PVH note", b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 1 << 30, 0, 0, 52, 32, 9, 0, 0, 0)),
    ("bzImage: cut off in the header", "cut off inside the Linux setup header", bytes(0x202) + b"HdrS" + bytes(20)),
    ("bzImage: cut off in the setup code", "fills or exceeds the file", bytes(0x1f1) + b"\4" + bytes(12) + b"\x55\xaa\0\0HdrS\x0f\2" + bytes(1000)),
)

MISBEHAVES = (  # status, words, code in protected mode
    (HANG, "interrupts off", b"\xfa\xf4"),
    (TRIPLE, "Triple fault", b"\xb8\xff\xff\xff\xf0\xff\xe0"),  # jmp f0ffffffh
    (TRIPLE, "Triple fault", b"\x0f\x0b"),
    (LIMIT, "limit", b"\xeb\xfe"),
    # Every byte from the top of RAM on, in steps of 4 KiB + 1, is written and read: nobody or any device may answer.
    (LIMIT, "limit", b"\xbe\x00\x00\x00\x08\x89\x36\x8b\x06\x88\x06\x81\xc6\x01\x10\x00\x00\xeb\xf2"),
    # The same for all ports but isa-debug-exit's: 0 to FFFFh, out of EAX, over and over.
    (None, None, b"\x66\xba\x00\x00\x83\xc0\x5b\xef\xee\xed\x42\xeb\xf6"),
)


class Rig:
    def __init__(self, orrery, folder):
        self.orrery, self.folder, self.wrong = orrery, pathlib.Path(folder), 0

    def run(self, args, limit=None):
        bounds = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
        end = subprocess.run([self.orrery] + args.split(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=60, check=False, preexec_fn=bounds)
        return end.returncode, end.stderr.decode("utf-8", "replace").rstrip("\n")

    def listing(self):
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in self.folder.rglob("*")}

    def check(self, name, good, *details):
        if not good:
            self.wrong += 1
            print("FAIL %s:" % name, *details)

    def refused(self, status, words, args):
        before = self.listing()
        got, said = self.run(args)
        self.check(args, got == status and words in said and "\n" not in said, got, repr(said))
        self.check(args, self.listing() == before, "files made or changed:", sorted(self.listing().items() ^ before.items()))

    def write(self, name, data):
        (self.folder / name).write_bytes(data)

    def kernels(self):
        for name, words, data in KERNELS:
            self.write("kernel", data)
            got, said = self.run("-kernel kernel " + QUIET)
            self.check(name, got == IMAGE and words in said and "\n" not in said, got, repr(said))

    def guests(self):
        dice = random.Random(20261122)
        for status, words, code in MISBEHAVES + tuple((None, None, dice.randbytes(4000)) for _ in range(12)):
            self.write("kernel", program(code))
            got, said = self.run("-kernel kernel " + QUIET)
            if status is None:
                self.check(code[:8].hex(), got in (0, HANG, TRIPLE, LIMIT, 64) and (said or not got), got, repr(said))
            else:
                self.check(code[:8].hex(), got == status and words in said, got, repr(said))

    def outputs(self):
        """What cannot be written to its end changes a good status, and says so."""
        for option in ("-savevm out", "-record out", "-D out -d exec", "-screenshot out"):
            got, said = self.run("-kernel loops -max-insns 20k -display none -nodefaults -vga std -serial null " + option, limit=512)
            self.check(option, got == INTERNAL and option.split()[0] in said, got, repr(said))
        self.write("target", b"old")
        os.symlink("target", self.folder / "link")
        self.check("-verdict link", self.run("-kernel halts -verdict link " + QUIET)[0] == HANG)
        self.check("a link stays one", (self.folder / "link").is_symlink() and b"exit_status" in (self.folder / "target").read_bytes())


def main():
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(os.path.abspath(sys.argv[1]), folder)
        (rig.folder / "folder").mkdir()
        os.mkfifo(rig.folder / "pipe")
        for name, data in (("text", b"hello\n"), ("empty", b""), ("random", random.Random(1).randbytes(5000)), ("bad.conf", b"m = 64\nmemroy = 3\n"),
                           ("halts", program(b"\xfa\xf4")), ("loops", program(b"\xeb\xfe"))):
            rig.write(name, data)
        for name in ("serial", "log", "trace"):
            rig.write(name, b"precious")
        for status, words, args in REFUSED:
            rig.refused(status, words, OUTPUTS + " " + args if words != "is not a recording" else args + " -serial file:serial -D log")
        rig.kernels()
        rig.guests()
        rig.outputs()
        print("%d bad inputs, %d wrong" % (len(REFUSED) + len(KERNELS) + len(MISBEHAVES) + 17, rig.wrong))
        return 1 if rig.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
