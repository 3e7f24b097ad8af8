#!/usr/bin/env python3
"""Runs the broken guests and checks that the explanation of each death names its true cause, as text and as JSON.

usage: run.py EMULATOR [guest...]
What must be said stands in each guest's comments (skeleton.inc).
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def wanted(source):
    comment = source[:source.index("*/")]
    rows = re.findall(r"^ \* (name|check|step|expect): (.*)$", comment, re.M)
    one = dict(row for row in rows if row[0] != "expect")
    return one, [text for key, text in rows if key == "expect"]


def build(source, folder):
    out = os.path.join(folder, source.stem)
    cc = os.environ.get("CC", "gcc")
    # 64-bit objects, because the guests hold both kinds of code; what Multiboot loads is a 32-bit file.
    subprocess.run([cc, "-m64", "-c", "-I", str(HERE), "-o", out + ".o", str(source)], check=True)
    subprocess.run(["ld", "-m", "elf_x86_64", "-N", "--no-warn-rwx-segments", "-z", "noexecstack", "-Ttext=0x100000", "-e", "_start",
                    "-o", out + ".64", out + ".o"], check=True)
    subprocess.run(["objcopy", "-O", "elf32-i386", out + ".64", out], check=True)
    return out


def run(emulator, image):
    verdict = image + ".json"
    p = subprocess.run([emulator, "-kernel", image, "-m", "64", "-cpu", "max", "-display", "none", "-serial", "null", "-no-reboot",
                        "-max-insns", "1000000", "-history", "5", "-verdict", verdict], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True, timeout=60)
    with open(verdict) as f:
        return p.stderr, json.load(f)


def problems(source, text, verdict):
    one, fragments = wanted(source.read_text())
    chain = verdict.get("faults", {}).get("chain", [])
    step = int(one.get("step", 1))
    ends = ("triple-fault",) if one["name"].startswith("#") else ("hang",)
    if verdict["reason"] not in ends:
        yield "ends with %s, not %s" % (verdict["reason"], ends[0])
    if len(chain) < step:
        yield "the chain has %d links, not %d" % (len(chain), step)
        return
    cause = chain[step - 1]
    if cause["name"] != one["name"]:
        yield "JSON: name is %r, not %r" % (cause["name"], one["name"])
    if "check" in one and cause["check"] != one["check"]:
        yield "JSON: check is %r, not %r" % (cause["check"], one["check"])
    if not cause.get("sdm", "").startswith("Vol. "):
        yield "JSON: no rule of the SDM"
    if not cause.get("instruction") or not cause.get("bytes") and "fetch" not in json.dumps(chain):
        yield "JSON: no instruction"
    if cause["check"] not in text or "rule         SDM " + cause.get("sdm", "?") not in text:
        yield "text: does not name check and rule"
    if verdict["reason"] == "triple-fault":
        last = verdict["faults"].get("history", [])
        if not 1 <= len(last) <= 5 or "the last instructions" not in text:
            yield "the last instructions are not told"
        elif int(last[-1]["rip"], 16) != int(chain[0]["rip"], 16) and "fetch" not in text:
            yield "the last instruction is at %s, the fault at %s" % (last[-1]["rip"], chain[0]["rip"])
        before = [e["rip"] for e in verdict["faults"].get("before", [])][-3:]
        ring = [e["rip"] for e in last]
        if before and not "fetch" in text and ring[:-1][-len(before):] != before[-len(ring) + 1:]:
            yield "before the fault ran %s, not %s" % (ring, before)
    for fragment in fragments:
        if fragment not in text:
            yield "text: does not say %r" % fragment


def main():
    emulator, names = sys.argv[1], sys.argv[2:]
    sources = sorted(s for s in HERE.glob("*.S") if not names or s.stem in names)
    bad = told = 0
    with tempfile.TemporaryDirectory() as folder:
        def one(source):
            text, verdict = run(emulator, build(source, folder))
            return source, text, list(problems(source, text, verdict)), bool(verdict.get("faults", {}).get("before"))

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for source, text, found, before in pool.map(one, sources):
                told += before
                if found or names:
                    print("%s: %s\n%s" % (source.name, "; ".join(found) or "good", text))
                bad += bool(found)
    print("%d broken guests, %d not explained" % (len(sources), bad))
    if not names and told < len(sources) // 4:
        bad = 1
        print("only %d tell what ran before" % told)
    return 1 if bad or len(sources) < (1 if names else 100) else 0


if __name__ == "__main__":
    sys.exit(main())
