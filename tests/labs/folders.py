#!/usr/bin/env python3
"""orrery lab with folders: a new one works; broken ones say what is missing; bad guests end in a verdict. usage: folders.py ORRERY [--browser] [--window]"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

EMU = os.path.abspath(sys.argv[1])
EXIT_LAB, EXIT_IMAGE, EXIT_USAGE = 82, 76, 74
failures = []


def lab(*args, text=""):
    p = subprocess.run([EMU, "lab", *args], input=text, capture_output=True, text=True, timeout=100)
    return p.returncode, p.stdout + p.stderr


def check(what, ok, output=""):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        print(output)
        failures.append(what)


def says(what, status, words, *args, **more):
    got, out = lab(*args, **more)
    check("%s: status %d, says '%s'" % (what, status, words), got == status and words in out, "status %d\n%s" % (got, out))
    return out


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def guest(folder, body):
    write(folder + "/guest.c", '#include "lab.h"\nvoid lab_main(void)\n{\n%s\n}\n' % body)


def folders():
    says("a new folder", 0, "made", "new", "mine")
    says("which is there already", EXIT_USAGE, "is there already", "new", "mine")
    says("a bad name", EXIT_USAGE, "letters", "new", "a b")
    says("it passes", 0, "3 of 3 as expected", "./mine", "-q")
    out = says("its guided screen", 0, "You predicted 1 of 1", "./mine", text="3\n")
    check("in four steps", [out.index(x) for x in ("Prediction", "Observation", "Explanation")] ==
          sorted(out.index(x) for x in ("Prediction", "Observation", "Explanation")))
    says("a wrong prediction", 0, "you said", "./mine", text="1\n")
    says("a copy of a built-in one", 0, "made", "new", "copy", "-from", "rings")
    says("it passes too", 0, "as expected", "./copy", "-q")
    says("no such lab", EXIT_IMAGE, "no such lab", "nowhere")
    for part in ("lab.json", "text.md", "guest.c"):
        shutil.copytree("mine", "broken")
        os.unlink("broken/" + part)
        says("without " + part, EXIT_IMAGE, "broken/%s is missing" % part, "./broken", "-verdict", "v.json")
        verdict = json.load(open("v.json"))
        check("and its verdict", verdict["passed"] is False and part in verdict["error"], str(verdict))
        shutil.rmtree("broken")
    shutil.copytree("mine", "syntax")
    guest("syntax", "no_such_thing();;;  int x = ;")
    says("a program that does not compile", EXIT_IMAGE, "syntax/guest.c:4", "./syntax", "-q")


# Guests made of chance, of what may hurt among them, under each of the four monitors. The guest's memory is as at the beginning each time.
CHANCE = """
static USER_DATA u8 chance[512] __attribute__((aligned(4096)));
static u32 dice = SEED;
static u32 roll(u32 n)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % n;
}

static void chances(enum monitor m)
{
	static const u8 evil[][4] = {{0x0f, 5}, {0x0f, 0x34}, {0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0x22, 0xc0}, {0x0f, 0x22, 0xd8}, {0x0f, 0x22, 0xe0},
		{0xf4}, {0xfa}, {0xfb}, {0xcf}, {0x48, 0xcf}, {0xcb}, {0xcd, 0x30}, {0xcd, 0x31}, {0xcd, 0x2f}, {0xcd, 0x20}, {0xcd, 13}, {0xcc}, {0x0f, 0x01, 0x0f},
		{0x0f, 0x01, 0x1f}, {0x0f, 0x01, 0x17}, {0x0f, 0x01, 0x38}, {0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xf8}, {0x0f, 0x00, 0xd8}, {0x0f, 0x06}, {0x0f, 0x08},
		{0x0f, 0x09}, {0x0f, 0x78, 0xc1}, {0x0f, 0x79, 0xc1}, {0xe6, 0x20}, {0xe6, 0x60}, {0xe6, 0x80}, {0xee}, {0xec}, {0x6e}, {0x9d}, {0x9c}, {0x0f, 0xa1},
		{0x8e, 0xd0}, {0x8e, 0xd8}, {0x0f, 0x23, 0xf8}, {0xff, 0x2f}, {0xff, 0xe7}, {0xff, 0xe0}, {0x48, 0x89, 0xc4}, {0xaa}, {0x48, 0xab}, {0x0f, 0xa2},
		{0x0f, 0x20, 0xd8}, {0x0f, 0xc7, 0x37}, {0xf0, 0x0f, 0xc7, 0xc8}, {0xeb, 0xfe}};
	uw bytes = (uw)(user_end - user_start), whole = 0, ended = 0;
	u8 *kept = (u8 *)0x1000000;

	memcpy(kept, user_start, bytes);
	phase_of(m, "chance");
	for (unsigned seed = 0; seed < SEEDS; seed++) {
		memcpy(user_start, kept, bytes);
		for (unsigned i = 0; i < sizeof(chance) - 4;) {
			if (roll(2)) {
				chance[i++] = (u8)roll(256);
			} else {
				const u8 *e = evil[roll(sizeof(evil) / 4)];
				for (unsigned k = 0; k < 4 && (!k || e[k]); k++)
					chance[i++] = e[k];
			}
		}
		secret[0] = 0x5ec7e7;
		outb(0x43, 0x34);
		outb(0x40, 0x77);
		outb(0x40, 0x02);
		outb(0x21, 0xfe);
		run(m, (uw)chance, (uw)scratch);
		outb(0x21, 0xff);
		ended++;
		whole += secret[0] == 0x5ec7e7;
	}
	memcpy(user_start, kept, bytes);
	obs("ended", ended);
	obs("whole", whole);
	say("%s: chance %u\\n", names[m], whole);
}

void lab_main(void)
{
	clock_init();
	ASM("sidt %0" : "=m"(host_idt));
	vtx_prepare();
	for (enum monitor m = TE; m < VTX; m++)
		chances(m);
	if (vmx_on())
		lab_exit(1);
	chances(VTX);
	vmx_off();
}
"""


def misbehaviour(seeds):
    """The tiny monitors are not brought down by what their guests do."""
    says("a copy of monitors", 0, "made", "new", "chance", "-from", "monitors")
    source = open("chance/guest.c").read()
    head = source[:source.index("void lab_main(void)")]
    lab_json = json.load(open("chance/lab.json"))
    lab_json.update(budget=1000000000, questions=[], tables=[], expect=[
        {"phase": m + ".chance", "key": key, "is": 50, "why": "the guest was stopped, the monitor is whole"}
        for m in ("te", "bt", "para", "vtx") for key in ("ended", "whole")])
    write("chance/lab.json", json.dumps(lab_json))
    for seed in seeds:
        write("chance/guest.c", head + CHANCE.replace("SEEDS", "50").replace("SEED", str(seed)).replace("\\\\n", "\\n"))
        says("guests made of chance, seed %d" % seed, 0, "9 of 9 as expected", "./chance", "-q", "-json", "run.json")
        inward = {e["via"] for e in json.load(open("run.json"))["edges"] if e["to"] == 0 and e["root"]}
        check("the monitor's ring is reached by its gates only", inward and all(re.match("#|interrupt |VM exit", v) for v in inward), str(inward))
    shutil.rmtree("chance")


def debug_build():
    """A guest built without optimisation, as a student with a debugger would: what runs in pages of its own stays there."""
    write("cc", "#!/bin/sh\nexec gcc \"$@\" -O0 -g\n")
    os.chmod("cc", 0o755)
    os.environ["LAB_CC"] = os.path.abspath("cc")
    for name in ("shadow", "sensitive"):
        says("a copy of " + name, 0, "made", "new", "plain", "-from", name)
        says("built with -O0", 0, "as expected", "./plain", "-q")
        shutil.rmtree("plain")
    del os.environ["LAB_CC"]


def pictures():
    """Every view of a run, and of a running machine, is well-formed SVG with something in it."""
    for name in ("rings", "timeline", "exits", "gdt", "idt", "tss"):
        says("the picture of " + name, 0, "", "rings", "-svg", name, "p.svg")
        check("is SVG", len(list(xml.etree.ElementTree.parse("p.svg").getroot().iter())) > 10)
    views = ["rings", "timeline", "counters", "gdt", "idt", "ldt", "tss", "map", "registers", "cpus", "vmcs", "vmexits", "walk $pc", "disas"]
    script = "rings on; catch ring 3; cont; " + "; ".join("view %s v%d.svg" % (v, i) for i, v in enumerate(views))
    p = subprocess.run([EMU, "-display", "none", "-serial", "null", "-S", "-timeout", "60", "-x",
                        script + "; view rings v.json; view rings v.txt; rings off; quit 7"], capture_output=True, text=True, timeout=100)
    check("views of a running guest", p.returncode == 7, p.stdout + p.stderr)
    for i, v in enumerate(views):
        check("%s is SVG" % v, len(list(xml.etree.ElementTree.parse("v%d.svg" % i).getroot().iter())) > 4)
    live = json.load(open("v.json"))
    check("the same as JSON", live["cpl"] == 3 and live["newest"]["via"] == "iretq" and live["edges"][0]["gate"])
    check("and as text", "ring 0 -> ring 3" in open("v.txt").read())
    for line, words in (("view rings", "view NAME FILE"), ("view nosuch x.svg", "no view 'nosuch'"), ("view rings /nowhere/x.svg", "/nowhere/x.svg"),
                        ("view system_reset x.svg", "no view"), ("rings maybe", "rings on, rings off")):
        p = subprocess.run([EMU, "-display", "none", "-serial", "null", "-S", "-timeout", "60", "-x", line], capture_output=True, text=True, timeout=100)
        check("'%s' is refused" % line, p.returncode == 74 and words in p.stdout + p.stderr, p.stdout + p.stderr)


def edited():
    """A lab whose guest was made wrong in one place: what differs is named, with the fault that was the reason."""
    for name, find, put, words in (
            ("rings", "call_gate(gate_entry, CODE0, 3, 2, 1)", "call_gate(gate_entry, CODE0, 2, 2, 1)",
             ("callgate: vector is 13; expected 255", "there was #GP in ring 3: ", "32-bit call gate to 0008:", "SDM Vol. 3A, 5.8.4")),
            ("pages", "attempt(\"user_write\", 3, user_write, PG_P | PG_U | PG_W)", "attempt(\"user_write\", 3, user_write, PG_P | PG_W)",
             ("user_write: vector is 14; expected 255", "there was #PF in ring 3: ", "user access to a supervisor page", "SDM Vol. 3A, 4.6")),
            ("rings64", "wrmsr(MSR_LSTAR, (uw)syscall_entry);", "", ("syscall: vector", "there was", "by syscall at 0x", "IA32_LSTAR 0x0"))):
        says("a copy of " + name, 0, "made", "new", "edited", "-from", name)
        source = open("edited/guest.c").read()
        check("has the place", find in source)
        write("edited/guest.c", source.replace(find, put, 1))
        out = says("edited", EXIT_LAB, words[0], "./edited", "-q")
        for word in words[1:]:
            check("and says why: " + word, word in out, out)
        shutil.rmtree("edited")


BAD = {
    "loops": ("for (;;) ;", "instruction-limit", "loop that never ends"),
    "triple-faults": ("struct { u16 l; uw b; } __attribute__((packed)) d = {0, 0}; ASM(\"lidt %0; ud2\" : : \"m\"(d));",
                      "triple-fault", "IDT"),
    "prints megabytes": ("for (;;) say(\"spam spam spam spam spam\\n\");", "instruction-limit", "budget"),
    "halts": ("ASM(\"cli; hlt\");", "hang", "halt"),
    "faults": ("ASM(\"ud2\");", "gave-up", "#UD"),
    "names phases": ("for (uw i = 0; ; i++) { char n[8] = \"p\"; n[1] = '0' + i % 10; n[2] = '0' + i / 10 % 10;"
                     "n[3] = '0' + i / 100 % 10; n[4] = 0; phase(n); obs(n, i); }", "instruction-limit", "budget"),
    "writes strange bytes": ("for (uw i = 0; i < 3000; i++) outb(0xe9, (u8)(i * 7)); lab_exit(0);", "finished", ""),
    "resets": ("for (;;) outb(0x64, 0xfe);", "reset", ""),
}


def bad_guests():
    for name, (body, reason, words) in BAD.items():
        shutil.copytree("mine", "bad")
        guest("bad", body)
        got, out = lab("./bad", "-verdict", "v.json", "-html", "v.html", "-json", "run.json")
        verdict = json.load(open("v.json"))
        check("a guest that %s: %s" % (name, reason), got == EXIT_LAB and verdict["end"]["reason"] == reason
              and words in verdict["end"].get("explanation", "") and not verdict["passed"], str(verdict["end"]) + out)
        check("its files are small", os.path.getsize("v.html") < 4 << 20 and os.path.getsize("run.json") < 4 << 20)
        json.load(open("run.json"))
        shutil.rmtree("bad")


def report():
    says("a report", 0, "", "rings", "-html", "r.html", "-verdict", "r.json")
    page = open("r.html").read()
    check("stands for itself", not re.search(r"(src|href)=", page) and page.count("<svg") >= 3)
    verdict = json.load(open("r.json"))
    check("its verdict", verdict["passed"] and verdict["score"] == verdict["of"] and len(verdict["checks"]) + 1 == verdict["of"])


def browser():
    """Chromium, headless: the pictures have a size, and nothing was asked from elsewhere."""
    chromium = shutil.which("chromium")
    if not chromium:
        print("no chromium: the report is not opened")
        return
    out = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1100,2400",
                          "--screenshot=r.png", "file://" + os.path.abspath("r.html")], capture_output=True, text=True, timeout=120)
    check("a browser opens it", out.returncode == 0 and os.path.getsize("r.png") > 40000, out.stderr)
    dom = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom",
                          "file://" + os.path.abspath("r.html")], capture_output=True, text=True, timeout=120)
    check("and finds its pictures", dom.stdout.count("<svg") == open("r.html").read().count("<svg") and "parsererror" not in dom.stdout)


def within(seconds, good):
    """A loaded machine draws late."""
    end = time.monotonic() + seconds
    while not good() and time.monotonic() < end:
        time.sleep(0.3)
    return good()


def window():
    """The window on a display of its own: keys turn its pages, a digit predicts, Escape closes."""
    if not all(shutil.which(p) for p in ("Xvfb", "xdotool", "import", "identify")):
        print("no Xvfb, xdotool or ImageMagick: the window is not opened")
        return
    r, w = os.pipe()
    x = subprocess.Popen(["Xvfb", "-displayfd", str(w), "-screen", "0", "1500x1000x24"], pass_fds=[w], stderr=subprocess.DEVNULL)
    env = dict(os.environ, DISPLAY=":" + os.read(r, 20).decode().strip())
    p = subprocess.Popen([EMU, "lab", "rings", "-window"], env=env)

    def keys(*names):
        for name in names:
            subprocess.run(["xdotool", "key", name], env=env, check=True)
            time.sleep(0.3)

    def colours(name):
        subprocess.run(["import", "-window", "root", name], env=env, check=True)
        return int(subprocess.run(["identify", "-format", "%k", name], capture_output=True, text=True, check=True).stdout)

    try:
        check("a window with a page of text", within(30, lambda: colours("w1.png") >= 4))
        keys("Right", "2", *["Right"] * 7)
        check("the guest has run: tables, then the rings in colour", within(30, lambda: colours("w2.png") >= 9))
        keys(*["Right"] * 3)
        subprocess.run(["import", "-window", "root", "w3.png"], env=env, check=True)
        keys("Escape")
        check("Escape closes it", p.wait(timeout=30) == 0)
        # A number is typed: what came true is green. Questions 1 to 3, tables, timeline, explanations 1 to 3.
        p = subprocess.Popen([EMU, "lab", "vpid", "-window"], env=env)

        def has(colour):
            subprocess.run(["import", "-window", "root", "w4.png"], env=env, check=True)
            return colour in subprocess.run(["convert", "w4.png", "-unique-colors", "txt:"], capture_output=True, text=True, check=True).stdout

        within(30, lambda: colours("w4.png") >= 4)

        keys("Right", "2", "0", "1", "BackSpace", "0")
        check("a typed prediction is shown", within(30, lambda: has("#2471A3")))
        keys(*["Right"] * 3)
        time.sleep(1)
        page = 0
        while page < 12 and not has("#1E8449"):
            keys("Right")
            page += 1
        check("200 was right: green, and nothing red", has("#1E8449") and not has("#C0392B"))
        keys("Escape")
        check("the second window closes", p.wait(timeout=30) == 0)
    finally:
        if p.poll() is None:
            p.kill()
        x.terminate()
        x.wait()


def main():
    with tempfile.TemporaryDirectory() as d:
        os.chdir(d)
        folders()
        edited()
        misbehaviour(range(1, 21) if "--browser" in sys.argv else [1])
        debug_build()
        pictures()
        bad_guests()
        report()
        if "--browser" in sys.argv:
            browser()
        if "--window" in sys.argv:
            window()
        os.chdir("/")
    print("%d failures" % len(failures))
    return 1 if failures else 0


sys.exit(main())
