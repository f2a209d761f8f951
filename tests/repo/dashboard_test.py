#!/usr/bin/env python3
"""The dashboard page in a real browser, before a real cluster under load: tests/browser.

  tests/repo/dashboard_test.py WORK_DIR

Needs Node, Chromium and playwright-core (scripts/setup --browser). The programs come from
MERIDIAN_BIN_DIR. With MERIDIAN_SCREENSHOTS=DIR the pictures of the documents are written there, else
into WORK_DIR. Exit codes: 0 passed, 1 failed, 77 skipped: something is not here.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import page_test  # noqa: E402

REGIONS = ["us", "eu"]
BROWSER_FILES = ROOT / "build" / "browser"


def missing():
    """What the browser needs and is not here, or None."""
    if shutil.which("chromium") is None:
        return "Chromium is not installed"
    if not (BROWSER_FILES / "node_modules" / "playwright-core" / "package.json").exists():
        return "playwright-core is not installed"
    return None


class Cluster:
    """Two regions of three nodes, and a load on them, for the time of a `with`."""

    def __init__(self, folder):
        self.folder = folder

    def script(self, *words):
        subprocess.run([ROOT / "scripts" / "local-cluster", "--dir", self.folder, *words],
                       check=True, stdin=subprocess.DEVNULL)

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.script("up", "--regions", ",".join(REGIONS), "--nodes", "3", "--brief")
        self.regions = json.loads((self.folder / "cluster.json").read_text())["regions"]
        targets = []
        for name, region in self.regions.items():
            # Not at the node that the test kills.
            targets += ["--target", f"{name}={region['nodes'][0]['data']}"]
        self.load = subprocess.Popen(
            [pathlib.Path(os.environ["MERIDIAN_BIN_DIR"]) / "meridian-region-load", *targets,
             "--writes", "40", "--reads", "300", "--keys", "400"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.load.stdin.close()  # Its end.
        try:
            self.load.wait(10)
        except subprocess.TimeoutExpired:
            self.load.kill()
        self.script("down")


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
    with Cluster(work / "cluster") as cluster:
        region = cluster.regions[REGIONS[0]]
        return page_test.run_tests(
            node, [ROOT / "tests" / "browser" / "dashboard_test.js"],
            {**os.environ, "BROWSER_FILES": str(BROWSER_FILES), "WORK": str(work),
             "CLUSTER": str(cluster.folder), "LOCAL_CLUSTER": str(ROOT / "scripts" / "local-cluster"),
             "COORDINATOR": region["coordinators"][0]["http"],
             "COORDINATOR_NAME": region["coordinators"][0]["name"],
             "NODES": ",".join(one["http"] for one in region["nodes"]),
             "VICTIM": region["nodes"][2]["name"]})


if __name__ == "__main__":
    sys.exit(main())
