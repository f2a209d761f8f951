"""scripts/bench warming: what a cluster's memory loses when its nodes are restarted or killed.

One region of some nodes (six by default) with a regional Redis. Services read at a steady rate by
Zipf's law and fill what they miss; values live for one to three minutes, so that some misses are
normal. When L1 is warm, every node is restarted in turn (as `scripts/local-cluster restart
--rolling`), and later one is killed (SIGKILL) and stays away. The same again without refill
(--refill-rate 0), unless --once is given.

Hit rate: of the reads that ended in a second, those that L1 or Redis answered; L1 hits: those that
L1 answered. Before: the mean of the seconds before. Lowest: of the whole seconds since, the worst
mean of a window of WINDOW_SECONDS.

Goals: no call fails while nodes are restarted, and the hit rate falls by 2 points at most; after the
kill 95 % of the hit rate, and of the L1 hits, are back within 60 s. Exit code 1, after the report,
when one is missed, or one of `scripts/bench warming-sources`.

Prints one line of JSON; then, unless --no-sources is given, the hit rate with and without each source
of warming: the table of `scripts/bench warming-sources`, in simulated time.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import bench_warming_sources
from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, build, number, warn_when_busy
from cluster import positive
from processes import Interrupts, Problem

NAME = "warming"
SUMMARY = "hits while nodes are restarted one by one, and after one was killed"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-look-aside-load")
REGION = "bench"
BEFORE_SECONDS = 10
WINDOW_SECONDS = 2
BACK_SHARE, BACK_GOAL_SECONDS = 0.95, 60
RESTART_GOAL_POINTS = 2
L1, L2, MISSES, FAILED, FAILED_FILLS = range(5)


class Services:
    """meridian-look-aside-load against all nodes of a BenchCluster."""

    def __init__(self, cluster, options):
        targets = ",".join(node["data"] for node in cluster.nodes)
        with Interrupts.held():
            self._process = subprocess.Popen(
                [str(word) for word in (
                    cluster.binaries / "meridian-look-aside-load", "--target", targets, "--reads",
                    options.reads, "--keys", options.keys, "--ttl", options.ttl)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def seconds(self):
        """What the reads of each second got, since the start; and the first error."""
        try:
            self._process.stdin.write("counts\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Problem("meridian-look-aside-load ended")
        answer = json.loads(answer)
        return answer["seconds"], answer["first_error"]


def rates(rows):
    """(hit rate, share of L1 hits) of some seconds, in percent."""
    reads = sum(sum(row[:FAILED + 1]) for row in rows)
    if not reads:
        return 0.0, 0.0
    l1, l2 = (sum(row[column] for row in rows) for column in (L1, L2))
    return 100 * (l1 + l2) / reads, 100 * l1 / reads


def windows(rows):
    return [rates(rows[i:i + WINDOW_SECONDS]) for i in range(len(rows) - WINDOW_SECONDS + 1)]


def seconds_until_back(rows, before, which):
    """Until a window has BACK_SHARE of what was before and no later one has less; None: never."""
    for i in range(len(rows) - WINDOW_SECONDS, -1, -1):
        if rates(rows[i:i + WINDOW_SECONDS])[which] < BACK_SHARE * before[which]:
            after = i + 1
            return after if after <= len(rows) - 2 * WINDOW_SECONDS else None
    return 0


def phase(rows, before):
    """What happened in some seconds, beside what was before."""
    lowest = windows(rows)
    return {"seconds": len(rows),
            "hit_rate_before": round(before[0], 2),
            "hit_rate_lowest": round(min(hits for hits, _ in lowest), 2),
            "l1_hits_before": round(before[1], 2),
            "l1_hits_lowest": round(min(l1 for _, l1 in lowest), 2),
            "origin_loads_a_second": round(sum(row[MISSES] for row in rows) / len(rows), 1),
            "failed": sum(row[FAILED] + row[FAILED_FILLS] for row in rows)}


def wait_until_warm(services, patience):
    """Until L1 answers no more than it did BEFORE_SECONDS ago."""
    began = time.monotonic()
    while True:
        rows, _ = services.seconds()
        if len(rows) > 3 * BEFORE_SECONDS:
            now, then = (rates(rows[-BEFORE_SECONDS:]),
                         rates(rows[-2 * BEFORE_SECONDS:-BEFORE_SECONDS]))
            if now[1] - then[1] < 0.5:
                return
        if time.monotonic() - began > patience:
            say("L1 still gets warmer; measured all the same")
            return
        time.sleep(1)


def measure(options, cluster):
    results = {}
    with Services(cluster, options) as services:
        wait_until_warm(services, options.patience)
        rows, _ = services.seconds()
        before, start = rates(rows[-BEFORE_SECONDS:]), len(rows)
        say(f"warm after {start} s: hit rate {before[0]:.1f} %, L1 {before[1]:.1f} %")
        cluster.command("restart", "--rolling", REGION)
        time.sleep(BEFORE_SECONDS)
        rows, error = services.seconds()
        results["restarts"] = {**phase(rows[start:], before), "first_error": error}
        wait_until_warm(services, options.patience)
        rows, _ = services.seconds()
        before, start = rates(rows[-BEFORE_SECONDS:]), len(rows)
        cluster.command("kill", f"{REGION}-node-{options.nodes}")
        time.sleep(BACK_GOAL_SECONDS + BEFORE_SECONDS)
        rows, error = services.seconds()
        killed = rows[start:]
        results["kill"] = {**phase(killed, before), "first_error": error,
                           "hit_rate_back_s": seconds_until_back(killed, before, 0),
                           "l1_hits_back_s": seconds_until_back(killed, before, 1)}
    return results


def show(title, results):
    for name, one in results.items():
        back = "" if name != "kill" else (
            f"; 95 % back after {one['hit_rate_back_s']} s, of L1 after {one['l1_hits_back_s']} s")
        say(f"{title}, {name}: hit rate {one['hit_rate_before']:.1f} %, lowest "
            f"{one['hit_rate_lowest']:.1f} %; L1 {one['l1_hits_before']:.1f} %, lowest "
            f"{one['l1_hits_lowest']:.1f} %; {one['origin_loads_a_second']} origin loads/s; "
            f"{one['failed']} calls failed{back}")


def missed(results):
    restarts, kill = results["restarts"], results["kill"]
    problems = []
    if restarts["failed"]:
        problems.append(f"{restarts['failed']} calls failed while nodes were restarted: "
                        f"{restarts['first_error']}")
    fall = restarts["hit_rate_before"] - restarts["hit_rate_lowest"]
    if fall > RESTART_GOAL_POINTS:
        problems.append(f"the hit rate fell by {fall:.1f} points while nodes were restarted")
    for figure in ("hit_rate_back_s", "l1_hits_back_s"):
        if kill[figure] is None or kill[figure] > BACK_GOAL_SECONDS:
            problems.append(f"{figure} after the kill: {kill[figure]}")
    return problems


def add_arguments(parser):
    parser.add_argument("--nodes", type=positive, default=6, help="default 6")
    parser.add_argument("--reads", type=positive, default=1000, help="a second, default 1000")
    parser.add_argument("--keys", type=positive, default=20000, help="default 20000")
    parser.add_argument("--ttl", type=number(1, 1e6), default=120,
                        help="seconds that a value lives as a rule, default 120")
    parser.add_argument("--patience", type=number(1, 3600), default=240,
                        help="seconds until L1 is as warm as it gets, default 240")
    parser.add_argument("--once", action="store_true", help="not without refill")
    parser.add_argument("--no-sources", dest="sources", action="store_false",
                        help="not the table of the sources of warming")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    programs = BINARIES + ((bench_warming_sources.BINARY,) if options.sources else ())
    binaries = options.bin.resolve() if options.bin else build(*programs)
    for program in programs:
        if not (binaries / program).exists():
            raise Problem(f"{binaries} has no {program}")
    answer = {"bench": NAME, "nodes": options.nodes, "reads_a_second": options.reads,
              "keys": options.keys, "ttl_s": options.ttl}
    for title, flags in (("with refill", ()), ("without", ("--node-flag=--refill-rate=0",))):
        if flags and options.once:
            continue
        folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
        try:
            with BenchCluster(folder / "cluster", binaries, [REGION], *flags,
                              nodes=options.nodes) as cluster:
                answer[title] = measure(options, cluster)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        show(title, answer[title])
    print(json.dumps(answer), flush=True)
    problems = missed(answer["with refill"])
    if options.sources:
        try:
            bench_warming_sources.print_table(binaries)
        except Problem as problem:
            problems.append(str(problem))
    if problems:
        raise Problem("; ".join(problems))
