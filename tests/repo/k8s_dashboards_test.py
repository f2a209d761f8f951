#!/usr/bin/env python3
"""Grafana's dashboards, and the queries of docs/metrics.md: of metrics and labels that exist.

They are what k8s/dashboards makes; promtool (see k8s_alerts_test.py) parses every query where it is.
That the programs export these metrics: exported_metrics_test.py.
Exit codes: 0 passed, 1 failed, 77 skipped: no python3-yaml here.
"""

import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import k8s_alerts_test  # noqa: E402  It ends with 77 when there is no yaml.
import k8s_settings as settings  # noqa: E402
import yaml  # noqa: E402
from source_tree import load_script  # noqa: E402

ROOT = k8s_alerts_test.ROOT
MAKER = load_script(ROOT / "k8s" / "dashboards")
METRICS = settings.read_metrics(ROOT)
QUERY = re.compile(r"^```promql\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLES = {"$__rate_interval": "5m", "$region": ".*", "$instance": ".*"}


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(MAKER.FOLDER.glob("*.json"))}


def document_queries():
    """(what, query) of docs/metrics.md: one a paragraph, behind its comment."""
    for block in QUERY.findall((ROOT / "docs" / "metrics.md").read_text()):
        for part in block.strip().split("\n\n"):
            lines = part.splitlines()
            yield lines[0].lstrip("# "), "\n".join(line for line in lines if line[0] != "#")


def panel_queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{dashboard['title']}: {panel['title']}", target["expr"], target["legendFormat"]


def findings(dashboard):
    """What is wrong with a dashboard."""
    title = dashboard["title"]
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    text = json.dumps(dashboard)
    for name in set(re.findall(r"\$\{?([a-z]+)\b", text)) - defined:
        yield f"{title}: no variable {name}"
    for name in defined - set(re.findall(r"\$\{?([a-z]+)\b", text)):
        yield f"{title}: nothing uses the variable {name}"
    places = set()
    for panel in dashboard["panels"]:
        where = f"{title}: {panel['title']}"
        if not panel["description"] or not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{where}: no description or no unit"
        grid = panel["gridPos"]
        if grid["x"] + grid["w"] > 24:
            yield f"{where}: is beyond the edge"
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"])
                 for y in range(grid["y"], grid["y"] + grid["h"])}
        if cells & places:
            yield f"{where}: covers another panel"
        places |= cells
    for what in ("id", "title"):
        seen = [panel[what] for panel in dashboard["panels"]]
        for value in {one for one in seen if seen.count(one) > 1}:
            yield f"{title}: the {what} {value} is there twice"
    for where, query, legend in panel_queries(dashboard):
        if "meridian_region" not in query:
            yield f"{where}: shows regions that are not chosen"
        yield from settings.check_expression(where, query, METRICS,
                                             re.findall(r"{{(\w+)}}", legend))


BROKEN = {
    "metric": (lambda d: query_of(d).update(expr='meridian_none{meridian_region=""}'),
               "no metric meridian_none"),
    "bare histogram": (lambda d: query_of(d).update(
        expr='meridian_replication_lag_seconds{meridian_region=""}'), "there is no metric"),
    "label": (lambda d: query_of(d).update(
        expr='sum by (slot) (meridian_l1_bytes{meridian_region=""})'), "has a label slot"),
    "matcher": (lambda d: query_of(d).update(
        expr='meridian_l1_bytes{slot="1",meridian_region=""}'), "no label slot"),
    "legend": (lambda d: query_of(d).update(legendFormat="{{slot}}"), "has a label slot"),
    "regions": (lambda d: query_of(d).update(expr="meridian_l1_bytes"), "not chosen"),
    "variable": (lambda d: query_of(d).update(
        expr='meridian_l1_bytes{meridian_region=~"$regions"}'), "no variable regions"),
    "unused": (lambda d: d["templating"]["list"].append({"name": "pod"}), "uses the variable pod"),
    "unit": (lambda d: d["panels"][1]["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    "covered": (lambda d: d["panels"][1]["gridPos"].update(x=0), "covers another"),
    "edge": (lambda d: d["panels"][1]["gridPos"].update(x=23), "beyond the edge"),
    "twice": (lambda d: d["panels"][1].update(id=1), "the id 1 is there twice"),
}


def query_of(dashboard):
    return dashboard["panels"][0]["targets"][0]


class DashboardsTest(unittest.TestCase):
    def test_they_are_what_the_script_makes(self):
        with tempfile.TemporaryDirectory() as name:
            subprocess.run([ROOT / "k8s" / "dashboards", name], check=True)
            made = {path.name: path.read_text() for path in pathlib.Path(name).iterdir()}
        kept = {path.name: path.read_text() for path in MAKER.FOLDER.iterdir()}
        self.assertEqual(made, kept, "k8s/dashboards makes them anew")

    def test_they_keep_the_rules(self):
        found = dashboards()
        self.assertEqual(set(found), {"overview", "node", "redis", "replication", "warming"})
        for name, dashboard in found.items():
            with self.subTest(dashboard=name):
                self.assertEqual(dashboard["uid"], f"meridian-{name}")
                self.assertEqual(list(findings(dashboard)), [])

    def test_each_rule_finds_what_it_is_for(self):
        good = dashboards()["overview"]
        for name, (breaks, says) in BROKEN.items():
            with self.subTest(broken=name):
                dashboard = copy.deepcopy(good)
                breaks(dashboard)
                self.assertIn(says, "\n".join(findings(dashboard)))

    def test_the_manifest_has_them(self):
        text = (ROOT / "k8s" / "manifests" / "production.yaml").read_text()
        maps = [item for item in yaml.safe_load_all(text) if item and item["metadata"].get(
            "labels", {}).get("grafana_dashboard") == "1"]
        self.assertEqual({name: json.loads(value) for item in maps
                          for name, value in item["data"].items()},
                         {f"{name}.json": value for name, value in dashboards().items()})


class QueriesTest(unittest.TestCase):
    def test_0_22_0_24_those_of_the_document_use_what_exists(self):
        queries = list(document_queries())
        self.assertGreaterEqual(len(queries), 10)
        for what, query in queries:
            with self.subTest(query=what):
                self.assertEqual(list(settings.check_expression(what, query, METRICS)), [])

    def all_queries(self):
        return [query for dashboard in dashboards().values()
                for _, query, _ in panel_queries(dashboard)] + [
                    query for _, query in document_queries()]

    def check_by_promtool(self, queries):
        for name, value in VARIABLES.items():
            queries = [query.replace(name, value) for query in queries]
        rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, file)
            file.flush()
            return subprocess.run([k8s_alerts_test.PROMTOOL, "check", "rules", file.name],
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL)

    @unittest.skipIf(k8s_alerts_test.PROMTOOL is None, "no promtool")
    def test_promtool_parses_them(self):
        result = self.check_by_promtool(self.all_queries())
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertNotEqual(self.check_by_promtool(["sum by (a (meridian_l1_bytes)"]).returncode, 0)


if __name__ == "__main__":
    unittest.main()
