#!/usr/bin/env python3
"""Reads a text-mode screen back from a screenshot, with the font that the VGA BIOS was built with.

usage: screen.py FONTS.bin SHOT.png     (prints the lines)
"""
import struct
import sys
import zlib


def png_pixels(path):
    """Width, height and rows of (r, g, b) of an 8-bit PNG without interlace."""
    data = open(path, "rb").read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG file")
    at, packed, palette = 8, b"", b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        elif kind == b"IDAT":
            packed += body
        elif kind == b"PLTE":
            palette = body
        at += 12 + size
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    if depth != 8:
        raise ValueError(f"{depth} bits a channel")
    raw, rows, old = zlib.decompress(packed), [], bytearray(width * channels)
    for y in range(height):
        kind, line = raw[y * (width * channels + 1)], bytearray(raw[y * (width * channels + 1) + 1:(y + 1) * (width * channels + 1)])
        if kind:
            for i in range(len(line)):
                a = line[i - channels] if i >= channels else 0
                b, c = old[i], old[i - channels] if i >= channels else 0
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                paeth = a if pa <= pb and pa <= pc else b if pb <= pc else c
                line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        old = line
        if colour == 3:
            rows.append([tuple(palette[3 * v:3 * v + 3]) for v in line])
        elif channels == 1:
            rows.append([(v, v, v) for v in line])
        else:
            rows.append([tuple(line[i:i + 3]) for i in range(0, len(line), channels)])
    return width, height, rows


def glyphs(fonts):
    """The 8x16 font as {16 bytes: character}; the printable characters win over their twins."""
    font = open(fonts, "rb").read()
    font = font[256 * (8 + 14):][:4096]  # 8x8, 8x14, 8x16
    table = {}
    for code in list(range(256))[::-1] + list(range(126, 31, -1)):
        shape = font[code * 16:code * 16 + 16]
        table[shape] = chr(code) if 32 <= code < 127 else "\u00b7"
        table[bytes(255 - b for b in shape)] = table[shape]
    table[bytes(16)] = " "
    table[b"\xff" * 16] = " "
    return table


def text(fonts, path):
    """The lines of an 80x25 screen (720x400 or 640x400), or [] if the picture is another mode's."""
    return text_of(fonts, *png_pixels(path))


def text_of(fonts, width, height, rows):
    """The same of rows of pixels, whatever a pixel is."""
    if height != 400 or width not in (640, 720):
        return []
    table, cell = glyphs(fonts), width // 80
    lines = []
    for y in range(0, 400, 16):
        line = ""
        for x in range(0, width, cell):
            back = rows[y][x]
            shape = bytes(sum((rows[y + i][x + j] != back) << (7 - j) for j in range(8)) for i in range(16))
            line += table.get(shape, "\u00b7")
        lines.append(line.rstrip())
    return lines


if __name__ == "__main__":
    print("\n".join(text(sys.argv[1], sys.argv[2])))
