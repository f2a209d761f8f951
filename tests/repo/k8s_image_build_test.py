#!/usr/bin/env python3
"""What the Dockerfile makes of a minimal Debian runs as it says: no registry is asked for anything.

  tests/repo/k8s_image_build_test.py WORK_DIR

The base is made with debootstrap and kept in WORK_DIR; the instructions of the last stage are carried out
in a copy of it. The stage before compiles for many minutes: its programs are those of MERIDIAN_BIN_DIR
here. Exit codes: 0 passed, 1 failed, 77 skipped: no root, no debootstrap, or no Debian mirror.
"""

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
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from k8s_image_test import DOCKER, ROOT, instructions  # noqa: E402

SUITE = "bookworm"
BUILT = "/src/build/release/bin/"
MOST_ADDED_BYTES = 200_000_000


def run(*words, **options):
    return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, **options)


def mirror():
    """Where this machine has its own packages from, or None."""
    asked = run("apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {SUITE}",
                "Created-By: Packages")
    return next(iter(asked.stdout.split()), None) if asked.returncode == 0 else None


def base_image(work):
    """The folder of a minimal Debian, or None with the reason printed."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("SKIPPED: not root, or debootstrap is not installed")
        return None
    base = work / "base"
    if not base.exists():
        source = mirror()
        if source is None:
            print(f"SKIPPED: this machine has no packages of {SUITE}")
            return None
        made = work / "base.new"
        shutil.rmtree(made, ignore_errors=True)
        result = run("debootstrap", "--variant=minbase", SUITE, made, source)
        if result.returncode:
            print(f"SKIPPED: debootstrap does not work here:\n{result.stdout[-1000:]}")
            return None
        for folder in ("var/lib/apt/lists", "var/cache/apt"):  # As Debian's slim image has none.
            shutil.rmtree(made / folder)
        made.rename(base)
    return base


class Image:
    """The last stage of the Dockerfile, carried out in a folder."""

    def __init__(self, folder, base, binaries):
        self.folder, self.binaries = folder, binaries
        shutil.rmtree(folder, ignore_errors=True)
        run("cp", "-a", "--reflink=auto", base, folder, check=True)
        shutil.copy("/etc/resolv.conf", folder / "etc" / "resolv.conf")
        self.base_bytes = self.size()
        steps = instructions((DOCKER / "Dockerfile").read_text())
        last = max(index for index, step in enumerate(steps) if step[0] == "FROM")
        for word, rest in steps[last + 1:]:
            if word == "RUN":
                self.run(rest)
            elif word == "COPY":
                self.copy(rest)
            elif word == "USER":
                self.user = rest
            elif word == "CMD":
                self.command = json.loads(rest)
            elif word == "HEALTHCHECK":
                self.health = json.loads(rest[rest.index("["):])

    def size(self):
        return int(run("du", "-sb", self.folder, check=True).stdout.split()[0])

    def run(self, rest):
        result = run("chroot", self.folder, "/bin/sh", "-c", rest, env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
        assert result.returncode == 0, f"RUN {rest}\n{(result.stdout + result.stderr)[-3000:]}"

    def copy(self, rest):
        *sources, target = [word for word in rest.split() if not word.startswith("--")]
        to = self.folder / target.lstrip("/")
        for source in sources:
            is_built = source.startswith(BUILT)
            path = self.binaries / source.removeprefix(BUILT) if is_built else ROOT / source
            copied = to / path.name if target.endswith("/") else to
            shutil.copy(path, copied)
            if is_built:
                run("strip", copied, check=True)

    def words(self, *words):
        """A command in it: nothing can be written, and it is the user that the image says."""
        mount = ('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec chroot '
                 '--userspec="$1" "$0" env -i PATH=/usr/local/bin:/usr/bin:/bin "${@:2}"')
        return ["unshare", "--mount", "bash", "-c", mount, self.folder, self.user, *words]


class ImageBuildTest(unittest.TestCase):
    image = work = None

    def test_its_programs_start_as_its_user(self):
        for program in ("meridian-node", "meridian-coordinator", "meridianctl"):
            result = run(*self.image.words(program, "--help"))
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(run(*self.image.words("touch", "/x")).returncode, 0)
        self.assertEqual(run(*self.image.words("id", "-u")).stdout.strip(),
                         self.image.user.split(":")[0])

    def test_a_node_in_it_is_healthy_until_it_ends(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        listen = [f"--{kind}-address=127.0.0.1:0" for kind in ("data", "peer", "admin")]
        with open(self.work / "node.log", "w") as log:
            node = subprocess.Popen(
                [str(word) for word in self.image.words(
                    *self.image.command, *listen, f"--http-address=127.0.0.1:{port}")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(node.wait)
        self.addCleanup(node.kill)
        health = self.image.words(*self.image.health, port)
        deadline = time.monotonic() + 30
        while run(*health).returncode:
            self.assertLess(time.monotonic(), deadline, (self.work / "node.log").read_text())
            time.sleep(0.2)
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(timeout=30), 0)
        self.assertEqual(run(*health).returncode, 1)

    def test_it_is_small(self):
        added = self.image.size() - self.image.base_bytes
        print(f"on top of the base: {added / 1e6:.0f} MB")
        self.assertLess(added, MOST_ADDED_BYTES)


def main():
    work = pathlib.Path(sys.argv.pop(1)).resolve()
    work.mkdir(parents=True, exist_ok=True)
    base = base_image(work)
    if base is None:
        return 77
    ImageBuildTest.work = work
    ImageBuildTest.image = Image(work / "image", base,
                                 pathlib.Path(os.environ["MERIDIAN_BIN_DIR"]))
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
