#!/usr/bin/env python3
"""Boots a test guest on its serial console, types at it, checks what it says, and powers it off.

usage: boot.py CACHE {amd64|i386|kvm|memtest|pvh|xen|xenguests} [--timeout SECONDS] [--log FILE]
The emulator is $EMU (default: orrery); anything with the same command line will do, so
EMU=qemu-system-x86_64 checks the test itself. $CPUS gives the guest several processors. Exit status 0 when every check held.
The emulator gets a small stack: an interpreter that leaves frames behind, one for each instruction, would overrun it.
"""
import argparse
import os
import pty
import re
import resource
import select
import shlex
import signal
import sys
import time


class Failed(Exception):
    pass


STACK = 1 << 20


class Console:
    """An emulator on a pseudo-terminal: what it prints, and what is typed."""

    def __init__(self, argv, log):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))
            os.execvp(argv[0], argv)
        self.log = log
        self.text = ""
        self.seen = 0  # everything before this offset has been matched
        self.alive = True

    def _read(self, wait):
        ready, _, _ = select.select([self.fd], [], [], wait)
        if not ready:
            return
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the emulator closed its end
            data = b""
        if not data:
            self.alive = False
            return
        if self.log:
            self.log.write(data)
            self.log.flush()
        self.text += data.decode("latin-1").replace("\r", "")

    def expect(self, pattern, timeout):
        """Waits for the regular expression after what was matched last."""
        end = time.monotonic() + timeout
        while True:
            found = re.compile(pattern, re.M).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if not self.alive:
                _, status = os.waitpid(self.pid, 0)
                raise Failed("the emulator ended (status %d) while waiting for %r; it said: %s"
                             % (os.waitstatus_to_exitcode(status), pattern, self.text[-400:]))
            if time.monotonic() > end:
                raise Failed("nothing matched %r within %d s" % (pattern, timeout))
            if "Kernel panic" in self.text:
                raise Failed("kernel panic while waiting for %r" % pattern)
            self._read(0.2)

    def type(self, text):
        os.write(self.fd, text.encode())

    def finish(self, timeout):
        """Waits for the emulator's end and returns its exit status (negative: signal)."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.alive:
                self._read(0.2)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if not self.alive:
                time.sleep(0.05)
        raise Failed("the emulator did not end within %d s of power-off" % timeout)

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


PROMPT = r"^(?:~|/) # $|guest# $"

CPUS = os.environ.get("CPUS", "1")  # how many processors the guest gets

# What is typed, and what must come back (a regular expression over the answer).
COMMON = [
    ("echo $((6*7))-ok", r"42-ok"),
    ("cat /proc/sys/kernel/ostype", r"^Linux$"),
    ("grep -c processor /proc/cpuinfo", r"^%s$" % CPUS),
    ("awk 'BEGIN{printf \"%.9f\\n\", 22/7*1e3}'", r"^3142\.857142857$"),
    ("dd if=/dev/zero bs=65536 count=16 2>/dev/null | md5sum", r"^b6d81b360a5672d80c27430f39153e2c"),
    ("seq 20000 | sha256sum", r"^f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a"),
    ("seq 20000 | gzip -c | gunzip -c | tail -n 1", r"^20000$"),
    ("i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done; echo forked $i", r"^forked 50$"),
    ("sleep 1; echo slept", r"^slept$"),
    ("(sleep 100 & kill $!; wait $! ; echo died $?) 2>/dev/null", r"^died 143$"),
    ("dmesg | grep -ciE 'oops|general protection|invalid opcode|BUG:'", r"^0$"),
]

GUESTS = {
    "amd64": [("uname -m", r"^x86_64$")] + COMMON,
    "pvh": [("uname -m", r"^x86_64$")] + COMMON,
    "i386": [("uname -m", r"^i[3-6]86$")] + COMMON,
}


def linux(args, log):
    extra = shlex.split(os.environ.get("EMU_ARGS", ""))
    argv = [
        os.environ.get("EMU", "orrery"), "-nographic", "-m", "256", "-smp", CPUS, "-no-reboot",
        "-kernel", "%s/%s.kernel" % (args.cache, args.guest),
        "-initrd", "%s/%s.initrd" % (args.cache, args.guest.replace("pvh", "amd64")),
        "-append", "console=ttyS0,115200 panic=-1 " + os.environ.get("APPEND", ""),
    ] + extra
    con = Console(argv, log)
    begin = time.monotonic()
    try:
        con.expect(r"ORRERY-GUEST-UP", args.timeout)
        print("booted to init in %.1f s" % (time.monotonic() - begin), flush=True)
        con.expect(PROMPT, args.timeout)
        passed = 0
        for command, answer in GUESTS[args.guest]:
            con.type(command + "; echo END-$?-\n")
            start = con.seen
            con.expect(r"^END-\d+-$", args.timeout)
            reply = con.text[start:con.seen]
            if not re.search(answer, reply, re.M):
                raise Failed("%s: %r does not match %r" % (command, reply, answer))
            con.expect(PROMPT, args.timeout)
            passed += 1
            print("ok   " + command, flush=True)
        con.type("poweroff -f\n")
        status = con.finish(args.timeout)
        if status != 0:
            raise Failed("exit status %d after power-off, not 0" % status)
        print("%s: %d commands answered, powered off, exit status 0, %.1f s"
              % (args.guest, passed, time.monotonic() - begin))
    finally:
        con.kill()
    return con


def memtest(args, log):
    """Memtest86+ on its serial console: it must identify the machine and move through its tests without errors."""
    argv = [
        os.environ.get("EMU", "orrery"), "-nographic", "-m", "32", "-no-reboot",
        "-kernel", "%s/memtest.kernel" % args.cache, "-append", "console=ttyS0,115200",
    ] + shlex.split(os.environ.get("EMU_ARGS", ""))
    con = Console(argv, log)
    begin = time.monotonic()
    try:
        con.expect(r"Memtest86\+", args.timeout)
        print("title after %.1f s" % (time.monotonic() - begin), flush=True)
        con.expect(r"#[5-9] ", args.timeout * 4)
        con.expect(r"#[89] ", args.timeout * 4)  # pseudo-random and modulo-20 patterns
        if re.search(r"Unexpected|Press any key to reboot|Errors:\s*[1-9]", con.text):
            raise Failed("memtest86+ reports trouble")
        print("memtest: reached its late tests without errors, %.1f s" % (time.monotonic() - begin))
    finally:
        con.kill()
    return con


def xen(args, log):
    """Xen with Linux as its first domain, kernel and initramfs as Multiboot modules, as far as the first process."""
    module = "%s/amd64." % args.cache
    argv = [
        os.environ.get("EMU", "orrery"), "-nographic", "-m", "768", "-no-reboot",
        "-kernel", "%s/xen.kernel" % args.cache,
        "-append", "console=com1 com1=115200,8n1 dom0_mem=400M noreboot",
        "-initrd", "%skernel console=hvc0 earlyprintk=xen,%sinitrd" % (module, module),
    ] + shlex.split(os.environ.get("EMU_ARGS", ""))
    con = Console(argv, log)
    begin = time.monotonic()
    try:
        for stage in (r"Xen version 4\.", r"Dom0 kernel: 64-bit",
                      r"Linux version .*", r"Run /init as init process"):
            con.expect(stage, args.timeout)
            print("%6.1f s %s" % (time.monotonic() - begin, stage), flush=True)
    finally:
        con.kill()
    return con


# Guests of Xen, and whether with nested paging (hap=1) or shadow paging (hap=0): Debian's Xen has been built without
# CONFIG_SHADOW_PAGING, so $WAYS="pvh:0 hvm:0" is for another one, which $XEN names.
XEN_WAYS = ["pvh:1", "hvm:1"]


def xenguests(args, log):
    """Xen's first domain gives a shell; PVH and HVM guests come up and power off."""
    con = None
    for ways in ("", "+".join(os.environ.get("WAYS", " ".join(XEN_WAYS)).split())):
        argv = [
            os.environ.get("EMU", "orrery"), "-nographic", "-m", "1024", "-no-reboot",
            "-kernel", os.environ.get("XEN", args.cache + "/xenguests.xen"),
            "-append", "console=com1 com1=115200,8n1 dom0_mem=512M loglvl=warning guest_loglvl=warning",
            "-initrd", "%s/xenguests.kernel console=hvc0 quiet %s,%s/xenguests.initrd"
            % (args.cache, ways and "WAYS=" + ways, args.cache),
        ] + shlex.split(os.environ.get("EMU_ARGS", ""))
        con = Console(argv, log)
        begin = last = time.monotonic()
        try:
            con.expect(r"^virt_caps.*hvm hap", args.timeout)
            if not ways:
                con.expect(PROMPT, args.timeout)
                con.type("xl list\n")
                con.expect(r"^Domain-0 .* r-----", args.timeout)
                con.type("exit\n")
            for way in ways.split("+") if ways else []:
                con.expect(r"^L2-UP", args.timeout)
                con.expect(r"^L2-ENDED %s 0 " % way, args.timeout)
                print("ok   %s: %.1f s" % (way, time.monotonic() - last), flush=True)
                last = time.monotonic()
            if con.finish(args.timeout) != 0:
                raise Failed("xen: no clean power-off")
            print("ok   dom0 %s: %.1f s" % ("guests" if ways else "shell", time.monotonic() - begin), flush=True)
        finally:
            con.kill()
    return con


# Parameters of kvm-intel in the guest, more for its command line, what must be said before the guest's guest ends.
UP = [r"^L2-UP", r"^hypervisor"]
DEVICES = [r"^DISK 0e10426a", r"^NETWORK up", r"^TIMER runs"]
PCI = "-drive+file=/tmp/disk,format=raw,if=virtio+-netdev+user,id=n+-device+virtio-net-pci,netdev=n,romfile="
MMIO = ("-M+microvm+-drive+file=/tmp/disk,format=raw,if=none,id=d+-device+virtio-blk-device,drive=d"
        "+-netdev+user,id=n+-device+virtio-net-device,netdev=n")
KVM_WAYS = [
    ("", "", UP),
    ("vpid=0", "", UP),
    ("ept=0", "", UP),
    ("unrestricted_guest=0", "", UP),
    ("", "L2RUN=/l2_devices L2=" + MMIO, UP + DEVICES),
    ("", "L2RUN=/l2_devices L2=-M+pc+" + PCI, UP + DEVICES),
    ("ept=0", "L2RUN=/l2_devices L2=-M+pc+" + PCI, UP + DEVICES),
    ("nested=1", "L2MEM=512", [r"^ORRERY-GUEST-UP", r"^ORRERY-GUEST-UP"] + UP + [r"^L2-ENDED 0 "]),  # and in it a third level
]


def kvm(args, log):
    """Linux with KVM boots Linux under QEMU, with and without EPT, VPID and unrestricted guests; both power off.
    $WAYS: numbers of those to do."""
    con = None
    ways = [KVM_WAYS[int(i)] for i in os.environ["WAYS"].split()] if "WAYS" in os.environ else KVM_WAYS
    for kvm_args, more, answers in ways:
        initrd = "kvm3" if "nested" in kvm_args else "kvm"
        argv = [
            os.environ.get("EMU", "orrery"), "-nographic", "-m", "1024", "-no-reboot",
            "-kernel", "%s/kvm.kernel" % args.cache, "-initrd", "%s/%s.initrd" % (args.cache, initrd),
            "-append", "console=ttyS0,115200 panic=-1 quiet KVM=%s %s" % (kvm_args, more),
        ] + shlex.split(os.environ.get("EMU_ARGS", ""))
        con = Console(argv, log)
        begin = time.monotonic()
        try:
            for answer in answers:
                con.expect(answer, args.timeout)
            con.expect(r"^L2-ENDED 0 ", args.timeout)
            if con.finish(args.timeout) != 0:
                raise Failed("kvm %s %s: no clean power-off" % (kvm_args, more))
            print("ok   kvm-intel %s %s: %.1f s" % (kvm_args or "as it comes", more, time.monotonic() - begin), flush=True)
        finally:
            con.kill()
    return con


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache")
    parser.add_argument("guest", choices=sorted(list(GUESTS) + ["kvm", "memtest", "xen", "xenguests"]))
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--log", help="file that receives the raw console")
    args = parser.parse_args()
    log = open(args.log, "wb") if args.log else None
    try:
        {"kvm": kvm, "memtest": memtest, "xen": xen, "xenguests": xenguests}.get(args.guest, linux)(args, log)
    except Failed as failed:
        print("FAIL %s: %s" % (args.guest, failed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
