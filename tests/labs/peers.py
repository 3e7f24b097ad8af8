#!/usr/bin/env python3
"""The labs' guests under QEMU and Bochs: every observation that the guest makes itself must be the one expected.

usage: peers.py qemu|bochs SOURCE_DIR BUILD_DIR [NAME...]
Counters are not compared: they are this emulator's. QEMU's translator has no VT-x, so phases that need it are compared under Bochs.
Exit 77: the peer is not there.
"""
import json
import os
import re
import shutil
import select
import subprocess
import sys
import tempfile
import time

# What the peers are known to do otherwise than the SDM says, each with its reason.
VME = "QEMU does not model VME and PVI"
TIME = "QEMU's timer runs in real time"
LIMIT = "QEMU does not check segment limits"
QEMU = {("pages", "reserved", "error"): "QEMU leaves P clear where a reserved bit is set; SDM Vol. 3A, 4.7: P = 1",
         ("rings64", "sysret_bad", "fault_ring"): "QEMU's SYSRET faults behind the change of ring, as AMD's processors do",
         ("interrupts", "cli_iopl3", "ticks"): TIME}
for lab, phase, keys, why in (("interrupts", "pvi_cli", "vector if_seen vif if_real clock_alive", VME), ("interrupts", "pvi_sti", "vector vif", VME),
                              ("interrupts", "vme_cli", "vector vif iopl_seen if_seen clock_alive", VME), ("interrupts", "vme_popf", "vif if_seen", VME),
                              ("interrupts", "v86_iopl3", "ticks", TIME), ("interrupts", "spin", "clock_alive", TIME),
                              ("interrupts", "popf", "clock_alive", TIME), ("smc", "interrupts", "arrived inside rolled", TIME),
                              ("compression", "fence_monitor", "vector whole", LIMIT)):
    QEMU.update({(lab, phase, key): why for key in keys.split()})


BOCHS = {("pages", "key_ring0", key): "Bochs applies keys to ring 3 only; SDM Vol. 3A, 4.6.2: to user pages, whoever reads"
         for key in ("vector", "error")}
BOCHS["smc", "interrupts", "arrived"] = "as many as Bochs's clock makes of the same instructions"
LABS = {"qemu": ["rings", "rings64", "pages", "sensitive", "interrupts", "monitors", "compression", "smc"],
        "bochs": ["rings", "rings64", "pages", "sensitive", "interrupts", "vpid", "monitors", "shadow", "compression", "smc"]}


def qemu(image, work):
    return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "64", "-kernel", image, "-debugcon", "stdio", "-device",
            "isa-debug-exit,iobase=0xf4", "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "none"]


def bochs(image, work):
    """Bochs boots from a CD with GRUB; what is written to port E9h goes to its standard output."""
    os.makedirs(work + "/iso/boot/grub")
    shutil.copy(image, work + "/iso/boot/lab")
    with open(work + "/iso/boot/grub/grub.cfg", "w") as f:
        f.write("set timeout=0\nmenuentry lab {\n\tmultiboot /boot/lab\n}\n")
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--install-modules=multiboot normal iso9660 biosdisk", "--fonts=",
                    "--locales=", "--themes=", "-o", work + "/lab.iso", work + "/iso"], check=True, capture_output=True)
    vga = next((p for p in ("/usr/share/bochs/VGABIOS-lgpl-latest", "/usr/share/vgabios/vgabios.bin") if os.path.exists(p)), "")
    with open(work + "/bochsrc", "w") as f:
        f.write("\n".join(["megs: 64", "romimage: file=/usr/share/bochs/BIOS-bochs-latest", "vgaromimage: file=" + vga,
                           "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
                           "ata0-master: type=cdrom, path=%s/lab.iso, status=inserted" % work, "boot: cdrom",
                           "cpu: model=%s, ips=200000000, reset_on_triple_fault=0" % os.environ.get("BOCHS_CPU", "corei7_icelake_u"),
                           "clock: sync=none", 'display_library: rfb, options="timeout=0"', "sound: driver=dummy", "port_e9_hack: enabled=1",
                           "log: %s/bochs.log" % work, "panic: action=fatal", "error: action=ignore", "info: action=ignore",
                           "debug: action=ignore", "magic_break: enabled=0", "speaker: enabled=0"]) + "\n")
    with open(work + "/go", "w") as f:
        f.write("c\n")
    return ["bochs", "-q", "-f", work + "/bochsrc", "-rc", work + "/go"]


def computed(pid):
    """Seconds of processor time of a child that runs: a loaded machine gives it fewer than the clock shows."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def output(argv, seconds):
    """What it prints until the guest says that it is at its end, or it has computed so long."""
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    data, end = b"", time.monotonic() + 15 * seconds
    while time.monotonic() < end and computed(p.pid) < seconds and b"\n@end " not in data:
        if select.select([p.stdout], [], [], 1)[0]:
            more = os.read(p.stdout.fileno(), 65536)
            if not more:
                break
            data += more
    p.kill()
    p.wait()
    return data.decode("latin-1")


def observations(peer, image):
    phase, seen = "start", {}
    with tempfile.TemporaryDirectory() as work:
        text = output(globals()[peer](image, work), 90)
    for line in text.splitlines():
        if m := re.search(r"@phase (\S+)$", line):
            phase = m[1]
            seen.setdefault(phase, {})
        elif m := re.search(r"@obs (\S+) (0x[0-9a-f]+)$", line):
            seen.setdefault(phase, {})[m[1]] = int(m[2], 0)
    return seen


def number(v):
    return int(v, 0) if isinstance(v, str) else v


def main():
    peer, source, build, names = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    if not shutil.which({"qemu": "qemu-system-x86_64", "bochs": "bochs"}[peer]):
        print("no " + peer)
        return 77
    known_of = {"qemu": QEMU, "bochs": BOCHS}[peer]
    bad = compared = 0
    for name in names or LABS[peer]:
        lab = json.load(open("%s/labs/%s/lab.json" % (source, name)))
        seen = observations(peer, "%s/labs/%s.bin" % (build, name))
        n = 0
        for x in lab["expect"]:
            if x["phase"] not in seen or x["key"] not in seen[x["phase"]]:
                continue
            v = seen[x["phase"]][x["key"]]
            ok = (("is" not in x or v == number(x["is"])) and ("min" not in x or v >= number(x["min"]))
                  and ("max" not in x or v <= number(x["max"])))
            n += 1
            if not ok:
                known = known_of.get((name, x["phase"], x["key"]))
                print("%s: %s.%s is %d under %s, expected %s%s" % (name, x["phase"], x["key"], v, peer, {k: x[k] for k in x if k in ("is", "min", "max")},
                                                                  ": " + known if known else ""))
                bad += known is None
        print("%-12s %d observations compared%s" % (name, n, "" if seen else ": the guest did not come to its first"))
        compared += n
        bad += not seen
    print("%d compared, %d differ" % (compared, bad))
    return 1 if bad or not compared else 0


sys.exit(main())
