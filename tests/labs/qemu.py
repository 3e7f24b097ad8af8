#!/usr/bin/env python3
"""The labs' guests under QEMU (its translator: no VT-x): every observation that the guest makes itself must be the one expected.

usage: qemu.py SOURCE_DIR BUILD_DIR [NAME...]
Counters are not compared: they are this emulator's. Phases that need VT-x are left out. Exit 77: there is no QEMU.
"""
import json
import os
import re
import shutil
import subprocess
import sys

# What QEMU's TCG is known to do otherwise than the SDM says, each with its reason.
VME = "QEMU does not model VME and PVI"
TIME = "QEMU's timer runs in real time"
LIMIT = "QEMU does not check segment limits"
KNOWN = {("pages", "reserved", "error"): "QEMU leaves P clear where a reserved bit is set; SDM Vol. 3A, 4.7: P = 1",
         ("interrupts", "cli_iopl3", "ticks"): TIME}
for lab, phase, keys, why in (("interrupts", "pvi_cli", "vector if_seen vif if_real clock_alive", VME), ("interrupts", "pvi_sti", "vector vif", VME),
                              ("interrupts", "vme_cli", "vector vif iopl_seen if_seen clock_alive", VME), ("interrupts", "vme_popf", "vif if_seen", VME),
                              ("interrupts", "v86_iopl3", "ticks", TIME), ("interrupts", "spin", "clock_alive", TIME),
                              ("interrupts", "popf", "clock_alive", TIME), ("smc", "interrupts", "arrived inside rolled", TIME),
                              ("compression", "fence_monitor", "vector whole", LIMIT)):
    KNOWN.update({(lab, phase, key): why for key in keys.split()})


def observations(image):
    p = subprocess.run(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "64", "-kernel", image, "-debugcon", "stdio",
                        "-device", "isa-debug-exit,iobase=0xf4", "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "none"],
                       capture_output=True, timeout=60)
    phase, seen = "start", {}
    for line in p.stdout.decode("latin-1").splitlines():
        if m := re.match(r"@phase (\S+)", line):
            phase = m[1]
            seen.setdefault(phase, {})
        elif m := re.match(r"@obs (\S+) (\S+)", line):
            seen.setdefault(phase, {})[m[1]] = int(m[2], 0)
    return seen


def number(v):
    return int(v, 0) if isinstance(v, str) else v


def main():
    source, build, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not shutil.which("qemu-system-x86_64"):
        print("no qemu-system-x86_64")
        return 77
    bad = compared = 0
    for name in names or ["rings", "pages", "sensitive", "interrupts", "monitors", "compression", "smc"]:
        lab = json.load(open("%s/labs/%s/lab.json" % (source, name)))
        seen = observations("%s/labs/%s.bin" % (build, name))
        n = 0
        for x in lab["expect"]:
            if x["phase"] not in seen or x["key"] not in seen[x["phase"]]:
                continue
            v = seen[x["phase"]][x["key"]]
            ok = (("is" not in x or v == number(x["is"])) and ("min" not in x or v >= number(x["min"]))
                  and ("max" not in x or v <= number(x["max"])))
            n += 1
            if not ok:
                known = KNOWN.get((name, x["phase"], x["key"]))
                print("%s: %s.%s is %d under QEMU, expected %s%s" % (name, x["phase"], x["key"], v, {k: x[k] for k in x if k in ("is", "min", "max")},
                                                                  ": " + known if known else ""))
                bad += known is None
        print("%-12s %d observations compared" % (name, n))
        compared += n
    print("%d compared, %d differ" % (compared, bad))
    return 1 if bad or not compared else 0


sys.exit(main())
