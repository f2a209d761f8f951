"""scripts/bench fences: what the invalidation of a million entries by one call takes.

One region of six nodes that keep mirrors of hot keys. For each scope (tag, prefix, namespace) and
round the region is filled with the entries, all of them are read, some at every node until they are
mirrored, some by two clients with near caches; one of these kills them all by one Invalidate, all
are read again in all these ways, and some are written anew. Goal: the call returns within 50 ms.
That nothing is served afterwards, and that what was written later is, is no goal: else the
measurement fails. The near cache of the client that does not make the call hears of it some
milliseconds later: how long it took is told, and 3 s are too long. Ends with one line of JSON.
"""

import json
import pathlib
import statistics

from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, measuring, output_of, whole_number
from cluster import positive
from processes import Problem, http_get, metric_samples

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
        near = [one["others_near_clean_after_ms"] for one in rounds]
        answer[scope] = {"median_ms": round(statistics.median(took), 2),
                         "max_ms": round(max(took), 2),
                         "mirror_hits": sum(one["mirror_hits"] for one in rounds),
                         "near_clean_after_ms": round(max(near), 1),
                         "near_served_after": sum(one["others_near_hits_after"] for one in rounds),
                         "goal_reached": max(took) < GOAL_MS}
        say(f"{scope}: {statistics.median(took):.1f} ms (at most {max(took):.1f}); another "
            f"client's near cache has heard of it after at most {max(near):.0f} ms")
        if max(took) >= GOAL_MS:
            slow.append(f"{scope}: {max(took):.1f} ms")
    print(json.dumps(answer), flush=True)
    if slow:
        raise Problem(f"slower than {GOAL_MS} ms: {', '.join(slow)}")


def mirror_hits(nodes):
    """What mirrors of all nodes have answered."""
    hits = 0
    for addresses in nodes:
        status, page = http_get(addresses["http"], "/metrics", timeout=5)
        if status != 200:
            raise Problem(f"{addresses['http']} tells no metrics")
        hits += sum(value for _, value in metric_samples(page, "meridian_mirror_hits_total"))
    return int(hits)


def measure(cluster, binaries, scope, entries):
    """One fence. A Problem when anything was served after it, or there was nothing to be served."""
    targets = [word for addresses in cluster.nodes for word in ("--target", addresses["data"])]
    mirrored = mirror_hits(cluster.nodes)
    one = json.loads(output_of(binaries / "meridian-fence-load", *targets, "--scope", scope,
                               "--entries", entries))
    one["mirror_hits"] = mirror_hits(cluster.nodes) - mirrored
    for what in ("mirror_hits", "own_near_hits_before", "others_near_hits_before"):
        if one[what] == 0:
            raise Problem(f"{what} is 0: there was nothing that could have been served afterwards")
    return one


def add_arguments(parser):
    parser.add_argument("--rounds", type=positive, default=3, help="of each scope, default 3")
    parser.add_argument("--entries", type=whole_number(1, 100_000_000), default=1_000_000,
                        help="default 1000000")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    results = {scope: [] for scope in SCOPES}
    with measuring(options, BINARIES) as (binaries, folder):
        with BenchCluster(folder / "cluster", binaries, [REGION], "--l1-max-bytes", "256MiB",
                          "--node-flag=--mirror-max-bytes=8MiB", nodes=NODES) as cluster:
            for number in range(options.rounds):
                for scope in SCOPES:
                    results[scope].append(measure(cluster, binaries, scope, options.entries))
                    say(f"round {number + 1} of {options.rounds}, {scope}: "
                        f"{results[scope][-1]['took_ms']:.1f} ms")
        report(options, results)
