"""scripts/bench data-path: Get and BatchGet(100) of a node beside GET and MGET of 100 of Redis.

Values of 100 bytes, 10,000 keys, all resident. One redis-server that does nothing else answers
redis-benchmark; one meridian-node (with a coordinator and a Redis of its own) answers
meridian-load. The measurements alternate, and the medians of the rounds are compared. MGET counts
with the connections that suit Redis best. Ends with one line of JSON.
"""

import csv
import io
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from bench_tools import (BINARIES_HELP, build, number, output_of, warn_when_busy,
                         whole_number)
from cluster import LOOPBACK, ROOT, Cluster
from processes import (Interrupts, Problem, Process, free_port, redis_answers, wait_until)

NAME = "data-path"
SUMMARY = "Get and BatchGet(100) beside GET and MGET of 100 of Redis"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-load")
KEYS = 10000
VALUE_BYTES = 100
BATCH = 100
GET_CONNECTIONS = 50
MGET_CONNECTIONS = (8, 50)
# Requests of redis-benchmark for about one second; it takes counts only.
GETS_PER_SECOND, MGETS_PER_SECOND = 80000, 25000


class Redis:
    """The redis-server that is measured, filled with the keys."""

    def __init__(self, folder):
        self.port = free_port()
        self.process = Process("redis", [
            shutil.which("redis-server") or "redis-server", "--port", str(self.port), "--bind",
            LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(folder)],
            str(folder / "redis.log"))

    def start(self):
        with Interrupts.held():
            self.process.spawn()
        wait_until("starting", self.process, time.monotonic() + 10,
                   lambda: redis_answers(self.port, self.process.pid))
        # Ten SETs of random keys a key leave less than one key in 20,000 unset.
        self._benchmark("-c", GET_CONNECTIONS, "-n", 10 * KEYS, "-t", "set")

    def _benchmark(self, *words):
        """Requests a second."""
        text = output_of("redis-benchmark", "-h", LOOPBACK, "-p", self.port, "-d", VALUE_BYTES,
                         "-r", KEYS, "--csv", *words)
        rows = list(csv.DictReader(io.StringIO(text)))
        if len(rows) != 1:
            raise Problem(f"redis-benchmark said: {text[:500]}")
        return float(rows[0]["rps"])

    def gets(self, seconds):
        return self._benchmark("-c", GET_CONNECTIONS, "-n", int(GETS_PER_SECOND * seconds),
                               "-t", "get")

    def multi_gets(self, connections, seconds):
        """Keys a second."""
        return BATCH * self._benchmark("-c", connections, "-n", int(MGETS_PER_SECOND * seconds),
                                       "MGET", *["key:__rand_int__"] * BATCH)


class Meridian:
    """The node that is measured. meridian-load fills it and counts errors."""

    def __init__(self, folder, binaries):
        self._folder = folder
        self._binaries = binaries
        self.target = None

    def start(self):
        output_of(ROOT / "scripts" / "local-cluster", "--dir", self._folder, "up", "--regions",
                  "bench", "--nodes", 1, "--bin", self._binaries)
        cluster = Cluster(self._folder)
        cluster.load()
        self.target = cluster.part("bench-node-1").addresses["data"]

    def stop(self):
        with Interrupts.held():
            output_of(ROOT / "scripts" / "local-cluster", "--dir", self._folder, "down")

    def _load(self, seconds, *words):
        """Keys a second."""
        text = output_of(self._binaries / "meridian-load", "--target", self.target, "--keys", KEYS,
                         "--value-size", VALUE_BYTES, "--seconds", seconds, "--json", *words)
        result = json.loads(text)
        if result["errors"] or result["misses"]:
            raise Problem(f"meridian-load had errors or misses: {text}")
        return result["keys_per_second"]

    def gets(self, in_flight, seconds):
        return self._load(seconds, "--op", "get", "--in-flight", in_flight)

    def batch_gets(self, in_flight, seconds):
        return self._load(seconds, "--op", "batchget", "--batch", BATCH, "--in-flight", in_flight)


def measure(options, redis, meridian):
    """name -> keys a second of each round."""
    measurements = {"redis GET": lambda: redis.gets(options.seconds),
                    "meridian Get": lambda: meridian.gets(options.in_flight, options.seconds)}
    for connections in MGET_CONNECTIONS:
        measurements[f"redis MGET, {connections} connections"] = (
            lambda connections=connections: redis.multi_gets(connections, options.seconds))
    measurements["meridian BatchGet"] = (
        lambda: meridian.batch_gets(options.batches_in_flight, options.seconds))
    results = {name: [] for name in measurements}
    for number in range(options.rounds):
        for name, run in measurements.items():
            results[name].append(run())
            print(f"  round {number + 1}: {name:<28}{results[name][-1]:>12,.0f} keys/s",
                  file=sys.stderr, flush=True)
    return results


def report(options, results):
    median = {name: statistics.median(values) for name, values in results.items()}
    mget = max((name for name in median if "MGET" in name), key=median.get)
    rows = [("single, 50 concurrent", "redis GET", "meridian Get"),
            (f"batches of {BATCH}", mget, "meridian BatchGet")]
    print(f"\n{'':<24}{'Redis keys/s':>14}{'Meridian keys/s':>18}{'ratio':>8}")
    for title, redis, meridian in rows:
        print(f"{title:<24}{median[redis]:>14,.0f}{median[meridian]:>18,.0f}"
              f"{median[meridian] / median[redis]:>8.2f}")
    print(f"\n{VALUE_BYTES}-byte values, {KEYS:,} keys, {os.cpu_count()} CPUs shared by client and "
          f"server, medians of {options.rounds} rounds of {options.seconds:g} s; {mget} was the "
          "better of MGET.")
    print(json.dumps({
        "bench": "data-path", "cpus": os.cpu_count(), "rounds": options.rounds,
        "seconds": options.seconds, "keys_per_second": {k: round(v) for k, v in median.items()},
        "ratio_get": round(median["meridian Get"] / median["redis GET"], 3),
        "ratio_batch_get_100": round(median["meridian BatchGet"] / median[mget], 3)}))


def add_arguments(parser):
    parser.add_argument("--rounds", type=whole_number(1, 1000), default=3, help="default 3")
    parser.add_argument("--seconds", type=number(0.1, 3600), default=4,
                        help="of each measurement, default 4")
    parser.add_argument("--in-flight", type=whole_number(1, 100000), default=50,
                        help="concurrent Gets, default 50")
    parser.add_argument("--batches-in-flight", type=whole_number(1, 100000), default=16,
                        help="concurrent BatchGets, default 16")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    redis = meridian = None
    try:
        binaries = options.bin.resolve() if options.bin else build(*BINARIES)
        redis, meridian = Redis(folder), Meridian(folder / "cluster", binaries)
        redis.start()
        meridian.start()
        report(options, measure(options, redis, meridian))
    finally:
        if redis:
            redis.process.kill()
        if meridian and (folder / "cluster" / "state.json").exists():
            meridian.stop()
        shutil.rmtree(folder, ignore_errors=True)
