#!/usr/bin/env python3
"""scripts/local-cluster with real programs: it starts, restarts and leaves nothing behind.

  tests/repo/local_cluster_test.py WORK_DIR

The programs come from MERIDIAN_BIN_DIR. Exit codes: 0 passed, 1 failed.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import processes  # noqa: E402

SCRIPT = ROOT / "scripts" / "local-cluster"
UP = ["up", "--regions", "us,eu", "--nodes", "1", "--brief"]


class LocalClusterTest(unittest.TestCase):
    work = None

    def setUp(self):
        self.folder = self.work / self._testMethodName
        shutil.rmtree(self.folder, ignore_errors=True)
        self.addCleanup(self.run_script, "down")

    def run_script(self, *words):
        return subprocess.run([SCRIPT, "--dir", self.folder, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def succeed(self, *words):
        result = self.run_script(*words)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def regions(self):
        return json.loads((self.folder / "cluster.json").read_text())["regions"]

    def recorded(self):
        """Every process that the script knows of."""
        state = json.loads((self.folder / "state.json").read_text())
        return [processes.Process(**part["process"]) for part in state["parts"]]

    def test_up_serves_and_down_leaves_nothing(self):
        self.succeed(*UP)
        self.assertEqual(set(self.regions()), {"us", "eu"})
        started = self.recorded()
        self.assertEqual(len(started), 6)
        self.succeed("status")
        self.assertIn("already runs", self.run_script(*UP).stderr)
        us = self.regions()["us"]
        said = subprocess.run(["bash", "-c", f'eval "$({SCRIPT} env)" && echo $US $US_NODE_1_ADMIN '
                               "$US_COORDINATOR_HTTP $EU && meridianctl status --region us"],
                              env={**os.environ, "MERIDIAN_CLUSTER": f"{self.folder}/cluster.json"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        self.assertEqual(said.stdout.splitlines()[0].split(), [
            us["nodes"][0]["data"], us["nodes"][0]["admin"], us["coordinators"][0]["http"],
            self.regions()["eu"]["nodes"][0]["data"]])
        self.succeed("down")
        self.assertEqual({process.state() for process in started}, {"dead"})
        self.assertFalse((self.folder / "cluster.json").exists())
        for command in ("status", "env"):
            self.assertEqual(self.run_script(command).returncode, 1)

    def test_what_was_killed_starts_again_where_it_was(self):
        self.succeed(*UP)
        before = self.regions()["us"]
        for name in ("us-node-1", "us-coordinator-1", "us-redis"):
            self.succeed("kill", name)
            self.assertEqual(self.run_script("status").returncode, 1)
            self.succeed("start", name)
        after = self.regions()["us"]
        self.assertEqual(after["redis"]["port"], before["redis"]["port"])
        for kind in ("nodes", "coordinators"):
            self.assertNotEqual(after[kind][0].pop("pid"), before[kind][0].pop("pid"))
            self.assertEqual(after[kind], before[kind])

    def test_a_killed_process_has_no_pid(self):
        self.succeed(*UP)
        self.succeed("kill", "eu-node-1")
        self.assertEqual(self.regions()["eu"]["nodes"][0]["pid"], 0)
        self.assertEqual(self.run_script("kill", "eu-node-1").returncode, 1)

    def test_a_stopped_process_goes_on(self):
        self.succeed(*UP)
        self.assertIn("running -> stopped", self.succeed("stop", "eu-node-1"))
        self.assertIn("stopped -> running", self.succeed("cont", "eu-node-1"))

    def expect_values_cross(self):
        """What is written in one region is read in the other."""
        ctl = pathlib.Path(os.environ["MERIDIAN_BIN_DIR"]) / "meridianctl"
        target = {name: region["nodes"][0]["data"] for name, region in self.regions().items()}
        deadline = time.monotonic() + 20
        for writer, reader in (("us", "eu"), ("eu", "us")):
            key = f"{writer}:{time.monotonic_ns()}"
            subprocess.run([ctl, "set", "task", key, "v", "--target", target[writer]],
                           check=True, capture_output=True)
            while subprocess.run([ctl, "get", "task", key, "--target", target[reader]],
                                 capture_output=True).returncode:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(processes.POLL_SECONDS)

    def test_redis_has_the_shape_that_is_asked_for(self):
        for tls in ((), ("--redis-tls",)):
            self.succeed(*UP, "--redis", "us=cluster,eu=sentinel", *tls)
            self.succeed("status")
            self.expect_values_cross()
            names = {server["name"] for region in self.regions().values()
                     for server in region["redis_servers"]}
            self.assertEqual(names, {"us-redis-1", "us-redis-2", "us-redis-3", "eu-redis-1",
                                     "eu-redis-2", "eu-sentinel-1", "eu-sentinel-2",
                                     "eu-sentinel-3"})
            self.succeed("kill", "eu-sentinel-1")
            self.succeed("start", "eu-sentinel-1")
            self.succeed("down")

    def test_a_standalone_redis_with_tls_goes_through_proxies_too(self):
        self.succeed(*UP, "--redis-tls", "--fault-proxies", "links,redis")
        self.expect_values_cross()

    def test_every_server_of_a_cluster_and_of_sentinels_has_a_proxy_for_each_region(self):
        self.cut_and_heal_every_server()

    def test_so_has_every_such_server_with_tls(self):
        self.cut_and_heal_every_server("--redis-tls")

    def cut_and_heal_every_server(self, *tls):
        self.succeed(*UP, "--redis", "us=cluster,eu=sentinel", "--fault-proxies", "links,redis",
                     *tls)
        self.expect_values_cross()
        self.assertEqual(set(self.faults()), {
            *(f"{before}us-redis-{i}-proxy" for before in ("", "eu-to-") for i in (1, 2, 3)),
            *(f"{before}eu-redis-{i}-proxy" for before in ("", "us-to-") for i in (1, 2)),
            *(f"{before}eu-sentinel-{i}-proxy" for before in ("", "us-to-") for i in (1, 2, 3))})
        self.succeed("cut", "eu")
        cut = {name for name, faults in self.faults().items() if faults == "cut=on"}
        self.assertEqual(cut, {name for name in self.faults() if "-to-" in name})
        self.succeed("heal", "eu")
        self.expect_values_cross()

    def faults(self):
        """By proxy, as `status` shows them."""
        rows = json.loads(self.succeed("status", "--json"))["processes"]
        return {row["name"]: row["faults"] for row in rows if row["kind"] == "proxy"}

    def test_a_region_is_cut_off_by_its_links_and_healed(self):
        self.succeed("up", "--regions", "us,eu,asia", "--nodes", "1", "--brief", "--wan-delay",
                     "us-eu=5ms,asia-us=7ms")
        links = {"us-to-eu-proxy": "delay=5ms", "eu-to-us-proxy": "delay=5ms",
                 "us-to-asia-proxy": "delay=7ms", "asia-to-us-proxy": "delay=7ms",
                 "eu-to-asia-proxy": "", "asia-to-eu-proxy": ""}
        self.assertEqual(self.faults(), links)
        self.assertIn("delay=5ms", self.succeed("status"))
        self.succeed("cut", "eu")
        cut = {name for name, faults in self.faults().items() if "cut=on" in faults}
        self.assertEqual(cut, {name for name in links if "eu" in name})
        self.assertIn("eu is cut off", self.succeed("status"))
        self.succeed("cut", "us")
        self.succeed("heal", "eu")
        cut = {name for name, faults in self.faults().items() if "cut=on" in faults}
        self.assertEqual(cut, {name for name in links if "us" in name})
        self.succeed("kill", "us-to-eu-proxy")
        self.succeed("start", "us-to-eu-proxy")
        self.assertEqual(self.faults()["us-to-eu-proxy"], "delay=5ms cut=on", "it forgot")
        self.succeed("heal", "us")
        self.assertEqual(self.faults(), links)
        self.assertIn("already", self.succeed("heal", "us"))
        self.assertIn("no region is called mars", self.run_script("cut", "mars").stderr)

    def test_a_proxy_before_redis_does_what_it_is_told(self):
        self.succeed(*UP, "--fault-proxies", "redis")
        self.assertEqual(self.faults(), {"us-redis-proxy": "", "eu-redis-proxy": ""})
        self.assertIn("down.delay=20ms",
                      self.succeed("fault", "us-redis-proxy", "down.delay=20ms"))
        self.assertEqual(self.faults()["us-redis-proxy"], "down.delay=20ms")
        proxies = json.loads((self.folder / "cluster.json").read_text())["proxies"]
        self.assertEqual([(one["from"], one["to"]) for one in proxies], [("us", "us"), ("eu", "eu")])
        for said, *words in (("loss=1", "us-redis-proxy", "loss=1"),
                             ("no fault proxy", "us-node-1", "clear"), ("nobody", "nobody", "clear")):
            result = self.run_script("fault", *words)
            self.assertEqual(result.returncode, 1)
            self.assertIn(said, result.stderr)
        self.assertIn("--fault-proxies links", self.run_script("cut", "us").stderr)

    def start_and_send(self, number):
        """Starts a cluster and sends a signal to the script when the first process runs."""
        script = subprocess.Popen([SCRIPT, "--dir", self.folder, *UP], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (self.folder / "state.json").exists() or not self.recorded():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(processes.POLL_SECONDS)
        started = self.recorded()
        script.send_signal(number)
        return script.wait(), started

    def test_an_interrupted_start_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            code, started = self.start_and_send(number)
            self.assertEqual(code, 130)
            self.assertEqual({process.state() for process in started}, {"dead"})

    def test_a_killed_start_is_cleaned_up_by_the_next(self):
        _, started = self.start_and_send(signal.SIGKILL)
        self.succeed(*UP)
        self.assertEqual({process.state() for process in started}, {"dead"})
        self.succeed("status")

    def test_a_program_that_refuses_to_start_is_shown(self):
        result = self.run_script(*UP, "--l1-max-bytes", "nonsense")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nonsense", result.stderr)
        self.assertFalse((self.folder / "state.json").exists())


def main():
    LocalClusterTest.work = pathlib.Path(sys.argv.pop(1)).resolve()
    LocalClusterTest.work.mkdir(parents=True, exist_ok=True)
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
