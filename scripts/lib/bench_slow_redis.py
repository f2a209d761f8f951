"""scripts/bench slow-redis: what a stopped or slow regional Redis costs those whom L1 can answer.

One region of one node. meridian-load reads 1000 keys that are all in L1, one call at a time and 50 at
a time, while others ask for keys that nobody has (200 calls/s, each with 100 ms). Then the Redis is
stopped (SIGSTOP), or a proxy lets each of its answers take 200 ms: when the circuit breaker opens
(goal: within 2 s), and what the same reads take meanwhile (goal: +-10 %). The measurements with and
without the fault alternate. Ends with one line of JSON.
"""

import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from bench_regions import Load
from bench_tools import BINARIES_HELP, build, number, output_of, warn_when_busy
from cluster import ROOT, Cluster, positive
from processes import Interrupts, Problem, http_get, metric_samples

NAME = "slow-redis"
SUMMARY = "latency of L1 hits while the regional Redis is stopped or slow"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-fault-proxy", "meridian-region-load",
            "meridian-load")
REGION = "bench"
KEYS = 1000
MISSES_PER_SECOND, MISS_MS = 200, 100
IN_FLIGHT = (1, 50)
WARM_UP_RUNS = 6
POLL_SECONDS = 0.01
GIVE_UP_SECONDS = 30
FAULTS = {"stopped": (("stop", f"{REGION}-redis"), ("cont", f"{REGION}-redis")),
          "200 ms an answer": (("fault", f"{REGION}-redis-proxy", "down.delay=200ms"),
                               ("fault", f"{REGION}-redis-proxy", "clear"))}


class Region:
    """One node whose Redis is behind a proxy."""

    def __init__(self, folder, binaries):
        self._folder = folder
        self._binaries = binaries
        self.command("up", "--regions", REGION, "--nodes", 1, "--bin", binaries,
                     "--fault-proxies", "redis")
        cluster = Cluster(folder)
        cluster.load()
        node = cluster.part(f"{REGION}-node-1")
        self.addresses = {REGION: node.addresses}  # As bench_regions.Load wants them.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.command("down")

    def command(self, *words):
        with Interrupts.held():
            output_of(ROOT / "scripts" / "local-cluster", "--dir", self._folder, *words)

    def circuit_is_open(self):
        text = http_get(self.addresses[REGION]["http"], "/metrics", timeout=5)[1]
        return any(value for _, value in metric_samples(text, "meridian_l2_circuit_state"))

    def await_circuit(self, is_open):
        """Seconds until the breaker is so."""
        began = time.monotonic()
        while self.circuit_is_open() != is_open:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise Problem(f"the breaker does not {'open' if is_open else 'close'}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def hits(self, in_flight, seconds, fill=False):
        """{"p50": µs, "p99": µs} of reads that L1 answers."""
        text = output_of(self._binaries / "meridian-load", "--target",
                         self.addresses[REGION]["data"], "--keys", KEYS, "--in-flight", in_flight,
                         "--seconds", seconds, *([] if fill else ["--no-fill"]))
        result = json.loads(text)
        return {"p50": result["p50_us"], "p99": result["p99_us"]}


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def measure(options, region, load):
    """{fault: {"opens_after_s": [..], in flight: {"before": [..], "during": [..]}}}"""
    results = {fault: {"opens_after_s": [], **{n: {"before": [], "during": []} for n in IN_FLIGHT}}
               for fault in FAULTS}
    region.hits(IN_FLIGHT[-1], 1, fill=True)
    # A node that has just started drops what it took in before it followed a slot's changelog, and
    # each run asks for its own choice of keys: after these L1 has them all.
    for _ in range(WARM_UP_RUNS):
        region.hits(IN_FLIGHT[-1], 0.5)
    for _ in range(options.rounds):
        for fault, (begin, end) in FAULTS.items():
            result = results[fault]
            for in_flight in IN_FLIGHT:
                result[in_flight]["before"].append(region.hits(in_flight, options.seconds))
            region.command(*begin)
            result["opens_after_s"].append(region.await_circuit(True))
            for in_flight in IN_FLIGHT:
                result[in_flight]["during"].append(region.hits(in_flight, options.seconds))
            region.command(*end)
            region.await_circuit(False)
            load.ask("counts")
    return results


def report(options, results):
    answer = {"bench": NAME, "rounds": options.rounds, "seconds": options.seconds}
    for fault, result in results.items():
        opened = max(result["opens_after_s"])
        answer[fault] = {"opens_after_s": round(opened, 2)}
        for in_flight in IN_FLIGHT:
            for share in ("p50", "p99"):
                before, during = (statistics.median(one[share] for one in result[in_flight][when])
                                  for when in ("before", "during"))
                answer[fault][f"{in_flight} in flight, {share}_us"] = [before, during]
                say(f"{fault}: breaker open after at most {opened:.2f} s; L1 hits, {in_flight} in "
                    f"flight, {share}: {before:g} us before, {during:g} us during "
                    f"({100 * during / before - 100:+.0f} %)")
    print(json.dumps(answer))


def add_arguments(parser):
    parser.add_argument("--rounds", type=positive, default=3, help="default 3")
    parser.add_argument("--seconds", type=number(0.1, 3600), default=2,
                        help="of each measurement, default 2")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    binaries = options.bin.resolve() if options.bin else build(*BINARIES)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    try:
        with (Region(folder / "cluster", binaries) as region,
              Load(region, binaries, [REGION], 0, "--reads", MISSES_PER_SECOND, "--timeout-ms",
                   MISS_MS) as load):
            report(options, measure(options, region, load))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
