#!/usr/bin/env python3
"""Nodes find coordinators by a DNS name whose addresses change, as those of a headless Service do.

  tests/repo/dns_discovery_test.py WORK_DIR

The resolver is a hosts file of the test, mounted over that of the machine for the programs alone: that
takes root, or namespaces of users. The programs come from MERIDIAN_BIN_DIR.
Exit codes: 0 passed, 1 failed, 77 skipped: no redis-server, or nothing may be mounted here.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True

NAME = "meridian-coordinator-headless.meridian.svc.cluster.local"
# gRPC asks for a name again once in 30 s at most.
RESOLVED_SECONDS = 90
MOUNTED = ["sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']


def unshare():
    """Words that give a command mounts of its own, or None."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        if shutil.which("unshare") and subprocess.run(
                [*words, *MOUNTED, "/etc/hosts", "true"], capture_output=True).returncode == 0:
            return words
    return None


def free_port(*addresses):
    """A port that is free at all of them."""
    while True:
        with contextlib.ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in addresses]
            probes[0].bind((addresses[0], 0))
            port = probes[0].getsockname()[1]
            try:
                for probe, address in zip(probes[1:], addresses[1:]):
                    probe.bind((address, port))
            except OSError:
                continue
            return port


class DnsDiscoveryTest(unittest.TestCase):
    work = binaries = words = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.work / self._testMethodName
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.hosts = self.folder / "hosts"
        self.port = free_port("127.0.0.2", "127.0.0.3", "127.0.0.4")
        self.redis = free_port("127.0.0.1")
        self.start("redis", "redis-server", "--port", self.redis, "--bind", "127.0.0.1", "--save", "",
                   "--dir", self.folder)

    def resolve(self, *addresses):
        """Written into the same file: another one would not be the one that is mounted."""
        self.hosts.write_text("127.0.0.1 localhost\n" +
                              "".join(f"{address} {NAME}\n" for address in addresses))

    def start(self, name, *words):
        log = self.stack.enter_context(open(self.folder / f"{name}.log", "w"))
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def coordinator(self, address):
        return self.start(f"coordinator-{address}", self.binaries / "meridian-coordinator",
                          f"--id=coordinator-{address}", f"--grpc-address={address}:{self.port}",
                          f"--http-address={address}:0", "--insecure=true",
                          f"--advertise-address={address}:{self.port}",
                          f"--redis=redis://127.0.0.1:{self.redis}")

    def node(self, name):
        ready = self.folder / f"{name}.ready"
        listen = [f"--{kind}-address=127.0.0.1:0" for kind in ("data", "peer", "admin", "http")]
        self.start(name, *self.words, *MOUNTED, self.hosts, self.binaries / "meridian-node",
                   f"--id={name}", f"--coordinators={NAME}:{self.port}", *listen,
                   f"--redis=redis://127.0.0.1:{self.redis}", f"--ready-file={ready}")
        self.wait_for(f"{name} listens", ready.exists, 20)
        return json.loads(ready.read_text())

    def wait_for(self, what, condition, seconds=RESOLVED_SECONDS):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"{what}: not within {seconds} s")
            time.sleep(0.2)

    def ask(self, node, command):
        result = subprocess.run([self.binaries / "meridianctl", command, "--json", "--target",
                                 node["data"], "--admin", node["admin"]],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def members(self, node):
        return {one["member"]["id"] for one in self.ask(node, "ring").get("members", [])}

    def test_coordinators_that_move_to_other_addresses_are_found_there(self):
        self.resolve("127.0.0.2")
        first = self.coordinator("127.0.0.2")
        node = self.node("node-1")
        self.wait_for("node-1 has joined", lambda: self.members(node) == {"node-1"})
        # The pod is replaced: the name leads to another address, and the old one is nobody's.
        first.kill()
        first.wait()
        self.resolve("127.0.0.3")
        self.coordinator("127.0.0.3")
        other = self.node("node-2")
        self.wait_for("both follow the new address",
                      lambda: self.members(node) == self.members(other) == {"node-1", "node-2"})
        self.assertEqual(subprocess.run(
            [self.binaries / "meridianctl", "set", "task", "1", "x", "--target", node["data"]],
            stdin=subprocess.DEVNULL, capture_output=True).returncode, 0)

    def test_of_several_addresses_those_that_answer_are_enough(self):
        self.resolve("127.0.0.4", "127.0.0.2", "127.0.0.3")  # Nobody is at the first.
        first, second = (self.coordinator(address) for address in ("127.0.0.2", "127.0.0.3"))
        node = self.node("node-1")
        self.wait_for("node-1 has joined", lambda: self.members(node) == {"node-1"})
        for stopped, left in ((first, "127.0.0.3"), (second, "127.0.0.2")):
            stopped.send_signal(signal.SIGTERM)
            stopped.wait()
            if left == "127.0.0.2":  # The pod is back, at its old address.
                self.coordinator("127.0.0.2")
            name = f"node-{left[-1]}"
            self.node(name)
            self.wait_for(f"{name} has joined", lambda: name in self.members(node))


def main():
    work = pathlib.Path(sys.argv.pop(1)).resolve()
    binaries = pathlib.Path(os.environ.get("MERIDIAN_BIN_DIR", "")).resolve()
    DnsDiscoveryTest.work, DnsDiscoveryTest.binaries = work, binaries
    DnsDiscoveryTest.words = unshare()
    if shutil.which("redis-server") is None or DnsDiscoveryTest.words is None:
        print("SKIPPED: no redis-server, or nobody may mount a hosts file here")
        return 77
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
