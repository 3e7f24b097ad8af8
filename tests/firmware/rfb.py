"""Keys and pointer for a machine whose screen is shown through VNC (RFC 6143), no more than that."""
import socket
import struct
import time

KEYS = {"Return": 0xff0d, "Escape": 0xff1b, "Left": 0xff51, "Up": 0xff52, "Right": 0xff53, "Down": 0xff54, "Tab": 0xff09,
        **{f"F{n}": 0xffbd + n for n in range(1, 13)}}

SHIFT = 0xffe1
SHIFTED = set('~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ')  # on an American keyboard


def free_port():
    """A free port from 5900 on, as -vnc counts them."""
    for port in range(5950, 6400):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Client:
    def __init__(self, port, patience=20):
        end = time.time() + patience
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 5)
                break
            except OSError:
                if time.time() > end:
                    raise
                time.sleep(0.05)
        version = self.take(12)
        self.socket.sendall(version)
        kinds = self.take(self.take(1)[0])
        if 1 not in kinds:
            raise RuntimeError("the server wants a password")
        self.socket.sendall(b"\x01")
        self.take(4)
        self.socket.sendall(b"\x01")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.take(struct.unpack(">I", self.take(4))[0])

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def sleep(self, seconds):
        time.sleep(seconds)

    def key(self, name):
        code = KEYS.get(name) or ord(name)
        keys = [SHIFT, code] if name in SHIFTED else [code]
        for down, some in ((1, keys), (0, keys[::-1])):
            for key in some:
                self.socket.sendall(struct.pack(">BBHI", 4, down, 0, key))
                time.sleep(0.05)

    def pointer(self, x, y, buttons=0):
        self.socket.sendall(struct.pack(">BBHH", 5, buttons, x, y))
        time.sleep(0.02)

    def click(self, x, y):
        for buttons in (0, 1, 0):
            self.pointer(x, y, buttons)
            time.sleep(0.2)

    def picture(self):
        """The whole screen: four bytes a pixel, blue first. The size must not change meanwhile: EOFError."""
        self.socket.sendall(struct.pack(">BxHi", 2, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        self.socket.settimeout(20)
        out = bytearray(self.width * self.height * 4)
        while True:
            kind = self.take(1)[0]
            if kind == 1:  # colours
                self.take(5)
            elif kind == 3:  # clipboard
                self.take(3)
                self.take(struct.unpack(">I", self.take(4))[0])
            if kind:
                continue
            for _ in range(struct.unpack(">xH", self.take(3))[0]):
                x, y, w, h, coding = struct.unpack(">HHHHi", self.take(12))
                data = self.take(w * h * 4)
                if coding or x + w > self.width or y + h > self.height:
                    raise EOFError
                for row in range(h):
                    at = ((y + row) * self.width + x) * 4
                    out[at:at + w * 4] = data[row * w * 4:(row + 1) * w * 4]
            return bytes(out)

    def close(self):
        self.socket.close()


def drive(port, keys):
    """@keys(client), and then the connection stays until the machine ends."""
    try:
        client = Client(port)
        keys(client)
        while client.socket.recv(65536):
            pass
    except (OSError, EOFError):
        pass
