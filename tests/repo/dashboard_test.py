#!/usr/bin/env python3
"""The dashboard page in a real browser, before a real cluster under load, and before the one that
`scripts/demo --keep` leaves: tests/browser.

  tests/repo/dashboard_test.py WORK_DIR

Needs Node, Chromium and playwright-core (scripts/setup --browser). The programs come from
MERIDIAN_BIN_DIR. With MERIDIAN_SCREENSHOTS=DIR the pictures of the documents are written there, else
into WORK_DIR. Exit codes: 0 passed, 1 failed, 77 skipped: something is not here.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import page_test  # noqa: E402

REGIONS = ["us", "eu"]
# A namespace whose values die before they are asked for again. Nobody reads it but one test.
BAD_POLICIES = "namespaces: {session: {ttl: 1s, ttl_jitter: 0, goals: {hit_rate: 0.8}}}\n"
BINARIES = pathlib.Path(os.environ["MERIDIAN_BIN_DIR"])
LOCAL_CLUSTER = ROOT / "scripts" / "local-cluster"
BROWSER_FILES = ROOT / "build" / "browser"
BROWSER_TESTS = ROOT / "tests" / "browser"


def missing():
    """What the browser needs and is not here, or None."""
    if shutil.which("chromium") is None:
        return "Chromium is not installed"
    if not (BROWSER_FILES / "node_modules" / "playwright-core" / "package.json").exists():
        return "playwright-core is not installed"
    return None


def regions_of(folder):
    return json.loads((folder / "cluster.json").read_text())["regions"]


class Cluster:
    """Two regions of three nodes, and a load on them, for the time of a `with`."""

    def __init__(self, folder):
        self.folder = folder
        self.policies = folder.with_suffix(".policies.yaml")

    def script(self, *words):
        subprocess.run([LOCAL_CLUSTER, "--dir", self.folder, *words], check=True,
                       stdin=subprocess.DEVNULL)

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.policies.write_text(BAD_POLICIES)
        self.script("up", "--regions", ",".join(REGIONS), "--nodes", "3", "--brief",
                    f"--node-flag=--policies={self.policies}", "--node-flag=--policies-poll=200ms")
        self.regions = regions_of(self.folder)
        targets = []
        for name, region in self.regions.items():
            # Not at the node that the test kills.
            targets += ["--target", f"{name}={region['nodes'][0]['data']}"]
        self.load = subprocess.Popen(
            [BINARIES / "meridian-region-load", *targets, "--writes", "40", "--reads", "300",
             "--keys", "400"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.load.stdin.close()  # Its end.
        try:
            self.load.wait(10)
        except subprocess.TimeoutExpired:
            self.load.kill()
        self.script("down")


class DemoCluster:
    """What `scripts/demo --keep` leaves. It says where, and what makes it move."""

    def __enter__(self):
        self.output = subprocess.run(
            [ROOT / "scripts" / "demo", "--keep", "--bin", BINARIES, "--requests", "30000",
             "--regions", ",".join(REGIONS)],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
        self.folder = pathlib.Path(self.said("scripts/local-cluster down --dir (.*)"))
        return self

    def said(self, line):
        """The group of `line`, a pattern, in one of the lines at the end of what the demo says."""
        return re.search(f"^  {line}$", self.output, re.MULTILINE).group(1)

    def __exit__(self, *_):
        subprocess.run([LOCAL_CLUSTER, "down", "--dir", self.folder], check=True,
                       stdin=subprocess.DEVNULL)
        shutil.rmtree(self.folder)


def environment(work, folder, **more):
    """What tests/browser/browser.js needs of the cluster in `folder`."""
    nodes = regions_of(folder)[REGIONS[0]]["nodes"]
    return {**os.environ, "BROWSER_FILES": str(BROWSER_FILES), "WORK": str(work),
            "CLUSTER": str(folder), "LOCAL_CLUSTER": str(LOCAL_CLUSTER),
            "NODES": ",".join(one["http"] for one in nodes), **more}


def test_cluster(node, work):
    with Cluster(work / "cluster") as cluster:
        region = cluster.regions[REGIONS[0]]
        known = environment(
            work, cluster.folder, COORDINATOR=region["coordinators"][0]["http"],
            COORDINATOR_NAME=region["coordinators"][0]["name"],
            REGION=REGIONS[0],
            REDIS=f"{REGIONS[0]}-redis",
            REDIS_URL=f"redis://127.0.0.1:{region['redis']['port']}",
            VICTIM=region["nodes"][2]["name"],
            TARGETS=",".join(one["data"] for one in region["nodes"]),
            POLICIES=str(cluster.policies))
        # One after the other: a browser needs a core.
        return any([page_test.run_tests(node, [BROWSER_TESTS / name], known)
                    for name in ("dashboard_test.js", "diagnosis_test.js")])


def test_demo(node, work):
    with DemoCluster() as demo:
        return page_test.run_tests(
            node, [BROWSER_TESTS / "demo_test.js"],
            environment(work, demo.folder, COORDINATOR=demo.said("http://(.*)/"),
                        TRAFFIC=demo.said("(.* replay .*)")))


def main():
    work = pathlib.Path(sys.argv[1]).resolve()
    node = page_test.find_node()
    if node is None:
        return 77
    reason = missing()
    if reason:
        print(f"SKIPPED: {reason}; scripts/setup --browser installs what the browser test needs")
        return 77
    work.mkdir(parents=True, exist_ok=True)
    return 1 if any([test_cluster(node, work), test_demo(node, work)]) else 0


if __name__ == "__main__":
    sys.exit(main())
