#!/usr/bin/env python3
"""Debian's i386 kernel with its own Sound Blaster 16 driver plays two pieces; what arrives in the WAV file is measured.

usage: linux.py ORRERY CACHE
The kernel package is fetched once into CACHE. Exit status 0 when every check held.
"""
import array
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import wave

MODULES = ["soundcore", "core/snd", "core/snd-timer", "core/snd-pcm", "core/snd-hwdep", "core/snd-seq-device",
           "core/snd-rawmidi", "drivers/opl3/snd-opl3-lib", "drivers/mpu401/snd-mpu401-uart", "isa/sb/snd-sb-common",
           "isa/sb/snd-sb16-csp", "isa/sb/snd-sb16-dsp", "isa/sb/snd-sb16", "core/oss/snd-mixer-oss",
           "core/oss/snd-pcm-oss"]


def apt(state, tool, *args):
    """A package manager state of our own: a foreign architecture must not be added to the host."""
    return subprocess.run(
        [tool, "-o", "APT::Architecture=i386", "-o", "APT::Architectures=i386", "-o", "Dir::State=" + state,
         "-o", "Dir::State::status=" + state + "/status", "-o", "Dir::Cache=" + state + "/cache",
         "-o", "APT::Sandbox::User=root", "-o", "Dir::Etc::sourcelist=" + state + "/sources.list",
         "-o", "Dir::Etc::sourceparts=-", "-q", *args],
        check=True, capture_output=True, text=True, cwd=state).stdout


def fetch(cache):
    """The folder with the unpacked kernel package."""
    root = os.path.join(cache, "i386-full")
    if os.path.isdir(root):
        return root
    state = os.path.join(cache, "apt-i386")
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(state, folder), exist_ok=True)
    open(os.path.join(state, "status"), "a").close()
    with open(os.path.join(state, "sources.list"), "w") as f:
        f.write("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                "http://deb.debian.org/debian bookworm main\n")
    apt(state, "apt-get", "update")
    depends = apt(state, "apt-cache", "depends", "linux-image-686")
    package = [line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line][0]
    apt(state, "apt-get", "download", package)
    deb = glob.glob(os.path.join(state, package + "_*.deb"))[0]
    subprocess.run(["dpkg-deb", "-x", deb, root + ".tmp"], check=True)
    os.rename(root + ".tmp", root)
    os.remove(deb)
    return root


def initramfs(root, folder):
    here = os.path.dirname(os.path.abspath(__file__))
    top = os.path.join(folder, "initramfs")
    os.makedirs(os.path.join(top, "m"))
    os.makedirs(os.path.join(top, "dev"))
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie",
                    "-fno-stack-protector", "-O1", "-o", os.path.join(top, "init"), os.path.join(here, "init.c")],
                   check=True)
    for number, name in enumerate(MODULES):
        found = glob.glob(os.path.join(root, "lib/modules/*/kernel/sound", name + ".ko"))
        shutil.copy(found[0], os.path.join(top, "m", "%02d.ko" % number))
    out = os.path.join(folder, "initrd.gz")
    subprocess.run("find . | cpio -o -H newc --quiet -R 0:0 | gzip > " + out, shell=True, check=True, cwd=top)
    return out


def pieces(samples, rate):
    """What sounds: (start, length in seconds, frequency), told apart by silence of 50 ms or another frequency."""
    window, out = rate // 20, []
    for at in range(0, len(samples) - window, window):
        part = samples[at:at + window]
        if max(part) - min(part) < 1000:
            continue
        hz = sum(1 for a, b in zip(part, part[1:]) if a < 0 <= b) * 20
        if out and abs(out[-1][2] - hz) <= 20 and abs(out[-1][0] + out[-1][1] - at / rate) < 0.06:
            start, length, _ = out[-1]
            out[-1] = (start, length + 0.05, out[-1][2])
        else:
            out.append((at / rate, 0.05, hz))
    return out


def lasting(found, hz):
    return sum(length for _, length, f in found if abs(f - hz) <= 20)


def main():
    orrery, cache = sys.argv[1:3]
    os.makedirs(cache, exist_ok=True)
    root = fetch(os.path.abspath(cache))
    folder = tempfile.mkdtemp()
    try:
        wav = os.path.join(folder, "sound.wav")
        kernel = glob.glob(os.path.join(root, "boot/vmlinuz-*"))[0]
        run = subprocess.run(
            [orrery, "-kernel", kernel, "-initrd", initramfs(root, folder), "-append", "console=ttyS0 quiet",
             "-display", "none", "-serial", "stdio", "-audio", "wav:" + wav, "-device", "sb16", "-m", "256",
             "-timeout", "300"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        print(run.stdout)
        with wave.open(wav) as f:
            rate, data = f.getframerate(), array.array("h", f.readframes(f.getnframes()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    left, right = pieces(data[0::2], rate), pieces(data[1::2], rate)
    print("left:", left, "\nright:", right)
    bad = 0 if run.returncode == 0 and "played" in run.stdout else 1
    for found, hz, seconds in [(left, 450, 2.0), (right, 900, 2.0), (left, 735, 1.0), (right, 735, 1.0)]:
        if abs(lasting(found, hz) - seconds) > 0.25:
            print("%d Hz sounds for %.2f s instead of %.2f s" % (hz, lasting(found, hz), seconds))
            bad = 1
    print("FAILED" if bad else "Linux plays")
    return bad


if __name__ == "__main__":
    sys.exit(main())
