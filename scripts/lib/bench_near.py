"""scripts/bench near: what a hit in the client's near cache costs.

bench/micro/near_cache_bench: Client::Get of 100-byte values that the near cache has, keys asked for
at random, with 1000 and 10,000 keys, one thread and two. Goal: below 200 ns at the median of one
thread, and every read a hit. Ends with one line of JSON.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from bench_cluster import say
from bench_tools import BINARIES_HELP, build, check_exit, number, warn_when_busy
from cluster import ROOT
from processes import Problem

NAME = "near"
SUMMARY = "what a hit in the client's near cache costs"
BINARY = "near_cache_bench"
GOAL_NS = 200


def measure(program, seconds):
    """The exit code, and the runs of Google Benchmark. What it says goes to stderr."""
    with tempfile.TemporaryDirectory(prefix="meridian-bench-") as folder:
        out = pathlib.Path(folder) / "runs.json"
        result = subprocess.run(
            [program, f"--benchmark_min_time={seconds:g}", f"--benchmark_out={out}",
             "--benchmark_out_format=json"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        try:
            runs = json.loads(out.read_text())["benchmarks"]
        except (OSError, ValueError, KeyError):
            check_exit(BINARY, result.returncode)
            raise Problem(f"{BINARY} has not said what it measured") from None
    return result.returncode, runs


def summarize(runs):
    """The JSON: the medians by keys and threads."""
    hits = []
    for run in runs:
        match = re.match(r"BM_NearHit/keys:(\d+)/.*threads:(\d+)", run["name"])
        if match:
            hits.append({"keys": int(match[1]), "threads": int(match[2]),
                         "p50_ns": round(run["p50_ns"], 1), "not_near": int(run["not_near"])})
    if not hits:
        raise Problem(f"{BINARY} has measured no hits")
    reached = all(hit["not_near"] == 0 and (hit["threads"] > 1 or hit["p50_ns"] < GOAL_NS)
                  for hit in hits)
    return {"bench": NAME, "hits": hits, "goal_ns": GOAL_NS, "goal_reached": reached}


def add_arguments(parser):
    parser.add_argument("--seconds", type=number(0.01, 600), default=1,
                        help="of each of the four runs at least, default 1")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    code, runs = measure(binaries / BINARY, options.seconds)
    answer = summarize(runs)
    for hit in answer["hits"]:
        say(f"{hit['keys']} keys, {hit['threads']} threads: {hit['p50_ns']} ns")
    print(json.dumps(answer), flush=True)
    if not answer["goal_reached"]:
        raise Problem(f"the goal is hits alone, below {GOAL_NS} ns of one thread")
    check_exit(BINARY, code)
