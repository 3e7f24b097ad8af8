#!/usr/bin/env python3
"""Sound comes out of the host's audio as it does in a WAV file: the boot sector of tones.S is heard through SDL's driver that
writes to disk at the pace of a sound card, and the tones, their lengths and the silence between are measured.

usage: host.py ORRERY BOOT-SECTOR [--driver disk|pulse]
With --driver pulse the sound goes to a PulseAudio server's null sink, whose monitor is recorded (needs pulseaudio, pulseaudio-utils).
Exit status 0 when every check held, 77 when this build has no SDL.
"""
import argparse
import array
import os
import subprocess
import sys
import tempfile
import time
import wave

RATE = 44100
WINDOW = RATE // 50
TONES = [(440, 18 * 65536 / 1193182, "the speaker"), (306, 1.0, "samples"), (440, 18 * 65536 / 1193182, "FM")]


def tones(samples):
    """[first frame, frames, Hz, longest silence inside in frames] of everything that sounds for longer than 0.1 s."""
    found, start, last = [], None, 0
    for at, value in enumerate(samples):
        if abs(value) < 40:
            continue
        if start is not None and at - last > RATE // 6:
            found.append((start, last))
            start = None
        if start is None:
            start = at
        last = at
    found += [(start, last)] if start is not None else []
    out = []
    for first, end in found:
        part = samples[first:end + 1]
        if len(part) < RATE // 10:
            continue
        rising = [i for i, (a, b) in enumerate(zip(part, part[1:])) if a < 0 <= b]
        gaps = sorted(b - a for a, b in zip(rising, rising[1:]))
        hole = run = 0
        for value in part:
            run = run + 1 if not value else 0
            hole = max(hole, run)
        out.append((first, len(part), RATE / gaps[len(gaps) // 2] if gaps else 0, hole))
    return out


def check(name, samples, tolerance):
    found, bad = tones(samples), 0
    for first, frames, hz, hole in found:
        print("%-5s from %.2f s: %.2f s of %.0f Hz, longest gap %.1f ms" % (name, first / RATE, frames / RATE, hz, hole * 1000 / RATE))
    if len(found) != len(TONES):
        print("%s: %d tones instead of %d" % (name, len(found), len(TONES)))
        return 1
    for (first, frames, hz, hole), (want, seconds, what) in zip(found, TONES):
        if abs(hz - want) > want * 0.03 or abs(frames / RATE - seconds) > tolerance or (tolerance < 0.1 and hole > RATE // 200):
            print("%s: %s should be %.2f s of %d Hz" % (name, what, seconds, want))
            bad = 1
    return bad


def left(data):
    return array.array("h", data[:len(data) // 4 * 4])[0::2]


def pulse(folder, env):
    """A server with a sink that nobody hears; the recorder of its monitor."""
    socket = os.path.join(folder, "native")
    server = subprocess.Popen(["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
                               "-L", "module-null-sink sink_name=nobody rate=%d" % RATE,
                               "-L", "module-native-protocol-unix auth-anonymous=1 socket=" + socket],
                              env=dict(env, HOME=folder), stderr=subprocess.DEVNULL)
    for _ in range(100):
        if os.path.exists(socket):
            break
        time.sleep(0.05)
    env["PULSE_SERVER"] = "unix:" + socket
    with open(os.path.join(folder, "heard.raw"), "wb") as out:
        recorder = subprocess.Popen(["parec", "-d", "nobody.monitor", "--format=s16le", "--rate=%d" % RATE, "--channels=2",
                                     "--latency-msec=20"], env=env, stdout=out)
    for _ in range(100):  # until it records
        if os.path.getsize(os.path.join(folder, "heard.raw")):
            break
        time.sleep(0.05)
    return server, recorder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("orrery")
    parser.add_argument("sector")
    parser.add_argument("--driver", default="disk")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        floppy, wav, raw = (os.path.join(folder, n) for n in ("floppy.img", "sound.wav", "heard.raw"))
        with open(args.sector, "rb") as f, open(floppy, "wb") as out:
            out.write(f.read().ljust(1440 * 1024, b"\0"))
        argv = [args.orrery, "-drive", "if=floppy,format=raw,file=" + floppy, "-boot", "a", "-display", "none", "-nic", "none", "-m", "16",
                "-device", "sb16", "-timeout", "60", "-audio"]
        subprocess.run(argv + ["wav:" + wav], check=True)
        env, helpers = dict(os.environ, SDL_AUDIODRIVER=args.driver, SDL_DISKAUDIOFILE=raw), []
        if args.driver == "pulse":
            helpers = pulse(folder, env)
        begin = time.monotonic()
        heard = subprocess.run(argv + ["sdl"], check=True, env=env, capture_output=True, text=True)
        spent = time.monotonic() - begin
        for helper in reversed(helpers):
            helper.terminate()
            helper.wait()
        if "no SDL" in heard.stderr:
            return 77
        with wave.open(wav) as f:
            bad = check("wav", left(f.readframes(f.getnframes())), 0.05)
        with open(raw, "rb") as f:
            bad |= check("host", left(f.read()), 0.15)  # a busy host may be late
        print("%.1f s of real time" % spent)
    print("FAILED" if bad else "it sounds")
    return bad


if __name__ == "__main__":
    sys.exit(main())
