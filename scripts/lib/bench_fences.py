"""scripts/bench fences: what the invalidation of a million entries by one call takes.

One region of six nodes. For each scope (tag, prefix, namespace) and round the region is filled with
the entries, all of them are read, one Invalidate kills them, all are read again, by a client with a
near cache too, and some are written anew. Goal: the call returns within 50 ms. That nothing is
served afterwards, and that what was written later is, is no goal: else the measurement fails.
Ends with one line of JSON.
"""

import json
import pathlib
import shutil
import statistics
import tempfile

from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, build, output_of, warn_when_busy, whole_number
from cluster import positive
from processes import Problem

NAME = "fences"
SUMMARY = "the time of invalidating a million entries by one call"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-fence-load")
REGION, NODES = "bench", 6
SCOPES = ("tag", "prefix", "namespace")
GOAL_MS = 50


def report(options, results):
    answer = {"bench": NAME, "nodes": NODES, "entries": options.entries, "rounds": options.rounds}
    slow = []
    for scope, rounds in results.items():
        took = [one["took_ms"] for one in rounds]
        near = [one["near_clean_after_ms"] for one in rounds]
        answer[scope] = {"median_ms": round(statistics.median(took), 2),
                         "max_ms": round(max(took), 2), "near_clean_after_ms": round(max(near), 1),
                         "goal_reached": max(took) < GOAL_MS}
        say(f"{scope}: {statistics.median(took):.1f} ms (at most {max(took):.1f}); a near cache "
            f"has heard of it after at most {max(near):.0f} ms")
        if max(took) >= GOAL_MS:
            slow.append(f"{scope}: {max(took):.1f} ms")
    print(json.dumps(answer), flush=True)
    if slow:
        raise Problem(f"slower than {GOAL_MS} ms: {', '.join(slow)}")


def add_arguments(parser):
    parser.add_argument("--rounds", type=positive, default=3, help="of each scope, default 3")
    parser.add_argument("--entries", type=whole_number(1, 100_000_000), default=1_000_000,
                        help="default 1000000")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    binaries = options.bin.resolve() if options.bin else build(*BINARIES)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    results = {scope: [] for scope in SCOPES}
    try:
        with BenchCluster(folder / "cluster", binaries, [REGION], "--l1-max-bytes", "256MiB",
                          nodes=NODES) as cluster:
            for number in range(options.rounds):
                for scope in SCOPES:
                    results[scope].append(json.loads(output_of(
                        binaries / "meridian-fence-load", "--target",
                        cluster.addresses[REGION]["data"], "--scope", scope, "--entries",
                        options.entries)))
                    say(f"round {number + 1} of {options.rounds}, {scope}: "
                        f"{results[scope][-1]['took_ms']:.1f} ms")
        report(options, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
