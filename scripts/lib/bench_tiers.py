"""scripts/bench tiers: what a hit takes by the tier that answers it, beside a GET of Redis.

One region of two nodes with a Redis; one of them is asked, so that it passes half of the keys on to
the other. Values of 100 bytes, 10,000 keys. *L1*: all are in the nodes' memory. *L2*: a namespace
whose policy keeps nothing in memory. *10 keys*: a BatchGet of ten in L1, as an authorisation asks.
*Redis GET*: redis-benchmark asks the same Redis itself. *near cache*: hits in the memory of the
caller's process (scripts/bench near). Each is measured with one call in flight, which is what one
caller waits, and all but the near cache with 16. Every answer is checked, also which tier gave it.
The measurements alternate; of the rounds the medians are told. Goals, which decide the exit code:
p95 of one call in flight below 1 ms in L1 and 5 ms in L2, of 16, which use all processors up, below
5 and 10 ms (4-07, 4-12), of ten keys below 75 ms (1-01); and the medians of 3-11, below 10 us in
the near cache and 100 us in Redis. Ends with one line of JSON.
"""

import csv
import io
import json
import pathlib
import statistics
import time

import bench_near
from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, measuring, number, output_of, whole_number
from cluster import LOOPBACK
from processes import Problem

NAME = "tiers"
SUMMARY = "latencies of hits in L1 and in L2, of Redis itself, and of the near cache"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-load", bench_near.BINARY)
REGION = "bench"
KEYS, VALUE_BYTES = 10000, 100
IN_FLIGHT = (1, 16)
PERCENTILES = ("p50_us", "p95_us", "p99_us")
# name: (namespace, words for meridian-load)
TIERS = {"L1": ("warm", ("--source", "l1")),
         "L2": ("l2only", ("--source", "l2")),
         "10 keys": ("warm", ("--source", "l1", "--op", "batchget", "--batch", 10))}
REDIS, NEAR = "Redis GET", "near cache"
# (name, in flight): (of which percentile, below how many microseconds it is to be)
GOALS = {("L1", 1): ("p95_us", 1000), ("L1", 16): ("p95_us", 5000),
         ("L2", 1): ("p95_us", 5000), ("L2", 16): ("p95_us", 10000),
         ("10 keys", 1): ("p95_us", 75000), ("10 keys", 16): ("p95_us", 75000),
         (REDIS, 1): ("p50_us", 100), (NEAR, 1): ("p50_us", 10)}
# Values of 1 byte and more are kept out of L1 unless they are asked for a million times.
POLICIES = """namespaces:
  l2only: {admission: {max_size: 1, min_hits: 1000000}}
"""


def load(cluster, tier, *words, check=True):
    """What meridian-load says. Without `check` answers of another tier are no failure."""
    name_space, tier_words = TIERS[tier]
    if not check:
        tier_words = ()
    return json.loads(output_of(
        cluster.binaries / "meridian-load", "--target", cluster.addresses[REGION]["data"], "--keys",
        KEYS, "--value-size", VALUE_BYTES, "--namespace", name_space, *words, *tier_words))


def fill(cluster):
    """Writes all keys, and reads those that nodes keep until they do: an owner that has just begun
    keeps nothing before it follows the changes of its slots."""
    load(cluster, "L2", "--seconds", 0.1)
    load(cluster, "L1", "--seconds", 1, "--op", "batchget", check=False)
    end = time.monotonic() + 30
    while True:
        try:
            load(cluster, "10 keys", "--seconds", 3, "--no-fill")
            return
        except Problem:
            if time.monotonic() > end:
                raise


def redis(port, in_flight, seconds):
    """By redis-benchmark, which takes a number of requests: about `seconds` of them."""
    words = ("redis-benchmark", "-h", LOOPBACK, "-p", port, "-r", KEYS, "-d", VALUE_BYTES, "-c",
             in_flight, "--csv")
    output_of(*words, "-n", KEYS, "-t", "set")
    rate = {1: 15000, 16: 80000}[in_flight]
    rows = list(csv.DictReader(io.StringIO(output_of(*words, "-n", int(rate * seconds), "-t",
                                                     "get"))))
    if len(rows) != 1:
        raise Problem(f"redis-benchmark said: {rows}")
    return {name: 1000 * float(rows[0][f"{name[:3]}_latency_ms"]) for name in PERCENTILES}


def near(binaries, seconds):
    """By near_cache_bench, of one thread: it tells the median."""
    _, runs = bench_near.measure(binaries / bench_near.BINARY, seconds / 4)
    hit = next(one for one in bench_near.summarize(runs)["hits"]
               if (one["keys"], one["threads"]) == (KEYS, 1))
    if hit["not_near"]:
        raise Problem(f"{hit['not_near']} reads were not answered by the near cache")
    return {"p50_us": hit["p50_ns"] / 1000}


def missed(medians):
    """What to say of goals that are not reached, of {(name, in flight): {percentile: us}}."""
    problems = []
    for measured, (percentile, below) in GOALS.items():
        value = medians[measured][percentile]
        if value >= below:
            problems.append(f"{measured[0]} with {measured[1]} in flight: {percentile[:3]} "
                            f"{round(value, 1):g} us, goal below {below}")
    return problems


def report(options, results):
    medians = {measured: {name: statistics.median(one[name] for one in rounds) for name in PERCENTILES
                          if name in rounds[0]}
               for measured, rounds in results.items()}
    print(f"{'':<28}{'p50':>9}{'p95':>9}{'p99':>9}  microseconds")
    for (tier, in_flight), median in medians.items():
        columns = (f"{median[name]:>9,.{0 if median[name] >= 10 else 1}f}" if name in median
                   else f"{'–':>9}" for name in PERCENTILES)
        print(f"{tier + ', ' + str(in_flight) + ' in flight':<28}" + "".join(columns))
    latencies = {f"{tier}, {in_flight}": {name: round(value, 1) for name, value in median.items()}
                 for (tier, in_flight), median in medians.items()}
    problems = missed(medians)
    print(json.dumps({"bench": NAME, "keys": KEYS, "value_bytes": VALUE_BYTES,
                      "rounds": options.rounds, "seconds": options.seconds,
                      "latency_us": latencies, "goals_missed": problems}), flush=True)
    if problems:
        raise Problem("; ".join(problems))


def add_arguments(parser):
    parser.add_argument("--rounds", type=whole_number(1, 1000), default=3, help="default 3")
    parser.add_argument("--seconds", type=number(0.1, 3600), default=3,
                        help="of each measurement, default 3")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    with measuring(options, BINARIES) as (binaries, folder):
        policies = folder / "policies.yaml"
        policies.write_text(POLICIES)
        results = {}
        with BenchCluster(folder / "cluster", binaries, [REGION],
                          f"--node-flag=--policies={policies}", nodes=2) as cluster:
            fill(cluster)
            port = cluster.redis_ports[REGION]
            for number_ in range(options.rounds):
                for in_flight in IN_FLIGHT:
                    for tier in TIERS:
                        results.setdefault((tier, in_flight), []).append(
                            load(cluster, tier, "--in-flight", in_flight, "--seconds",
                                 options.seconds, "--no-fill"))
                    results.setdefault((REDIS, in_flight), []).append(
                        redis(port, in_flight, options.seconds))
                results.setdefault((NEAR, 1), []).append(near(binaries, options.seconds))
                say(f"round {number_ + 1} of {options.rounds}")
        report(options, results)
