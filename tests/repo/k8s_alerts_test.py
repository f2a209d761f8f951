#!/usr/bin/env python3
"""Every alert of the chart is quiet while all is well, and fires when what it is for happens.

By promtool's own tests, which are written here: an hour of the one, an hour of the other. promtool
is that of the PATH, of GOBIN or GOPATH/bin, or of scripts/setup --chart; without it only the list is
checked.
Exit codes: 0 passed, 1 failed, 77 skipped: no promtool or no python3-yaml here.
"""

import copy
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
ALERTS = ROOT / "k8s" / "chart" / "meridian" / "files" / "alerts.yaml"

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(77)


from source_tree import load_script  # noqa: E402

PROMTOOL = load_script(ROOT / "k8s" / "render").find_tool("promtool")
US = 'meridian_region="us"'
NODE = f'job="meridian-node",instance="n0",{US}'
OF_NODE = {"job": "meridian-node", "instance": "n0", "meridian_region": "us"}
REGION = {"meridian_region": "us"}
LINK = {"from": "us", "to": "eu"}
ON, OFF = "0x60 1x60", "1x60 0x60"
COUNTS, GROWS = "0x60 0+1x60", "0x60 0+60x60"
STEADY, STOPS = "0+100x120", "0+100x60 6000x60"
LATENCY = "meridian_request_duration_seconds_bucket"
LAG = "meridian_replication_lag_seconds_bucket"
MIB, DAY = 1024 * 1024, 86400
READS = f'meridian_read_duration_seconds_bucket{{tier="l1",namespace="task",{US}'
READ_COUNT = f'meridian_read_duration_seconds_count{{tier="l1",namespace="task",{US}'
GETS = f'meridian_cache_gets_total{{namespace="task",{US}'

# Alert -> ({series: values, one a minute}, labels of what fires, what $value reads as).
CASES = {
    "MeridianNodeDown": ({f"up{{{NODE}}}": OFF}, OF_NODE, ""),
    "MeridianCoordinatorDown": (
        {f'up{{job="meridian-coordinator",instance="c1",{US}}}': OFF,
         f'up{{job="meridian-coordinator",instance="c0",{US}}}': "1x120"},
        {"job": "meridian-coordinator", "instance": "c1", **REGION}, ""),
    "MeridianNoCoordinatorLeads": ({
        f"up{{{NODE}}}": "1x120",
        f'meridian_coordinator_leader{{instance="c0",{US}}}': "1x60 0x30 _x30",
        f'meridian_coordinator_leader{{instance="c1",{US}}}': "0x90 _x30",
        'up{job="meridian-node",instance="n1",meridian_region="eu"}': "1x120",
        'meridian_coordinator_leader{instance="c0",meridian_region="eu"}': "1x120"}, REGION, ""),
    "MeridianTwoCoordinatorsLead": ({
        f'meridian_coordinator_leader{{instance="c0",{US}}}': "1x120",
        f'meridian_coordinator_leader{{instance="c1",{US}}}': ON}, REGION, ""),
    "MeridianEpochsDisagree": ({
        f"meridian_ring_epoch{{{NODE}}}": "5x120",
        f'meridian_ring_epoch{{job="meridian-node",instance="n1",{US}}}': "5x60 4x60",
        f'meridian_ring_epoch{{job="meridian-coordinator",instance="c1",{US}}}': "0x120"},
        REGION, ""),
    "MeridianErrors": ({
        f'meridian_requests_total{{code="OK",{US}}}': STEADY,
        f'meridian_requests_total{{code="INVALID_ARGUMENT",{US}}}': STEADY,
        f'meridian_requests_total{{code="UNAVAILABLE",{US}}}': "0x60 0+50x60"}, REGION, "20%"),
    "MeridianSlow": ({
        f'{LATENCY}{{method="Get",le="0.08",{US}}}': STOPS,
        f'{LATENCY}{{method="Get",le="0.2",{US}}}': STOPS,
        f'{LATENCY}{{method="Get",le="0.4",{US}}}': STEADY,
        f'{LATENCY}{{method="Get",le="+Inf",{US}}}': STEADY},
        {**REGION, "method": "Get"}, "398ms"),
    "MeridianLowHitRate": ({
        f'{GETS},tier="l1",result="hit"}}': "0+90x60 5400+10x60",
        f'{GETS},tier="l1",result="miss"}}': "0+10x60 600+90x60",
        f'{GETS},tier="l2",result="hit"}}': "0+5x60 300+40x60"},
        {**REGION, "namespace": "task"}, "50%"),
    "MeridianSlowReads": ({
        f'{READS},le="0.001"}}': STOPS, f'{READS},le="0.002"}}': STOPS,
        f'{READS},le="0.008"}}': STEADY, f'{READS},le="+Inf"}}': STEADY,
        f'{READ_COUNT}}}': STEADY,
        f'meridian_read_duration_goal_seconds{{tier="l1",namespace="task",{NODE}}}': "0.005x120"},
        {**REGION, "namespace": "task", "tier": "l1"}, "7.7ms"),
    # 1.25 * 256 MiB + 256 MiB = 576 MiB. L1 is full all the time.
    "MeridianMemoryHigh": ({
        f"process_resident_memory_bytes{{{NODE}}}": f"{500 * MIB}x60 {576 * MIB}x60",
        f'process_resident_memory_bytes{{job="meridian-coordinator",instance="c0",{US}}}':
            f"{900 * MIB}x120",
        f'meridian_l1_bytes{{namespace="task",{NODE}}}': f"{256 * MIB}x120",
        f"meridian_l1_limit_bytes{{{NODE}}}": f"{256 * MIB}x120"}, OF_NODE, "100%"),
    "MeridianRedisMemoryHigh": ({
        f'meridian_l2_memory_used_bytes{{region="us",{NODE}}}': "90x60 95x60",
        f'meridian_l2_memory_limit_bytes{{region="us",{NODE}}}': "100x120"},
        {"region": "us"}, "95%"),
    # Ten days at the end, and more than a year before.
    "MeridianCertificateExpires": (
        {f'meridian_certificate_expiry_timestamp_seconds{{file="/tls/ca.crt",{NODE}}}':
            f"{400 * DAY}x60 {10 * DAY + 119 * 60}x60"},
        {**OF_NODE, "file": "/tls/ca.crt"}, "10d 0h 0m 0s"),
    "MeridianPoliciesRefused": ({f"meridian_policy_last_reload_successful{{{NODE}}}": OFF},
                                OF_NODE, ""),
    "MeridianOriginBreakerOpen": ({
        f'meridian_origin_breaker_state{{namespace="task",{NODE}}}': "0x60 1 2 1 2 1 2 1 2x53"},
                                  {**REGION, "namespace": "task"}, ""),
    "MeridianWarmingRefused": ({
        f'meridian_warm_schedule_runs_total{{outcome="queued",{US}}}': STEADY,
        f'meridian_warm_schedule_runs_total{{outcome="missed",{US}}}': COUNTS}, REGION, ""),
    "MeridianWarmingFails": ({
        f'meridian_warm_keys_total{{namespace="task",source="schedule",outcome="l2",{US}}}': STEADY,
        f'meridian_warm_keys_total{{namespace="task",source="schedule",outcome="failed",{US}}}':
            "0x58 0+25x60"}, {**REGION, "namespace": "task"}, "20%"),
    "MeridianWarmUseless": ({
        f'meridian_warmed_entries_total{{namespace="task",source="schedule",outcome="used",{US}}}':
            "0+10x120",
        f'meridian_warmed_entries_total{{namespace="task",source="schedule",outcome="unused",{US}}}':
            "0+1x57 58+90x62"}, {**REGION, "namespace": "task"}, "10%"),
    "MeridianRedisAway": ({f'meridian_l2_up{{region="eu",{NODE}}}': OFF},
                          {**OF_NODE, "region": "eu"}, ""),
    "MeridianRedisCircuitOpen": ({f'meridian_l2_circuit_state{{region="eu",{NODE}}}': ON},
                                 {**OF_NODE, "region": "eu"}, ""),
    "MeridianSentinelNotBelieved": (
        {f'meridian_l2_sentinel_up{{region="us",sentinel="s1:26379",{NODE}}}': OFF},
        {**OF_NODE, "region": "us", "sentinel": "s1:26379"}, ""),
    "MeridianHintsWait": ({f"meridian_hints_oldest_seconds{{{NODE}}}": GROWS}, OF_NODE, ""),
    "MeridianTombstonesEvictable": ({f"meridian_tombstones_evictable{{{NODE}}}": ON}, OF_NODE, ""),
    "MeridianReplicationLag": ({
        f'{LAG}{{from="us",to="eu",le="2",{NODE}}}': STOPS,
        f'{LAG}{{from="us",to="eu",le="5",{NODE}}}': STEADY,
        f'{LAG}{{from="us",to="eu",le="+Inf",{NODE}}}': STEADY}, LINK, "4.97s"),
    "MeridianReplicationStuck": (
        {f'meridian_replication_oldest_seconds{{from="us",to="eu",{NODE}}}': GROWS}, LINK,
        "58m 0s"),
    "MeridianReplicationCut": (
        {f'meridian_replication_cut{{from="us",to="eu",{NODE}}}': ON}, LINK, ""),
    "MeridianReplicationLost": ({
        f'meridian_replication_repairing_slots{{from="us",to="eu",{NODE}}}': "5x120",
        f'meridian_replication_repair_keys_total{{from="us",to="eu",result="compared",{NODE}}}':
            STEADY,
        f'meridian_replication_repair_keys_total{{from="us",to="eu",result="sent",{NODE}}}': COUNTS},
        {**REGION, "to": "eu"}, ""),
    "MeridianReplicationDropped": (
        {f'meridian_replication_dropped_total{{to="eu",{NODE}}}': COUNTS},
        {**REGION, "to": "eu"}, ""),
    "MeridianStale": ({f"meridian_staleness_incidents_total{{{NODE}}}": COUNTS}, REGION, ""),
    "MeridianClockOff": ({f"meridian_clock_refused{{{NODE}}}": ON}, OF_NODE, ""),
}


def rules(groups):
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def filled(text, labels, value):
    """An annotation as it reads when the alert fires."""
    text = re.sub(r"\{\{ if \$labels\.(\w+) \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}",
                  lambda match: match[2] if match[1] in labels else match[3], text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match.group(1)], text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", value, text)


def gets(namespace, hits, misses):
    """Series of a namespace that is read so often a minute."""
    return {f'meridian_cache_gets_total{{namespace="{namespace}",{US},tier="l1",result="hit"}}':
                f"0+{hits}x120",
            f'meridian_cache_gets_total{{namespace="{namespace}",{US},tier="l1",result="miss"}}':
                f"0+{misses}x120"}


def goal(namespace, share):
    return {f'meridian_cache_hit_goal_ratio{{namespace="{namespace}",{NODE}}}': f"{share}x120"}


def goal_tests(groups):
    """1-01, 2-13: what is above the bound for all is too low for one, below it enough for another."""
    series = {**gets("modest", 60, 40), **goal("modest", 0.5), **gets("auth", 90, 10),
              **goal("auth", 0.95), **gets("reached", 96, 4), **goal("reached", 0.95),
              # The sum of twenty goals.
              **gets("other", 80, 20), **goal("other", 19)}
    rule = rules(groups)["MeridianLowHitRate"]
    labels = {**REGION, "namespace": "auth"}
    fires = {"exp_labels": {**labels, **rule["labels"]},
             "exp_annotations": {key: filled(text, labels, "90%")
                                 for key, text in rule["annotations"].items()}}
    return [{"name": "goals", "interval": "1m",
             "input_series": [{"series": key, "values": text} for key, text in series.items()],
             "alert_rule_test": [
                 {"alertname": "MeridianLowHitRate", "eval_time": "119m", "exp_alerts": [fires]}]}]


def read_error_tests(groups):
    """Keys that fail in calls that do not: by namespace, and not where hardly anything is read."""
    rule = rules(groups)["MeridianErrors"]

    def series(namespace, errors, reads):
        return {f'meridian_read_errors_total{{namespace="{namespace}",{NODE}}}': errors,
                f'meridian_read_duration_seconds_count{{namespace="{namespace}",tier="l1",{NODE}}}':
                    reads}

    labels = {**REGION, "namespace": "task"}
    fires = {"exp_labels": {**labels, **rule["labels"]},
             "exp_annotations": {key: filled(text, labels, "20%")
                                 for key, text in rule["annotations"].items()}}
    data = {f'meridian_requests_total{{code="OK",{US}}}': STEADY,
            **series("task", "0x60 0+25x60", STEADY), **series("steady", "0+1x120", STEADY),
            **series("rare", "0x60 0+5x60", "0+5x120")}
    return [{"name": "errors of keys", "interval": "1m",
             "input_series": [{"series": key, "values": text} for key, text in data.items()],
             "alert_rule_test": [
                 {"alertname": "MeridianErrors", "eval_time": "59m", "exp_alerts": []},
                 {"alertname": "MeridianErrors", "eval_time": "119m", "exp_alerts": [fires]}]}]


def promtool_tests(groups, path):
    """The tests in promtool's form, of the rules in the file `path`."""
    tests = []
    for name, (series, labels, value) in CASES.items():
        rule = rules(groups)[name]
        fires = {"exp_labels": {**labels, **rule["labels"]},
                 "exp_annotations": {key: filled(text, labels, value)
                                     for key, text in rule["annotations"].items()}}
        tests.append({
            "name": name, "interval": "1m",
            "input_series": [{"series": key, "values": text} for key, text in series.items()],
            "alert_rule_test": [
                {"alertname": name, "eval_time": "59m", "exp_alerts": []},
                {"alertname": name, "eval_time": "119m", "exp_alerts": [fires]}]})
    return {"rule_files": [str(path)], "evaluation_interval": "1m",
            "tests": tests + goal_tests(groups) + read_error_tests(groups)}


class AlertsTest(unittest.TestCase):
    GROUPS = yaml.safe_load(ALERTS.read_text())["groups"]

    def promtool(self, groups):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "alerts.yaml").write_text(yaml.safe_dump({"groups": groups}))
            (folder / "test.yaml").write_text(
                yaml.safe_dump(promtool_tests(groups, folder / "alerts.yaml")))
            return subprocess.run([PROMTOOL, "test", "rules", folder / "test.yaml"], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True)

    def test_every_alert_has_a_case(self):
        self.assertEqual(set(rules(self.GROUPS)), set(CASES))

    @unittest.skipIf(PROMTOOL is None, "no promtool")
    def test_the_rules_are_well_formed(self):
        result = subprocess.run([PROMTOOL, "check", "rules", ALERTS], text=True,
                                stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @unittest.skipIf(PROMTOOL is None, "no promtool")
    def test_each_is_quiet_when_all_is_well_and_fires_when_it_is_not(self):
        result = self.promtool(self.GROUPS)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @unittest.skipIf(PROMTOOL is None, "no promtool")
    def test_rules_that_never_or_always_fire_are_found(self):
        for expression in ("vector(1) == 0", "vector(1)"):
            groups = copy.deepcopy(self.GROUPS)
            groups[0]["rules"][0]["expr"] = expression
            result = self.promtool(groups)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("MeridianNodeDown", result.stdout + result.stderr)


if __name__ == "__main__":
    if not unittest.main(exit=False).result.wasSuccessful():
        sys.exit(1)
    if PROMTOOL is None:
        print("SKIPPED: no promtool in PATH, GOBIN or GOPATH/bin: that the alerts fire was not seen")
        sys.exit(77)
