#!/usr/bin/env python3
"""iPXE from the card's expansion ROM: DHCP, a script and the kernel by TFTP, the initial RAM disk by HTTP, and Linux says so.

usage: ipxe.py CACHE [--firmware FILE] [--card e1000] [--rom FILE] [--timeout SECONDS]
Without --firmware the emulator's own BIOS; with it, for instance /usr/share/seabios/bios-256k.bin (package seabios). The ROM is
Debian's (package ipxe-qemu). The emulator is $EMU. Exit status 77: the ROM is not installed.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import threading
import http.server

ROMS = {"e1000": "pxe-e1000.rom", "ne2k_pci": "pxe-ne2k_pci.rom", "virtio-net-pci": "pxe-virtio.rom"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache")
    parser.add_argument("--firmware")
    parser.add_argument("--card", default="e1000", choices=sorted(ROMS))
    parser.add_argument("--rom")
    parser.add_argument("--timeout", type=float, default=900)
    args = parser.parse_args()
    rom = args.rom or "/usr/lib/ipxe/qemu/" + ROMS[args.card]
    if not os.path.exists(rom):
        print("%s: not installed" % rom)
        return 77
    initrd = pathlib.Path(args.cache, "net.initrd").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(initrd)))
            self.end_headers()
            self.wfile.write(initrd)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        os.symlink(os.path.abspath(args.cache + "/net.kernel"), work + "/kernel")
        pathlib.Path(work, "boot.ipxe").write_text(
            "#!ipxe\nkernel kernel console=ttyS0 panic=-1 quiet RUN=\"echo BOOTED-BY-IPXE\"\n"
            "initrd http://10.0.2.2:%d/initrd\nboot\n" % server.server_address[1])
        argv = [os.environ.get("EMU", "orrery"), "-nographic", "-m", "256", "-no-reboot", "-boot", "n",
                "-nic", "user,model=%s,romfile=%s,tftp=%s,bootfile=boot.ipxe" % (args.card, rom, work)]
        if args.firmware:
            argv += ["-bios", args.firmware]
        try:
            said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=args.timeout, check=False)
        except subprocess.TimeoutExpired as late:
            print("FAIL nothing within %d s; the console ends: %r" % (args.timeout, (late.stdout or b"")[-600:]))
            return 1
    if b"BOOTED-BY-IPXE" not in said.stdout or said.returncode:
        print("FAIL exit status %d; the console ends: %r" % (said.returncode, said.stdout[-600:]))
        return 1
    print("%s, %s: iPXE booted Linux in %.1f s" % (args.card, args.firmware or "own BIOS", time.monotonic() - begin))
    return 0


if __name__ == "__main__":
    sys.exit(main())
