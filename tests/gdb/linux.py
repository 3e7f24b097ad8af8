#!/usr/bin/env python3
"""From the reset vector through real, protected and long mode to symbols of Debian's kernel, in one session of the real gdb.

usage: linux.py EMULATOR CACHE
CACHE holds amd64.kernel and amd64.initrd (tests/linux/fetch). The symbols are the guest's own: a first boot reads them from
/proc/kallsyms, and an ELF file is made of them. The second boot is that of a PC: BIOS, ISOLINUX on a CD, the kernel's own way up.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "linux")]
sys.dont_write_bytecode = True
import boot  # noqa: E402
import run  # noqa: E402

NAMES = ("start_kernel", "x86_64_start_kernel", "rest_init", "__x64_sys_execve", "linux_banner", "jiffies_64", "init_uts_ns")
ARGS = "console=ttyS0,115200 panic=-1 nokaslr"
ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
# Of syslinux-common.
MODULES = "/usr/lib/syslinux/modules/bios/ldlinux.c32"


def kallsyms(emulator, cache):
    con = boot.Console([emulator, "-nographic", "-m", "256", "-no-reboot", "-kernel", cache + "/amd64.kernel", "-initrd",
                        cache + "/amd64.initrd", "-append", ARGS], None)
    try:
        con.expect(r"ORRERY-GUEST-UP", 240)
        con.expect(boot.PROMPT, 60)
        con.type("grep -E ' (%s)$' /proc/kallsyms; echo END-$?-\n" % "|".join(NAMES))
        start = con.seen
        con.expect(r"^END-0-", 60)
        return re.findall(r"^([0-9a-f]{16}) (\w) (\w+)\s*$", con.text[start:con.seen], re.M)
    finally:
        con.kill()


BASE = 0xffffffff81000000


def symbol_file(folder, symbols):
    """An ELF file without contents: gdb takes break points by name only in a section of code."""
    source = '.section .kernel, "awx", @nobits\n'
    for address, kind, name in sorted(symbols):
        source += ".org 0x%x\n.globl %s\n.type %s, %s\n%s:\n" % (int(address, 16) - BASE, name, name,
                                                               "@function" if kind in "tT" else "@object", name)
    (folder / "symbols.S").write_text(source + ".skip 4096\n")
    elf = str(folder / "symbols.elf")
    subprocess.run(["gcc", "-c", "-o", elf + ".o", str(folder / "symbols.S")], check=True)
    subprocess.run(["ld", "--section-start=.kernel=0x%x" % BASE, "--no-warn-rwx-segments", "-e", "0", "-o", elf, elf + ".o"], check=True)
    return elf


def iso(folder, cache):
    tree = folder / "cd"
    (tree / "isolinux").mkdir(parents=True)
    for path, name in ((ISOLINUX, "isolinux/isolinux.bin"), (MODULES, "isolinux/ldlinux.c32"), (cache + "/amd64.kernel", "linux"),
                       (cache + "/amd64.initrd", "initrd")):
        shutil.copy(path, tree / name)
    (tree / "isolinux/isolinux.cfg").write_text("default linux\nprompt 0\nlabel linux\nkernel /linux\nappend initrd=/initrd %s\n" % ARGS)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", str(folder / "cd.iso"), "-b", "isolinux/isolinux.bin", "-c",
                    "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", str(tree)], check=True)
    return str(folder / "cd.iso")


SCRIPT = [
    "set pagination off", "set confirm off", "info registers pc cr0 efer",
    "echo == boot sector\\n", "hbreak *0x7c00", "continue", "delete", "info registers pc cr0",
    "echo == protected mode\\n", "break *0x100000", "continue", "delete", "info registers pc cs cr0 efer",
    "echo == long mode\\n", "tbreak x86_64_start_kernel", "continue", "info registers pc cr0 efer cr3",
    "echo == start_kernel\\n", "break start_kernel", "continue", "bt 3", "x/i $pc", "x/s &linux_banner",
    "echo == a step\\n", "stepi", "stepi", "info symbol $pc",
    "echo == a finish\\n", "tbreak rest_init", "continue",
    "echo == a watch point\\n", "watch *(long *)&jiffies_64", "continue", "delete",
    "echo == a system call\\n", "break __x64_sys_execve", "continue", "p/x $cs", "info threads", "detach",
]


def main():
    emulator, cache = sys.argv[1:3]
    missing = [p for p in (ISOLINUX, MODULES) if not pathlib.Path(p).exists()] + [p for p in ("gdb", "xorriso") if not shutil.which(p)]
    if missing:
        print("missing: " + ", ".join(missing))
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        symbols = kallsyms(emulator, cache)
        elf = symbol_file(folder, symbols)
        guest = run.Guest(emulator, name, ["-S", "-m", "256", "-boot", "d", "-cdrom", iso(folder, cache)])
        text = guest.gdb(SCRIPT, elf, 120)
        guest.end()
    address = {name: address.lstrip("0") for address, _, name in symbols}
    bad = list(run.wants(text,
                         r"pc +0xfffffff0", r"== boot sector[^=]*pc +0x7c00[^=]*cr0 +0x10 ",
                         r"== protected mode[^=]*pc +0x100000[^=]*\[ PE [^=]*efer +0x0 ",
                         r"== long mode[^=]*x86_64_start_kernel[^=]*PG \][^=]*LME LMA",
                         r"== start_kernel[^=]*#0 .*start_kernel", r"=> 0x%s <start_kernel>" % address["start_kernel"],
                         r"<linux_banner>:\s+\"Linux version 6", r"== a step\n0x[0-9a-f]+ in .*\n0x[0-9a-f]+ in ",
                         r"== a finish\n[^=]*rest_init", r"== a watch point\n[^=]*Hardware watchpoint[^=]*\n[^=]*Old value = \d+\nNew value = \d+",
                         r"(?s)== a system call.* in __x64_sys_execve.*\$1 = 0x10\n", r"detached"))
    print("%d symbols; %s" % (len(symbols), "\n".join(bad) or "from the reset vector to %s" % address["start_kernel"]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
