"""scripts/bench metrics: what /metrics of a node with 200 namespaces takes.

One region of one node. A key of each of 200 namespaces is stored and read, so that every family by
namespace has all its series; then the page is read many times, one after the other, and while
nothing else runs. Goal: 95 of 100 within 50 ms. Ends with one line of JSON.
"""

import json
import math
import pathlib
import statistics
import time

from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, measuring, output_of, whole_number
from cluster import positive
from processes import Problem, http_get, metric_samples

NAME = "metrics"
SUMMARY = "the time of /metrics with 200 namespaces"
BINARIES = ("meridian-node", "meridian-coordinator", "meridianctl")
REGION = "bench"
GOAL_MS = 50


def fill(binaries, target, namespaces):
    """Stores and reads a key of each; the next one is a miss."""
    for number in range(namespaces):
        name = f"type-{number:03}"
        ctl = (binaries / "meridianctl", "--target", target)
        output_of(*ctl, "set", name, "key", "value")
        output_of(*ctl, "get", name, "key")


def read_once(http):
    """Milliseconds, and the page."""
    begun = time.perf_counter()
    status, page = http_get(http, "/metrics", timeout=30)
    took = 1000 * (time.perf_counter() - begun)
    if status != 200:
        raise Problem(f"{http} tells no metrics")
    return took, page


def report(options, took, page):
    took = sorted(took)
    p95 = took[math.ceil(0.95 * len(took)) - 1]
    families = page.count("# TYPE ")
    answer = {"bench": NAME, "namespaces": options.namespaces, "reads": len(took),
              "median_ms": round(statistics.median(took), 2), "p95_ms": round(p95, 2),
              "max_ms": round(took[-1], 2), "families": families, "bytes": len(page),
              "goal_reached": p95 < GOAL_MS}
    say(f"{len(page) / 1e6:.1f} MB: {answer['median_ms']} ms, p95 {answer['p95_ms']} ms")
    print(json.dumps(answer), flush=True)
    if p95 >= GOAL_MS:
        raise Problem(f"p95 is {p95:.1f} ms, the goal is {GOAL_MS} ms")


def add_arguments(parser):
    parser.add_argument("--namespaces", type=whole_number(1, 200), default=200, help="default 200")
    parser.add_argument("--reads", type=positive, default=100, help="default 100")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    with measuring(options, BINARIES) as (binaries, folder):
        with BenchCluster(folder / "cluster", binaries, [REGION]) as cluster:
            addresses = cluster.addresses[REGION]
            fill(binaries, addresses["data"], options.namespaces)
            _, page = read_once(addresses["http"])
            names = {labels["namespace"] for labels, _ in
                     metric_samples(page, "meridian_read_duration_seconds_count")}
            if len(names) < options.namespaces:
                raise Problem(f"only {len(names)} namespaces are told of")
            took = [read_once(addresses["http"])[0] for _ in range(options.reads)]
            report(options, took, page)
