"""scripts/bench sustained: a load for minutes, held to the goals of source 001 (1-11, 1-13).

One region of some nodes (two by default) with a Redis. Services read at a steady rate by Zipf's law
and fill what they miss; values live for one to three minutes. The namespace has the goals of 1-01
(policy `goals: {hit_rate: 0.95, l1_p95: 5ms, l2_p95: 20ms}`), so that the coordinator's alerts judge
it. After a warm-up of two lives, every minute: the hit rate, and p95 by tier at the owners. Goals,
which decide the exit code: every minute's hit rate above 95 %, p95 below 5 ms in L1 and 20 ms in L2,
no failed call, at least 95 % of the rate that was asked for, and at the end no alert. Seven days, as
1-13 wants it, take a cluster of your own: docs/metrics.md has the query. Ends with one line of JSON.
"""

import json
import pathlib
import time

from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, measuring, number, output_of, whole_number
from bench_warming import FAILED, FAILED_FILLS, Services, rates
from cluster import positive
from processes import Problem, http_get

NAME = "sustained"
SUMMARY = "hit rate, latency and alerts under a steady load for minutes"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-look-aside-load", "meridianctl")
REGION = "bench"
GOALS = {"hit_rate": 0.95, "l1_p95_ms": 5, "l2_p95_ms": 20}
POLICIES = """namespaces:
  bench: {goals: {hit_rate: 0.95, l1_p95: 5ms, l2_p95: 20ms}}
"""
MINUTE = 60
RATE_SHARE = 0.95


def overview(cluster):
    """Of the namespace, as the coordinator tells it: of the last minute."""
    status, text = http_get(cluster.coordinator["http"], "/v1/cluster/overview", timeout=5)
    if status != 200:
        raise Problem(f"the coordinator tells no figures: {text[:200]}")
    rows = [row for row in json.loads(text)["namespaces"] if row["namespace"] == "bench"]
    if not rows or rows[0]["goals"]["hit_rate"] != GOALS["hit_rate"]:
        raise Problem("the nodes do not tell the goals of the namespace")
    return rows[0]


def alerts(cluster):
    text = output_of(cluster.binaries / "meridianctl", "--cluster", cluster.file, "alerts",
                     "--region", REGION, "--json")
    return sorted(f"{alert['name']} {alert['summary']}" for alert in json.loads(text)["alerts"]
                  if alert["state"] != "resolved")


def measure(cluster, options):
    minutes = []
    with Services(cluster, options) as services:
        time.sleep(2 * options.ttl)
        for _ in range(options.minutes):
            start = len(services.seconds()[0])
            time.sleep(MINUTE)
            rows, error = services.seconds()
            rows = rows[start:]
            row = overview(cluster)
            failed = sum(one[FAILED] + one[FAILED_FILLS] for one in rows)
            minutes.append({
                "hit_rate": round(rates(rows)[0] / 100, 4),
                "l1_share": round(rates(rows)[1] / 100, 4),
                "reads_per_second": round(sum(sum(one[:FAILED + 1]) for one in rows) / len(rows)),
                "l1_p95_ms": row["latency"]["l1"]["p95_ms"],
                "l2_p95_ms": row["latency"]["l2"]["p95_ms"],
                "failed": failed, "first_error": error if failed else ""})
            say(f"minute {len(minutes)}: {minutes[-1]}")
        firing = alerts(cluster)
    return minutes, firing


def missed(minutes, firing, reads):
    problems = [f"alert: {alert}" for alert in firing]
    for number_, minute in enumerate(minutes, 1):
        if minute["hit_rate"] <= GOALS["hit_rate"]:
            problems.append(f"minute {number_}: hit rate {minute['hit_rate']}")
        if minute["l1_p95_ms"] is None:
            problems.append(f"minute {number_}: nobody was answered by L1")
        for tier in ("l1_p95_ms", "l2_p95_ms"):
            if minute[tier] is not None and minute[tier] >= GOALS[tier]:
                problems.append(f"minute {number_}: {tier} {minute[tier]:.2f}")
        if minute["failed"]:
            problems.append(f"minute {number_}: {minute['failed']} calls failed: "
                            f"{minute['first_error']}")
        if minute["reads_per_second"] < RATE_SHARE * reads:
            problems.append(f"minute {number_}: {minute['reads_per_second']} reads a second")
    return problems


def add_arguments(parser):
    parser.add_argument("--nodes", type=positive, default=2, help="default 2")
    parser.add_argument("--reads", type=positive, default=5000, help="a second, default 5000")
    parser.add_argument("--keys", type=positive, default=20000, help="default 20000")
    parser.add_argument("--ttl", type=number(1, 600), default=120,
                        help="seconds that a value lives on average, default 120")
    parser.add_argument("--minutes", type=whole_number(1, 30), default=5, help="default 5")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    with measuring(options, BINARIES) as (binaries, folder):
        policies = folder / "policies.yaml"
        policies.write_text(POLICIES)
        with BenchCluster(folder / "cluster", binaries, [REGION],
                          f"--node-flag=--policies={policies}", nodes=options.nodes) as cluster:
            minutes, firing = measure(cluster, options)
        print(json.dumps({"bench": NAME, "nodes": options.nodes, "reads": options.reads,
                          "keys": options.keys, "ttl_seconds": options.ttl, "minutes": minutes,
                          "alerts": firing}), flush=True)
        if problems := missed(minutes, firing, options.reads):
            raise Problem("; ".join(problems))
