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
import ssl
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "repo"))

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(77)

import grpc_health  # noqa: E402
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


class Secret:
    """A mounted Secret for TLS, as the kubelet keeps it: links to what ..data leads to, which a renewal
    replaces. Its files come from the commands that the chart's README gives."""

    def __init__(self, folder):
        self.folder, self.made = folder, folder.with_name("made")
        for path in (folder, self.made):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        text = (ROOT / "k8s" / "chart" / "meridian" / "README.md").read_text()
        self.commands = next(block.partition("```")[0] for block in text.split("```sh\n")[1:]
                             if block.startswith("openssl"))
        self.update(self.commands)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (folder / name).symlink_to(f"..data/{name}")

    def update(self, commands):
        subprocess.run(["sh", "-ec", commands], check=True, cwd=self.made, stdin=subprocess.DEVNULL,
                       capture_output=True)
        version = self.folder / f"..{time.monotonic_ns()}"
        version.mkdir()
        for name in ("tls.crt", "tls.key", "ca.crt"):
            shutil.copy(self.made / name, version)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")

    def renew(self):
        """Another key and certificate of the same authority."""
        _, first, rest = self.commands.partition("openssl req -newkey")
        self.update(first + rest)

    def serial(self, address, name):
        """Of the certificate that a port shows; None: there is none yet."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "ca.crt")
        context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        context.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=5) as plain:
                with context.wrap_socket(plain, server_hostname=name) as connection:
                    return connection.getpeercert()["serialNumber"]
        except OSError:
            return None


class Pod:
    """A container of a manifest as a command of this machine."""

    secrets = {}  # Folder of a release -> what all of its pods mount.

    def __init__(self, folder, objects, found, name, address="127.0.0.1"):
        _, spec, container, self.program = found
        self.grace = spec["terminationGracePeriodSeconds"]
        self.container = container
        self.variables = environment(objects, container,
                                     {"metadata.name": name, "status.podIP": address})
        if "MERIDIAN_TLS_CERT" in self.variables:
            self.secret = self.secrets.get(folder) or Secret(folder / "tls")
            self.secrets[folder] = self.secret
            self.variables = {name: text.replace("/etc/meridian/tls", str(self.secret.folder))
                              for name, text in self.variables.items()}
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

    def test_a_certificate_that_is_of_no_use_would_be_refused(self):
        for pod in self.pods(ROOT / "k8s" / "manifests" / "production.yaml"):
            pod.variables["MERIDIAN_TLS_KEY"] = pod.variables["MERIDIAN_TLS_CA"]
            result = self.run_pod(pod, "--check-config")
            self.assertEqual(result.returncode, 2)
            self.assertIn("TLS: the key", result.stderr)

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


def wait_for(what, condition, seconds=READY_SECONDS):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


LISTENS = {"meridian-coordinator": {"grpc": "grpc-address", "http": "http-address"},
           "meridian-node": {"data": "data-address", "peer": "peer-address",
                             "admin": "admin-address", "http": "http-address"}}
TEST = load(ROOT / "k8s" / "manifests" / "test-pod.yaml")[0]["spec"]["containers"][0]


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server")
class ReleaseTest(unittest.TestCase):
    """Pods of a manifest as processes: they become ready, work, end in time and come back."""

    work = pathlib.Path()
    binaries = pathlib.Path()

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.pods, self.processes, self.addresses = {}, {}, {}
        self.redis = free_port()
        self.start("redis", ["redis-server", "--port", str(self.redis), "--bind", "127.0.0.1",
                             "--save", "", "--dir", str(self.work)], os.environ)
        wait_for("redis", lambda: answers(self.redis))

    def start(self, name, words, variables):
        log = self.stack.enter_context(open(self.work / f"{name}.log", "a"))
        process = subprocess.Popen(words, env=variables, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def end_of_log(self, name):
        return (self.work / f"{name}.log").read_text()[-2000:]

    def launch(self, manifest, program, index):
        """A pod; another one of that name must have ended. It gets new ports, as pods get new
        addresses."""
        objects = load(ROOT / "k8s" / "manifests" / f"{manifest}.yaml")
        found = {entry[3]: entry for entry in settings.our_containers(objects)}[program]
        name = f"{program}-{index}"
        pod = Pod(self.work / "release", objects, found, name)
        pod.variables["MERIDIAN_REDIS"] = f"redis://127.0.0.1:{self.redis}"
        ready = self.work / f"{name}.ready"
        ready.unlink(missing_ok=True)
        words = [word for word in pod.words if not word.startswith("--advertise-address")]
        words += [f"--{flag}=0.0.0.0:0" for flag in LISTENS[program].values()]
        words += [f"--ready-file={ready}"]
        if program == "meridian-node":
            words += [f"--coordinators={addresses['grpc']}"
                      for other, addresses in self.addresses.items() if "coordinator" in other]
        else:
            # It must tell others its port before it has one.
            port = free_port()
            words += [f"--grpc-address=0.0.0.0:{port}", f"--advertise-address=127.0.0.1:{port}"]
            words.remove("--grpc-address=0.0.0.0:0")
        health = None
        if "MERIDIAN_TLS_CERT" in pod.variables:
            health = f"127.0.0.1:{free_port()}"
            words += [f"--health-address={health}"]
        process = self.start(name, [str(self.binaries / program), *words], pod.environment())
        wait_for(name, lambda: ready.exists() or process.poll() is not None)
        self.assertIsNone(process.poll(), f"{name} ended:\n{self.end_of_log(name)}")
        self.addresses[name] = json.loads(ready.read_text().replace("0.0.0.0", "127.0.0.1"))
        if health is not None:
            self.addresses[name]["health"] = health
        self.pods[name], self.processes[name] = pod, process

    def probe(self, name, kind):
        """As the kubelet: in plaintext, at the port that the manifest says."""
        probe = self.pods[name].container[kind]["grpc"]
        port = {7400: "data", 7410: "grpc", 7404: "health", 7411: "health"}[probe["port"]]
        return grpc_health.serving(self.addresses[name][port], probe.get("service", ""))

    def wait_until_ready(self, *names):
        for name in names or self.pods:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                wait_for(f"{kind} of {name}", lambda: self.probe(name, kind))

    def end(self, name):
        """SIGTERM, as the kubelet sends it: it ends by itself within the grace period."""
        self.processes[name].send_signal(signal.SIGTERM)
        self.assertEqual(self.processes[name].wait(timeout=self.pods[name].grace), 0, name)

    def run_test_pod(self, node, tls=True):
        secret = {name: text for name, text in self.pods[node].variables.items() if "_TLS_" in name}
        return subprocess.run(
            [*TEST["command"], *TEST["args"]], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, env={"PATH": f"{self.binaries}:{os.environ['PATH']}", "HOSTNAME": "test",
                            "MERIDIAN_TARGET": self.addresses[node]["data"],
                            **(secret if tls else {})})

    def check_works(self, node):
        result = self.run_test_pod(node)
        self.assertEqual((result.returncode, result.stdout), (0, "passed\n"), result.stderr)

    def health(self):
        return [subprocess.run([ROOT / "k8s" / "docker" / "health",
                                addresses["http"].rpartition(":")[2]], timeout=20,
                               stdin=subprocess.DEVNULL, capture_output=True).returncode
                for addresses in self.addresses.values()]

    def slots(self, node):
        """Node -> how many slots it has, as `node` knows it."""
        result = subprocess.run([self.binaries / "meridianctl", "ring", "--json", "--target",
                                 self.addresses[node]["data"]], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True)
        members = json.loads(result.stdout or "{}").get("members", [])
        return {entry["member"]["id"]: entry.get("slots", 0) for entry in members}

    def test_minimal_becomes_ready_works_and_ends_in_time(self):
        self.launch("minimal", "meridian-coordinator", 0)
        self.launch("minimal", "meridian-node", 0)
        self.wait_until_ready()
        self.assertEqual(self.health(), [0, 0])
        self.check_works("meridian-node-0")
        self.end("meridian-node-0")
        self.end("meridian-coordinator-0")
        self.assertEqual(self.health(), [1, 1])
        self.assertNotEqual(self.run_test_pod("meridian-node-0").returncode, 0)

    def tls_ports(self):
        return [(f"{name}, {port}", address) for name, ports in self.addresses.items()
                for port, address in ports.items() if port in ("grpc", "data", "peer", "admin")]

    def check_renewal(self):
        """Every port shows the new certificate; no program starts again."""
        variables, secret = self.pods["meridian-node-0"].variables, self.pods["meridian-node-0"].secret
        host = variables["MERIDIAN_TLS_SERVER_NAME"]
        old = {name: secret.serial(address, host) for name, address in self.tls_ports()}
        self.assertEqual((len(old), len(set(old.values()))), (7, 1))
        self.assertNotIn(None, old.values())
        secret.renew()
        for name, address in self.tls_ports():
            wait_for(f"a new certificate at {name}",
                     lambda: secret.serial(address, host) not in (None, old[name]))

    def test_production_speaks_tls_and_probes_need_none(self):
        nodes = ["meridian-node-0", "meridian-node-1"]
        self.launch("production", "meridian-coordinator", 0)
        for index in range(2):
            self.launch("production", "meridian-node", index)
        self.wait_until_ready()
        self.assertEqual(self.health(), [0, 0, 0])
        for node in nodes:
            self.check_works(node)
            self.assertNotEqual(self.run_test_pod(node, tls=False).returncode, 0)
        for name, address in self.tls_ports():
            self.assertFalse(grpc_health.serving(address), f"plaintext at {name}")
        self.check_renewal()
        for node in nodes:
            self.check_works(node)
        self.end(nodes[1])
        wait_for("what the other one had", lambda: self.run_test_pod(nodes[0]).returncode == 0)

    def test_default_rolls_one_node_after_the_other(self):
        nodes = [f"meridian-node-{index}" for index in range(3)]
        for index in range(2):
            self.launch("default", "meridian-coordinator", index)
        for index in range(3):
            self.launch("default", "meridian-node", index)
        self.wait_until_ready()
        wait_for("three nodes with slots", lambda: all(
            self.slots(nodes[0]).get(name, 0) > 300 for name in nodes))
        for index in (2, 1, 0):  # As a StatefulSet is updated.
            name, other = nodes[index], nodes[(index + 1) % 3]
            self.end(name)
            # What it owned is given away before it ends; `other` may hear of it a moment later.
            wait_for(f"no slots of {name}", lambda: self.slots(other).get(name, 0) == 0, seconds=1)
            self.check_works(other)
            self.launch("default", "meridian-node", index)
            self.wait_until_ready(name)
            wait_for(f"slots of {name}", lambda: self.slots(other).get(name, 0) > 300)
            self.check_works(name)
        self.end("meridian-coordinator-0")
        self.check_works(nodes[0])
        self.wait_until_ready("meridian-coordinator-1", *nodes)


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
