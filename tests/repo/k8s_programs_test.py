#!/usr/bin/env python3
"""The real programs take what the manifests give them: flags, variables, files, probes, SIGTERM.

  tests/repo/k8s_programs_test.py WORK_DIR

The programs come from MERIDIAN_BIN_DIR. A pod is a process here: its files are those of the
ConfigMaps, its arguments those of the manifest. Exit codes: 0 passed, 1 failed, 77 skipped.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "repo"))

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(77)

import k8s_settings as settings  # noqa: E402

MANIFESTS = sorted((ROOT / "k8s" / "manifests").glob("*.yaml"))
READY_SECONDS = 30


def load(path):
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def secret_texts(objects):
    return {(item["metadata"]["name"], key): text for item in objects if item["kind"] == "Secret"
            for key, text in item["stringData"].items()}


def environment(objects, container, pod):
    """The variables of a pod; a Secret that the manifest leaves to others holds a plain URL."""
    values, secrets = {}, secret_texts(objects)
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            text = pod[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            text = secrets.get((reference["name"], reference["key"]),
                               f"redis://{reference['key']}.example:6379,other.example:6379"
                               if "region" in reference["key"] else "redis://own.example:6379")
        else:
            text = expand(variable["value"], values)
        values[variable["name"]] = text
    return values


def expand(text, values):
    return re.sub(r"\$\((\w+)\)", lambda match: values[match.group(1)], text)


class Pod:
    """A container of a manifest as a command of this machine."""

    def __init__(self, folder, objects, found, name, address="127.0.0.1"):
        _, spec, container, self.program = found
        self.grace = spec["terminationGracePeriodSeconds"]
        self.container = container
        self.variables = environment(objects, container,
                                     {"metadata.name": name, "status.podIP": address})
        self.files = {}
        self.words = []
        for word in container["args"]:
            flag, _, value = expand(word, self.variables).partition("=")
            text = settings.config_files(objects, spec, container).get(flag)
            if text is not None:
                path = folder / name / pathlib.Path(value).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                value, self.files[flag] = str(path), path
            self.words.append(f"{flag}={value}")

    def environment(self):
        usual = {key: value for key, value in os.environ.items() if not key.startswith("MERIDIAN_")}
        return {**usual, **self.variables}


class ProgramsTest(unittest.TestCase):
    binaries = pathlib.Path()
    work = pathlib.Path()

    def run_pod(self, pod, *words):
        return subprocess.run([self.binaries / pod.program, *pod.words, *words], text=True,
                              env=pod.environment(), stdin=subprocess.DEVNULL, capture_output=True)

    def pods(self, path):
        objects = load(path)
        for found in settings.our_containers(objects):
            yield Pod(self.work / path.stem, objects, found, f"{found[3]}-0")

    def test_every_configuration_is_accepted(self):
        checked = 0
        for path in MANIFESTS:
            for pod in self.pods(path):
                with self.subTest(manifest=path.name, program=pod.program):
                    result = self.run_pod(pod, "--check-config")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    checked += 1
        self.assertEqual(checked, 2 * (len(MANIFESTS) - 1))  # The pod of helm test runs neither.

    def test_a_wrong_file_would_be_refused(self):
        """So that the test above can fail: of what is mounted, and of the variables."""
        for pod in self.pods(ROOT / "k8s" / "manifests" / "production.yaml"):
            for flag, path in pod.files.items():
                good = path.read_text()
                path.write_text(good + "no_such_key: 1\n")
                self.assertEqual(self.run_pod(pod, "--check-config").returncode, 2, flag)
                path.write_text(good)
            pod.variables["MERIDIAN_REDIS"] = "no URL"
            self.assertEqual(self.run_pod(pod, "--check-config").returncode, 2)

    def test_variables_reach_the_settings(self):
        for pod in self.pods(ROOT / "k8s" / "manifests" / "three-regions-us.yaml"):
            lines = self.run_pod(pod, "--print-config").stdout
            self.assertRegex(lines, r"redis\.url.*MERIDIAN_REDIS")
            if pod.program == "meridian-node":
                self.assertRegex(lines, r"regions.*MERIDIAN_REGION_REDIS")

    def test_every_flag_is_in_the_help(self):
        for path in MANIFESTS:
            for pod in self.pods(path):
                text = subprocess.run([self.binaries / pod.program, "--help"], check=True,
                                      stdin=subprocess.DEVNULL, capture_output=True,
                                      text=True).stdout
                for word in pod.words:
                    self.assertRegex(text, rf"(?m)^\s+{word.partition('=')[0]}\b")


# What every Debian has.
OF_DEBIAN = {"libc6", "libgcc-s1", "libstdc++6"}


@unittest.skipUnless(shutil.which("dpkg-query") and shutil.which("readelf"), "no Debian")
class ImageTest(unittest.TestCase):
    binaries = pathlib.Path()

    def packages(self):
        """Packages of the libraries that the programs name themselves."""
        names = set()
        for program in ("meridian-node", "meridian-coordinator", "meridianctl"):
            text = subprocess.run(["readelf", "-d", self.binaries / program], check=True, text=True,
                                  capture_output=True).stdout
            names.update(re.findall(r"\(NEEDED\).*\[(.*)\]", text))
        found = subprocess.run(["dpkg-query", "-S", *(f"*-linux-gnu/{name}" for name in names)], text=True,
                               capture_output=True).stdout
        owners = {}
        for line in found.splitlines():
            package, _, path = line.partition(": ")
            owners.setdefault(path.rpartition("/")[2], package.partition(":")[0])
        self.assertEqual(names - set(owners), set(), "libraries of no package")
        return set(owners.values()) - OF_DEBIAN

    def test_the_image_has_what_the_programs_are_linked_to(self):
        text = (ROOT / "k8s" / "docker" / "Dockerfile").read_text()
        listed = set(text.rpartition("--no-install-recommends")[2].partition("&&")[0].split())
        packages = self.packages()
        self.assertGreater(len(packages), 5)
        self.assertEqual(packages - listed, set())


def wait_for(what, condition):
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {READY_SECONDS} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def http_status(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server")
class ReleaseTest(unittest.TestCase):
    """The manifest `minimal`, as processes: it becomes ready, works, and ends in time."""

    work = ProgramsTest.work
    binaries = ProgramsTest.binaries

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.objects = load(ROOT / "k8s" / "manifests" / "minimal.yaml")
        redis = free_port()
        self.start("redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save",
                             "", "--dir", str(self.work)], os.environ)
        wait_for("redis", lambda: answers(redis))
        found = {entry[3]: entry for entry in settings.our_containers(self.objects)}
        self.pods, self.addresses = {}, {}
        for program, listens in (
                ("meridian-coordinator", {"grpc": "grpc-address", "http": "http-address"}),
                ("meridian-node", {"data": "data-address", "peer": "peer-address",
                                   "admin": "admin-address", "http": "http-address"})):
            pod = Pod(self.work / "release", self.objects, found[program], f"{program}-0")
            pod.variables["MERIDIAN_REDIS"] = f"redis://127.0.0.1:{redis}"
            # Any free ports instead of those of a pod.
            ready = self.work / f"{program}.ready"
            ready.unlink(missing_ok=True)
            words = [word for word in pod.words if not word.startswith("--advertise-address")]
            words += [f"--{flag}=0.0.0.0:0" for flag in listens.values()]
            words += [f"--ready-file={ready}"]
            if program == "meridian-node":
                words += [f"--coordinators={self.addresses['meridian-coordinator']['grpc']}"]
            process = self.start(program, [str(self.binaries / program), *words], pod.environment())
            wait_for(program, lambda: ready.exists() or process.poll() is not None)
            self.assertIsNone(process.poll(), f"{program} ended; its log is in {self.work}")
            self.addresses[program] = json.loads(ready.read_text().replace("0.0.0.0", "127.0.0.1"))
            self.pods[program] = (pod, process)

    def start(self, name, words, variables):
        log = self.stack.enter_context(open(self.work / f"{name}.log", "w"))
        process = subprocess.Popen(words, env=variables, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def serving(self, address):
        """grpc.health.v1 as the kubelet asks it; without grpcio: what /readyz says."""
        try:
            import grpc
        except ImportError:
            return None
        with grpc.insecure_channel(address) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check",
                                        request_serializer=None, response_deserializer=None)
            try:
                return check(b"", timeout=5) == b"\x08\x01"
            except grpc.RpcError:
                return False

    def probe(self, program, kind):
        pod, _ = self.pods[program]
        probe = pod.container[kind]
        if "grpc" in probe:
            port = {7400: "data", 7410: "grpc"}[probe["grpc"]["port"]]
            answer = self.serving(self.addresses[program][port])
            if answer is not None:
                return answer
            probe = {"httpGet": {"path": "/readyz"}}
        return http_status(self.addresses[program]["http"], probe["httpGet"]["path"]) == 200

    def health(self):
        ports = [self.addresses[program]["http"].rpartition(":")[2] for program in self.pods]
        return [subprocess.run([ROOT / "k8s" / "docker" / "health", port], timeout=20,
                               stdin=subprocess.DEVNULL, capture_output=True).returncode
                for port in ports]

    def test_it_becomes_ready_works_and_ends_in_time(self):
        for program in self.pods:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                wait_for(f"{kind} of {program}", lambda: self.probe(program, kind))
        self.assertEqual(self.health(), [0, 0])
        test = load(ROOT / "k8s" / "manifests" / "test-pod.yaml")[0]["spec"]["containers"][0]
        result = subprocess.run(
            [*test["command"], *test["args"]], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, env={"PATH": f"{self.binaries}:{os.environ['PATH']}", "HOSTNAME": "test",
                            "MERIDIAN_TARGET": self.addresses["meridian-node"]["data"]})
        self.assertEqual((result.returncode, result.stdout), (0, "passed\n"), result.stderr)
        for program in reversed(self.pods):
            pod, process = self.pods[program]
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=pod.grace), 0, program)
        self.assertEqual(self.health(), [1, 1])
        self.assertNotEqual(subprocess.run(
            [*test["command"], *test["args"]], stdin=subprocess.DEVNULL, capture_output=True,
            env={"PATH": f"{self.binaries}:{os.environ['PATH']}", "HOSTNAME": "test",
                 "MERIDIAN_TARGET": self.addresses["meridian-node"]["data"]}).returncode, 0)


def main():
    work = pathlib.Path(sys.argv.pop(1)).resolve()
    work.mkdir(parents=True, exist_ok=True)
    binaries = pathlib.Path(os.environ.get("MERIDIAN_BIN_DIR", "")).resolve()
    if not (binaries / "meridian-node").exists():
        print("SKIPPED: MERIDIAN_BIN_DIR names no folder with the programs")
        return 77
    for case in (ProgramsTest, ImageTest, ReleaseTest):
        case.work, case.binaries = work, binaries
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
