#!/usr/bin/env python3
"""What real programs export is what docs/metrics.md lists, and all that dashboards and alerts ask for.

  tests/repo/exported_metrics_test.py WORK_DIR

The programs come from MERIDIAN_BIN_DIR. Exit codes: 0 passed, 1 failed, 77 skipped: no python3-yaml.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import k8s_dashboards_test as dashboards_test  # noqa: E402  It ends with 77 when there is no yaml.
import k8s_settings as settings  # noqa: E402
import yaml  # noqa: E402

ROOT = dashboards_test.ROOT
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
SERIES = re.compile(r"^([a-z_0-9]+?)(?:_bucket|_sum|_count)?\{(.*)\} ", re.MULTILINE)
# Parts that export nothing until they are asked for; those that the programs have.
SWITCHED_ON = {"node": ["--mirror-max-bytes=1MiB"],
               "coordinator": ["--alert-webhook=http://127.0.0.1:9/",
                               f"--warm-file={ROOT / 'config' / 'warming.yaml'}"]}
# Made by Prometheus itself, of what it scrapes.
OF_PROMETHEUS = {"up"}


class ExportedMetricsTest(unittest.TestCase):
    maxDiff = None
    work = None

    @classmethod
    def setUpClass(cls):
        binaries = pathlib.Path(os.environ["MERIDIAN_BIN_DIR"])
        folder = cls.work / "cluster"
        shutil.rmtree(folder, ignore_errors=True)

        def local_cluster(*words):
            subprocess.run([ROOT / "scripts" / "local-cluster", "--dir", folder, *words],
                           check=True, stdin=subprocess.DEVNULL)

        flags = []
        for program, wanted in SWITCHED_ON.items():
            known = subprocess.run([binaries / f"meridian-{program}", "--help"], check=True, text=True,
                                   stdin=subprocess.DEVNULL, capture_output=True).stdout
            flags += [f"--{program}-flag={flag}" for flag in wanted
                      if flag.partition("=")[0] in known]
        local_cluster("up", "--regions", "us,eu", "--nodes", "1", "--origin", "--brief", *flags)
        cls.addClassCleanup(local_cluster, "down")
        described = json.loads((folder / "cluster.json").read_text())
        us = described["regions"]["us"]
        subprocess.run([binaries / "meridian-example-load", "--origin",
                        described["origin"]["origin"], "--target", us["nodes"][0]["data"],
                        "--requests", "500"], check=True, stdin=subprocess.DEVNULL)
        cls.texts = []
        for part in (us["nodes"][0], us["coordinators"][0]):
            with urllib.request.urlopen(f"http://{part['http']}/metrics", timeout=10) as reply:
                cls.texts.append(reply.read().decode())
        cls.exported = {name: kind for text in cls.texts for name, kind in TYPE.findall(text)}

    def test_the_document_lists_exactly_what_is_exported(self):
        documented = {name: kind for name, (kind, _) in dashboards_test.METRICS.items()}
        self.assertEqual(self.exported, documented)

    def test_no_series_has_a_label_that_the_document_does_not_name(self):
        seen = 0
        for name, labels in (pair for text in self.texts for pair in SERIES.findall(text)):
            if name not in dashboards_test.METRICS:
                continue
            seen += 1
            for label in re.findall(r'(\w+)="', labels):
                self.assertIn(label, dashboards_test.METRICS[name][1] | {"le"}, name)
        self.assertGreater(seen, 300)

    def test_all_that_is_asked_for_is_exported(self):
        rules = yaml.safe_load((ROOT / "k8s/chart/meridian/files/alerts.yaml").read_text())["groups"]
        queries = [rule["expr"] for group in rules for rule in group["rules"]]
        queries += [query for dashboard in dashboards_test.dashboards().values()
                    for _, query, _ in dashboards_test.panel_queries(dashboard)]
        queries += [query for _, query in dashboards_test.document_queries()]
        asked = {name for query in queries for name in settings.METRIC.findall(query)}
        asked -= settings.GIVEN_LABELS
        self.assertGreater(len(asked), 80)
        missing = {name for name in asked if name not in self.exported and
                   re.sub("_(bucket|sum|count)$", "", name) not in self.exported}
        self.assertEqual(missing - OF_PROMETHEUS, set())


def main():
    ExportedMetricsTest.work = pathlib.Path(sys.argv.pop(1)).resolve()
    ExportedMetricsTest.work.mkdir(parents=True, exist_ok=True)
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
