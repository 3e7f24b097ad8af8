#!/usr/bin/env python3
"""Linux on the network: DHCP, a file fetched from a server on this host, one fetched from the guest, the capture of it
all, and a virtio disk.

usage: boot.py CACHE [--cards e1000,ne2k_pci,...] [--timeout SECONDS] [--log FILE]
The emulator is $EMU (default: orrery); EMU=qemu-system-x86_64 checks the test itself. Exit status 0 when every check held.
"""
import argparse
import hashlib
import http.server
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BYTES = 3_000_000
DISK_BYTES = 2 << 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(data):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def capture(path):
    """The frames of a pcap file; raises if it is none."""
    blob = path.read_bytes()
    magic, major, minor = struct.unpack_from("<IHH", blob)
    assert magic in (0xA1B23C4D, 0xA1B2C3D4) and (major, minor) == (2, 4), "not a pcap file"
    frames, at = [], 24
    while at < len(blob):
        kept, length = struct.unpack_from("<8xII", blob, at)
        assert kept <= length <= 65535 and at + 16 + kept <= len(blob), "a damaged record"
        frames.append(blob[at + 16:at + 16 + kept])
        at += 16 + kept
    return frames


def run(args, work):
    data = os.urandom(BYTES)
    port, forward = serve(data), free_port()
    cards = args.cards.split(",")
    script = ["ok() { echo CHECK $1 $2; }"]
    argv = [os.environ.get("EMU", "orrery"), "-nographic", "-m", "256", "-no-reboot",
            "-kernel", "%s/net.kernel" % args.cache, "-initrd", "%s/net.initrd" % args.cache]
    for n, card in enumerate(cards):
        eth, gateway = "eth%d" % n, "10.0.%d.2" % (2 + n)
        argv += ["-netdev", "user,id=n%d,net=10.0.%d.0/24,hostfwd=tcp:127.0.0.1:%d-:80" %
                 (n, 2 + n, forward if n == 0 else free_port()),
                 "-device", "%s,netdev=n%d,mac=52:54:00:12:34:%02x" % (card, n, 0x60 + n)]
        script += ["udhcpc -q -n -i %s -s /etc/udhcpc" % eth, "ping -c 2 %s >/dev/null && ok ping %d" % (gateway, n),
                   "wget -q -O /tmp/f%d http://%s:%d/" % (n, gateway, port), "ok sum%d $(sha256sum < /tmp/f%d)" % (n, n)]
    disk = work / "disk.img"
    if any("virtio" in card for card in cards):  # and a virtio disk: read whole, then written to
        disk.write_bytes(data[:DISK_BYTES])
        argv += ["-drive", "file=%s,if=virtio,format=raw" % disk]
        script += ["ok disk $(sha256sum < /dev/vda)", "dd if=/dev/vda of=/dev/vda bs=64k count=8 seek=16 conv=fsync 2>/dev/null"]
    argv += ["-object", "filter-dump,id=dump,netdev=n0,file=%s" % (work / "net.pcap")]
    script += ["httpd -p 80 -h /tmp", "ok ready", "n=0", "while [ $n -lt 300 -a ! -e /tmp/cgi-bin/done ]; do sleep 0.1; n=$((n+1)); done"]
    script[0:0] = ["mkdir /tmp/cgi-bin", "echo '#!/bin/sh' >/tmp/cgi-bin/stop", "echo 'touch /tmp/cgi-bin/done; echo; echo; echo bye' >>/tmp/cgi-bin/stop",
                   "chmod 755 /tmp/cgi-bin/stop"]
    argv += ["-append", "console=ttyS0 panic=-1 quiet RUN=\"%s\"" % "; ".join(script).replace("; ;", ";")]
    lines, ready = [], threading.Event()
    begin = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def read():
        for raw in process.stdout:
            line = raw.decode("latin-1").strip()
            lines.append(line)
            if line == "CHECK ready":
                ready.set()
        ready.set()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    problems = []
    try:
        if not ready.wait(args.timeout) or "CHECK ready" not in lines:
            return ["the guest did not come so far:\n" + "\n".join(lines[-30:])]
        mine = hashlib.sha256(data).hexdigest()
        for n, card in enumerate(cards):
            if not any(line.startswith("LEASE ip=10.0.%d.15 router=10.0.%d.2 dns=10.0.%d.3" % ((2 + n,) * 3)) for line in lines):
                problems.append("%s: no lease" % card)
            if "CHECK ping %d" % n not in lines:
                problems.append("%s: no answer to ping" % card)
            if "CHECK sum%d %s" % (n, mine) not in lines:
                problems.append("%s: the file fetched differs" % card)
        base = "http://127.0.0.1:%d/" % forward
        if urllib.request.urlopen(base + "f0", timeout=30).read() != data:
            problems.append("hostfwd: the file fetched from the guest differs")
        urllib.request.urlopen(base + "cgi-bin/stop", timeout=30).read()
        status = process.wait(args.timeout)
        if status:
            problems.append("exit status %d" % status)
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        if args.log:
            pathlib.Path(args.log).write_text("\n".join(lines))
    if disk.exists():
        expected = data[:1 << 20] + data[:1 << 19] + data[3 << 19:DISK_BYTES]
        if "CHECK disk " + hashlib.sha256(data[:DISK_BYTES]).hexdigest() not in lines:
            problems.append("the disk read by the guest differs")
        if disk.read_bytes() != expected:
            problems.append("the disk written by the guest differs")
    frames = capture(work / "net.pcap")
    total = sum(len(f) for f in frames)
    if total < 2 * BYTES:
        problems.append("the capture has %d bytes" % total)
    if shutil.which("tcpdump"):
        said = subprocess.run(["tcpdump", "-n", "-r", str(work / "net.pcap")], capture_output=True, text=True, check=False)
        if said.returncode or "BOOTP/DHCP, Reply" not in said.stdout:
            problems.append("tcpdump does not like the capture: " + said.stderr)
    print("%s: lease, ping, %d bytes each way, %d frames captured, %.1f s" % (args.cards, BYTES, len(frames), time.monotonic() - begin))
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache")
    parser.add_argument("--cards", default="e1000,ne2k_pci,virtio-net-pci")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--log", help="file that receives the console")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        problems = run(args, pathlib.Path(work))
    for problem in problems:
        print("FAIL " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
