#!/usr/bin/env python3
"""Reads snapshot files (docs/snapshots.md) without any of Orrery's code; as a program: tells where two of them differ.

    snapfile.py FILE            what is in it
    snapfile.py FILE FILE       fields and pages that differ
"""
import struct
import sys
import zlib

FIELD_INT, FIELD_TIMER, FIELD_IRQ, FIELD_STRUCT = range(4)


def blocks(data, magic=b"ORRYSNAP"):
    head = struct.unpack_from("<8sIIQII", data)
    assert head[0] == magic and head[3] == len(data) and zlib.crc32(data[:28]) == head[5]
    at, out = 32, []
    for _ in range(head[2]):
        tag, crc, n = struct.unpack_from("<4sIQ", data, at)
        body = data[at + 16:at + 16 + n]
        assert zlib.crc32(body, zlib.crc32(struct.pack("<Q", n), zlib.crc32(tag))) == crc
        out.append((tag.decode(), body))
        at += 16 + n
    assert at == len(data)
    return out


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        v = struct.unpack_from("<" + fmt, self.data, self.at)
        self.at += struct.calcsize("<" + fmt)
        return v[0] if len(v) == 1 else v

    def name(self):
        n = self.take("B")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def fields(self, path, out):
        _, count = self.take("II")
        for _ in range(count):
            name = path + "." + self.name()
            kind, elem, size = self.take("BBI")
            if kind == FIELD_INT:
                out[name] = self.data[self.at:self.at + size]
                self.at += size
                continue
            for i in range(size):
                one = name + ("[%d]" % i if size > 1 else "")
                if kind == FIELD_TIMER:
                    out[one] = self.take("BQ")
                elif kind == FIELD_IRQ:
                    out[one] = self.take("B")
                else:
                    self.fields(one, out)


def state(body):
    n = struct.unpack_from("<Q", body)[0]
    r, out = Reader(zlib.decompress(body[8:])), {}
    assert len(r.data) == n
    while r.at < n:
        assert r.take("I") == 0x4e53524f
        ident, kind = r.name(), r.name()
        if kind == "bytes":
            size = r.take("Q")
            out[ident] = r.data[r.at:r.at + size]
            r.at += size
        else:
            r.fields(ident, out)
    return out


def pages(body, out):
    number, raw, at = struct.unpack_from("<Q", body)[0], zlib.decompress(body[40:]), 0
    for i in range(256):
        if body[8 + i // 8] >> i % 8 & 1:
            out[number * 256 + i] = raw[at:at + 4096]
            at += 4096
    assert at == len(raw)


def load(path):
    fields, ram, disk, texts = {}, {}, {}, {}
    for tag, body in blocks(open(path, "rb").read()):
        if tag == "STAT":
            fields = state(body)
        elif tag == "RAM ":
            pages(body, ram)
        elif tag == "DISK":
            end = body.index(b"\0")
            raw = zlib.decompress(body[end + 9:])
            for i in range(0, len(raw), 4104):
                disk[body[:end].decode(), struct.unpack_from("<Q", raw, i)[0]] = raw[i + 8:i + 4104]
        else:
            texts[tag] = body[:-1].decode()
    return fields, ram, disk, texts


def show(v):
    return v.hex() if isinstance(v, bytes) and len(v) <= 64 else "%d bytes" % len(v) if isinstance(v, bytes) else str(v)


def main():
    a = load(sys.argv[1])
    if len(sys.argv) == 2:
        for text in a[3].values():
            print(text)
        print("%d fields, %d pages of RAM, %d units of disks" % tuple(len(x) for x in a[:3]))
        return 0
    b, different = load(sys.argv[2]), 0
    for what, x, y in zip(("field", "page", "unit"), a, b):
        for k in sorted(set(x) | set(y), key=str):
            if x.get(k) != y.get(k):
                different += 1
                if what == "page":
                    p, q = x.get(k, bytes(4096)), y.get(k, bytes(4096))
                    if p == q:
                        continue
                    at = [i for i in range(4096) if p[i] != q[i]]
                    print("page %x: %d bytes from %x: %s %s" % (k, len(at), at[0], p[at[0]:at[0] + 8].hex(), q[at[0]:at[0] + 8].hex()))
                else:
                    print(what, k, show(x.get(k, "-")), show(y.get(k, "-")))
    return different != 0


if __name__ == "__main__":
    sys.exit(main())
