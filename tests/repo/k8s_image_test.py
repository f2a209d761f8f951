#!/usr/bin/env python3
"""The Dockerfile, what it may copy, and the health command; no image is built.

That its packages are those that the programs are linked to: k8s_programs_test.py.
"""

import http.server
import pathlib
import re
import socket
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKER = ROOT / "k8s" / "docker"


def instructions(text):
    """(word, rest) of each instruction; lines that go on are joined."""
    joined = re.sub(r"\\\n", " ", "".join(line + "\n" for line in text.splitlines()
                                           if not line.startswith("#")))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def findings(text, ignored):
    """What is wrong with a Dockerfile, given the text of .dockerignore."""
    steps = instructions(text)
    arguments = dict(rest.split("=", 1) for word, rest in steps if word == "ARG")
    for word, rest in steps:
        if word == "FROM":
            image = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match.group(1), ""),
                           rest.split()[0])
            if re.match(r"[^/]*[.:][^/]*/|localhost/", image) or ":" not in image:
                yield f"FROM {image}: names the host of a registry, or no tag"
            if image.endswith(":latest"):
                yield f"FROM {image}: is another one every day"
    allowed = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    if "*" not in ignored.splitlines():
        yield ".dockerignore: lets everything in"
    for word, rest in steps:
        if word == "COPY" and not rest.startswith("--from") and rest.split()[0] != ".":
            for source in rest.split()[:-1]:
                if source not in allowed or not (ROOT / source).exists():
                    yield f"COPY {source}: is not there, or .dockerignore keeps it out"
    for name in allowed:
        if not (ROOT / name).exists():
            yield f".dockerignore: {name} is not there"
    cmake = re.sub(r"(?ms)^if\(.*?^endif\(\)", "", (ROOT / "CMakeLists.txt").read_text())
    for folder in re.findall(r"add_subdirectory\((\S+)\)", cmake):
        if not any(folder == name or folder.startswith(name + "/") for name in allowed):
            yield f".dockerignore: keeps out {folder}, which is built"
    last = steps[max(index for index, step in enumerate(steps) if step[0] == "FROM"):]
    users = [rest for word, rest in last if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield "USER: is root, or not a number"
    checks = [rest for word, rest in last if word == "HEALTHCHECK"]
    copied = " ".join(rest for word, rest in last if word == "COPY")
    if not checks or re.search(r'CMD \["([\w-]+)"', checks[0]).group(1) not in copied:
        yield "HEALTHCHECK: there is none, or its command is not in the image"


BROKEN = {
    "registry": ("BASE=debian", "BASE=hub.example/debian", "host of a registry"),
    "no tag": ("debian:12-slim", "debian", "no tag"),
    "latest": ("debian:12-slim", "debian:latest", "another one every day"),
    "root": ("USER 65532:65532\n", "", "USER"),
    "a name": ("USER 65532:65532", "USER meridian", "USER"),
    "no such file": ("COPY k8s/docker/health", "COPY k8s/docker/healthy", "is not there"),
    "no health command": ("HEALTHCHECK", "LABEL x=", "HEALTHCHECK"),
    "another health command": ('"meridian-health"', '"curl"', "not in the image"),
}


class DockerfileTest(unittest.TestCase):
    TEXT = (DOCKER / "Dockerfile").read_text()
    IGNORED = (ROOT / ".dockerignore").read_text()

    def test_it_keeps_the_rules(self):
        self.assertEqual(list(findings(self.TEXT, self.IGNORED)), [])

    def test_each_rule_finds_what_it_is_for(self):
        for name, (old, new, says) in BROKEN.items():
            with self.subTest(broken=name):
                self.assertIn(old, self.TEXT)
                self.assertIn(says, "\n".join(findings(self.TEXT.replace(old, new), self.IGNORED)))
        for old, new, says in (("!server\n", "", "keeps out server"), ("*\n!", "!", "everything in"),
                               ("!client", "!clients", "clients is not there")):
            self.assertIn(says, "\n".join(findings(self.TEXT, self.IGNORED.replace(old, new))))

    def test_the_chart_says_what_the_image_has(self):
        user = re.search(r"USER (\d+)", self.TEXT).group(1)
        values = (ROOT / "k8s" / "chart" / "meridian" / "values.yaml").read_text()
        self.assertIn(f"\nrunAsUser: {user}\n", values)


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.reason.encode()
        self.send_response(200 if self.path == "/readyz" and not body else 503)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class HealthTest(unittest.TestCase):
    def serve(self, reason):
        server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
        server.reason = reason
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def nobody(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def health(self, *ports):
        result = subprocess.run([DOCKER / "health", *map(str, ports)], capture_output=True,
                                text=True, stdin=subprocess.DEVNULL, timeout=20)
        return result.returncode, result.stdout

    def test_who_is_ready_is_healthy(self):
        self.assertEqual(self.health(self.serve("")), (0, ""))

    def test_one_of_the_ports_is_enough(self):
        self.assertEqual(self.health(self.nobody(), self.serve(""))[0], 0)

    def test_who_is_not_ready_says_why(self):
        port = self.serve("warms up")
        self.assertEqual(self.health(port), (1, f"port {port}: warms up\n"))

    def test_where_nobody_answers_is_not_healthy(self):
        port = self.nobody()
        self.assertEqual(self.health(port), (1, f"port {port}: nobody listens\n"))


if __name__ == "__main__":
    unittest.main()
