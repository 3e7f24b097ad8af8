#!/usr/bin/env python3
"""orrery -trace and -profile, and orrery-trace, from outside: texts to the letter, JSON, pictures, differences, damage.

usage: trace.py ORRERY ORRERY_TRACE
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ORRERY, READER = sys.argv[1:3]
LOAD = 0x100000
CODE = bytes.fromhex(
    "a1 24 00 10 00"  # 28: mov eax, [100024]
    "85 c0"           # 2d: test eax, eax
    "74 01"           # 2f: jz 32
    "90"              # 31: nop
    "bc 00 00 20 00"  # 32: mov esp, 200000
    "e8 0a 00 00 00"  # 37: call 46
    "66 ba 04 06"     # 3c: mov dx, 604
    "66 b8 00 20"     # 40: mov ax, 2000
    "66 ef"           # 44: out dx, ax: power off
    "c3")             # 46: ret
SYMBOLS = "00100028 T start\n00100046 T leaf\n00100047 T end\n"

EXPECTED = """\
           0 0.0 0010:0000000000100028 a124001000                     mov eax,ds:0x100024                      ; start
           1 0.0 0010:000000000010002d 85c0                           test eax,eax                             ; start+0x5
           2 0.0 0010:000000000010002f 7401                           je 0x100032 <start+0xa>                  ; start+0x7
           3 0.0 0010:0000000000100032 bc00002000                     mov esp,0x200000                         ; start+0xa
           4 0.0 0010:0000000000100037 e80a000000                     call 0x100046 <leaf>                     ; start+0xf
           5 0.0 0010:0000000000100046 c3                             ret                                      ; leaf
           6 0.0 0010:000000000010003c 66ba0406                       mov dx,0x604                             ; start+0x14
           7 0.0 0010:0000000000100040 66b80020                       mov ax,0x2000                            ; start+0x18
           8 0.0 0010:0000000000100044 66ef                           out dx,ax                                ; start+0x1c
"""


def guest(path, word):
    flags = 0x10000
    header = struct.pack("<8I", 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff, LOAD, LOAD, 0, 0, LOAD + 0x28)
    path.write_bytes(header + struct.pack("<II", 0, word) + CODE)
    return path


def run(*argv, status=0):
    r = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    assert r.returncode == status, f"{argv}: status {r.returncode}, not {status}\n{r.stdout.decode()}{r.stderr.decode()}"
    return r.stdout.decode(), r.stderr.decode()


def record(work, name, word, keys=""):
    path = work / name
    run(ORRERY, "-display", "none", "-serial", "null", "-m", "4", "-trace", f"{path}{keys}", "-kernel", guest(work / "guest", word))
    return path


def texts(work):
    trace = record(work, "a", 0)
    (work / "map").write_text(SYMBOLS)
    out, _ = run(READER, trace, "--insns", "--bytes", "--symbols", work / "map")
    assert out == EXPECTED, f"expected\n{EXPECTED}got\n{out}"
    out, _ = run(READER, trace, "--insns", "--at", 4, "--count", 2, "--exec")
    assert out == "           4 0010:0000000000100037 call 0x100046\n           5 0010:0000000000100046 ret\n", out
    out, _ = run(READER, trace, "--events")
    assert "           8 0   ** OUT port 0x604, 2 bytes: 0x2000 [" in out, out
    out, _ = run(READER, "opcodes", trace)
    assert "             4  44.444  mov\n" in out and out.endswith("9 100.000  in all\n"), out
    out, _ = run(READER, "symbols", trace, "--symbols", work / "map")
    assert "             8  88.889  start\n             1  11.111  leaf\n" in out, out
    out, _ = run(READER, "calls", trace, "--symbols", work / "map")
    assert [line.split()[-1] for line in out.splitlines()] == ["function", "all", "start", "leaf"], out
    out, _ = run(READER, "info", trace, "--json")
    assert json.loads(out)["instructions"] == 9 and json.loads(out)["whole"], out


def jsons(work):
    trace = record(work, "m", 5, ",depth=mem")
    lines = [json.loads(x) for x in run(READER, trace, "--json")[0].splitlines()]
    insns = [x for x in lines if x["type"] == "insn"]
    assert [int(x["rip"], 16) - LOAD for x in insns] == [0x28, 0x2d, 0x2f, 0x31, 0x32, 0x37, 0x46, 0x3c, 0x40, 0x44]
    assert insns[1]["changed"]["rax"] == "0x5" and insns[1]["memory"] == [{"read": "0x100024", "size": 4, "value": "0x5"}], insns[1]
    assert insns[6]["changed"] == {"rsp": "0x1ffffc"}, insns[6]
    assert insns[6]["memory"] == [{"write": "0x1ffffc", "size": 4, "value": "0x10003c"}], insns[6]
    io = [x for x in lines if x["type"] == "io"]
    assert io == [{"type": "io", "cpu": 0, "icount": 9, "ns": io[0]["ns"], "port": "0x604", "size": 2, "write": True, "value": "0x2000"}], io


def pictures(work):
    trace = record(work, "f", 0)
    svg = run(READER, "flame", trace, "--title", "<it>")[0]
    tree = xml.etree.ElementTree.fromstring(svg)
    titles = [t.text for t in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0].startswith("all (9 instructions") and any(t.startswith("0x100046 (1 instr") for t in titles), titles


def differences(work):
    a, same, b = record(work, "a", 0), record(work, "same", 0), record(work, "b", 1)
    assert "no difference" in run(READER, "diff", a, same)[0]
    out, _ = run(READER, "diverge", a, b, "--context", 1, status=1)
    assert "@@ item 3 of " in out and "je 0x100032" in out, out
    assert [x.split()[-1] for x in out.splitlines() if x[0] == "+"] == ["nop", "esp,0x200000"], out
    out, _ = run(READER, "diff", a, b, "--context", 1, status=1)
    changed = [x for x in out.splitlines() if x[0] in "+-"]
    assert len(changed) == 1 and changed[0].endswith(" nop"), out


def damage(work):
    trace = record(work, "a", 0)
    data = trace.read_bytes()
    bad = work / "bad"
    bad.write_bytes(data[:-30])
    out, err = run(READER, bad, "--insns", status=3)
    assert len(out.splitlines()) == 9 and "not finished" in err, err
    for at, why in ((0, "not a trace"), (8, "format version"), (30, "checksum of its header"), (len(data) - 60, "damaged")):
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:])
        _, err = run(READER, bad, status=3)
        assert why in err, (at, err)
    bad.write_text("something else")
    assert "not a trace" in run(READER, bad, status=3)[1]
    run(READER, "--no-such", bad, status=2)
    run(ORRERY, "-trace", f"{work}/x,depth=all", status=74)


def profiles(work):
    kernel = guest(work / "guest", 0)
    (work / "map").write_text(SYMBOLS)
    base = [ORRERY, "-display", "none", "-serial", "null", "-m", "4", "-symbols", work / "map", "-kernel", kernel]
    run(*base, "-profile", f"{work}/p.json,exact,flame={work}/p.svg")
    p = json.loads((work / "p.json").read_text())
    assert p["instructions"] == 9 and [(f["function"], f["instructions"]) for f in p["functions"]] == [("start", 8), ("leaf", 1)], p
    xml.etree.ElementTree.fromstring((work / "p.svg").read_text())
    run(ORRERY, "-display", "none", "-serial", "null", "-profile", f"{work}/p.txt,period=10000", "-max-insns", "1M", status=72)
    text = (work / "p.txt").read_text()
    assert "samples:      100\n" in text and "100.0" in text, text


def main():
    with tempfile.TemporaryDirectory() as d:
        for check in (texts, jsons, pictures, differences, damage, profiles):
            check(pathlib.Path(d))
            print(f"{check.__name__}: ok")


main()
