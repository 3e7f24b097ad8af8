#!/usr/bin/env python3
"""The VNC server of a running machine: picture, keys, WebSocket, passwords, broken clients.

usage: vnc.py [--shot FILE.ppm]   (environment EMU: the emulator)

The guest is the BIOS with a blank disk: it says that nothing can be booted, and tries again at a key.
"""
import argparse
import base64
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

EMU = os.environ.get("EMU", "build/orrery")
BASE = 5900


class Rfb:
    """As little of a viewer as is needed (RFC 6143)."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=20)
        assert self.get(12) == b"RFB 003.008\n"
        self.s.sendall(b"RFB 003.008\n")
        self.types = self.get(self.get(1)[0])

    def get(self, n):
        data = b""
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def start(self):
        assert 1 in self.types
        self.s.sendall(b"\x01")
        assert self.get(4) == bytes(4)
        self.s.sendall(b"\x01")
        self.w, self.h = struct.unpack(">HH", self.get(4))
        fmt = self.get(16)
        name = self.get(struct.unpack(">I", self.get(4))[0])
        assert fmt[0] == 32, fmt
        # raw, and pictures that change their size
        self.s.sendall(struct.pack(">BxHii", 2, 2, 0, -223))
        self.screen = bytearray(self.w * self.h * 4)
        return name.decode()

    def update(self, incremental):
        self.s.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.w, self.h))
        while True:
            kind = self.get(1)[0]
            if kind == 0:
                break
            assert kind in (2, 3), kind  # bell, clipboard
            if kind == 3:
                self.get(struct.unpack(">3xI", self.get(7))[0])
        for _ in range(struct.unpack(">xH", self.get(3))[0]):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.get(12))
            if encoding == -223:
                self.w, self.h = w, h
                self.screen = bytearray(w * h * 4)
                continue
            assert encoding == 0, encoding
            for row in range(y, y + h):
                at = (row * self.w + x) * 4
                self.screen[at:at + w * 4] = self.get(w * 4)

    def key(self, keysym):
        for down in (1, 0):
            self.s.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def pointer(self, mask, x, y):
        self.s.sendall(struct.pack(">BBHH", 5, mask, x, y))

    def lit(self):
        """How many pixels are not black."""
        return sum(1 for i in range(0, len(self.screen), 4) if any(self.screen[i:i + 3]))


def machine(disk, number, more=""):
    p = subprocess.Popen([EMU, "-m", "16", "-hda", disk, "-serial", "null", "-timeout", "60",
                          "-vnc", ":%d%s" % (number, more)], stderr=subprocess.PIPE)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", BASE + number), timeout=1).close()
            return p
        except OSError:
            time.sleep(0.05)
            assert p.poll() is None, p.stderr.read().decode()
    raise AssertionError("nobody listens")


def end(p):
    p.terminate()
    p.wait(20)
    assert p.returncode == 80, p.returncode


def wait_for(rfb, test, what):
    deadline = time.time() + 30
    rfb.update(0)
    while not test():
        assert time.time() < deadline, "timed out: " + what
        rfb.s.settimeout(30)
        rfb.update(1)


def picture_and_keys(disk, number, shot):
    p = machine(disk, number)
    r = Rfb(BASE + number)
    name = r.start()
    assert name, "no name"
    wait_for(r, lambda: (r.w, r.h) == (720, 400) and r.lit() > 4000, "the BIOS's text")
    time.sleep(1.5)
    r.update(0)
    before = r.lit()
    r.key(0x20)
    wait_for(r, lambda: r.lit() > before + 1000, "a second try after a key")
    r.pointer(1, 100, 100)
    r.pointer(0, 900, 5)
    r.key(0xff0d)
    second = Rfb(BASE + number)  # two viewers at once
    second.start()
    second.update(0)
    assert second.lit() > 4000
    r.update(0)
    if shot:
        with open(shot, "wb") as f:
            f.write(b"P6 %d %d 255\n" % (r.w, r.h))
            f.write(bytes(v for i in range(0, len(r.screen), 4) for v in (r.screen[i + 2], r.screen[i + 1], r.screen[i])))
    end(p)


def websocket(disk, number):
    p = machine(disk, number)
    s = socket.create_connection(("127.0.0.1", BASE + number), timeout=20)
    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Protocol: binary\r\nOrigin: http://localhost\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += s.recv(4096)
    head, rest = answer.split(b"\r\n\r\n", 1)
    assert b" 101 " in head.split(b"\r\n")[0], head
    while len(rest) < 14:
        rest += s.recv(4096)
    assert rest[0] == 0x82 and rest[1] == 12 and rest[2:14] == b"RFB 003.008\n", rest
    end(p)


def password(disk, number):
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("secret\n")
        f.flush()
        p = machine(disk, number, ",password=" + f.name)
        r = Rfb(BASE + number)
        assert 2 in r.types and 1 not in r.types, r.types
        r.s.sendall(b"\x02")
        r.get(16)
        r.s.sendall(bytes(16))
        assert r.get(4) != bytes(4), "a wrong password was taken"
        end(p)


def broken_clients(disk, number):
    p = machine(disk, number)
    for junk in (b"\0" * 100, b"RFB 003.008\n\x01\x01" + b"\xff" * 500, b"GET / HTTP/1.1\r\n" + b"x" * 5000):
        s = socket.create_connection(("127.0.0.1", BASE + number), timeout=20)
        s.sendall(junk)
        s.close()
    r = Rfb(BASE + number)
    r.start()
    r.update(0)
    again = subprocess.run([EMU, "-m", "16", "-vnc", ":%d" % number], capture_output=True, timeout=30)
    assert again.returncode == 74 and b"taken" in again.stderr, (again.returncode, again.stderr)
    end(p)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--shot")
    args = args.parse_args()
    number = 200 + os.getpid() % 3000
    with tempfile.TemporaryDirectory() as folder:
        disk = os.path.join(folder, "blank.img")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        picture_and_keys(disk, number, args.shot)
        websocket(disk, number + 1)
        password(disk, number + 2)
        broken_clients(disk, number + 3)
    print("vnc: picture, keys, two viewers, WebSocket, password, broken clients: as they should be")


if __name__ == "__main__":
    sys.exit(main())
