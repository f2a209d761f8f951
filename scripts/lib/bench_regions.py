"""scripts/bench regions: replication between three regions, as figures.

  lag        from a write in one region to its arrival in the two others, without added delay, at
             2000 writes/s (goal: p99 below 100 ms)
  catch-up   eu is cut off by proxies under 1000 writes/s in all regions together, a fifth of them
             deletes, then healed while the writes go on: by how much faster than the writes each
             link catches up, from healing (goal: 5 times) and from the first change that goes
             through again, and whether the regions are equal afterwards
  apply      writes a second that one Redis takes in through the apply script, in batches of 100,
             beside plain pipelined SETs of the same run (goal: half of them), and beside the three
             commands that the script is made of, pipelined

In production a cut takes 10 minutes and the catch-up 2; --cut-seconds shortens both in the same
ratio, --full takes the whole time. Everything is on this machine. Ends with one line of JSON.
"""

import csv
import io
import json
import os
import pathlib
import shutil
import statistics
import tempfile
import time

from bench_cluster import BenchCluster, Load, say
from bench_tools import BINARIES_HELP, build, number, output_of, warn_when_busy
from cluster import LOOPBACK, positive
from processes import (Interrupts, Problem, Process, free_port, histogram_quantile, metric_samples,
                       redis_answers, wait_until)

NAME = "regions"
SUMMARY = "replication lag, catch-up after a cut, the apply script beside plain SETs"
BINARIES = ("meridian-node", "meridian-coordinator", "meridianctl", "meridian-fault-proxy",
            "meridian-region-load", "meridian-apply-load")
REGIONS = ("us", "eu", "asia")
CUT = "eu"
PARTS = ("lag", "catch-up", "apply")
LAG_WRITES, CUT_WRITES = 2000, 1000  # A second; the second of all regions together.
KEYS, VALUE_BYTES, BATCH = 10000, 100, 100
WARM_UP_SECONDS = 3
FULL_CUT_SECONDS = 600
CATCH_UP_GOAL = 5  # Times the writes of its source.
CAUGHT_UP_SECONDS = 1  # Writes go on, so something always waits; nothing that is older than this.
POLL_SECONDS = 0.05
PIPELINED = 2_000_000  # Requests of redis-benchmark: some seconds.


class Regions(BenchCluster):
    """Three regions, and how the links between them are."""

    def __init__(self, folder, binaries, *flags):
        super().__init__(folder, binaries, REGIONS, *flags)

    def link(self, source, target):
        """(changes that wait, age of the oldest, changes applied so far)"""
        text = self.metrics(source)
        return tuple(sum(value for labels, value in metric_samples(text, name)
                         if labels.get("to") == target)
                     for name in ("meridian_replication_queue_entries",
                                  "meridian_replication_oldest_seconds",
                                  "meridian_replication_applied_total"))

    def lags(self, source, target):
        """{upper bound: cumulative count} of the lag's histogram at the target."""
        samples = metric_samples(self.metrics(target), "meridian_replication_lag_seconds_bucket")
        return {float(labels["le"]): value for labels, value in samples
                if labels["from"] == source}

    def differing_keys(self):
        text = output_of(self.binaries / "meridianctl", "region", "diff", "--json", "--admin",
                         self.addresses[REGIONS[0]]["admin"])
        return int(json.loads(text).get("differing_keys", 0))

    def load(self, names, writes_per_second, *flags):
        return Load(self, names, writes_per_second, "--value-size", VALUE_BYTES, *flags)


def measure_lag(options, folder, binaries):
    source, *targets = REGIONS
    with (Regions(folder, binaries) as regions,
          regions.load([source], LAG_WRITES) as load):
        time.sleep(WARM_UP_SECONDS)
        before = {target: regions.lags(source, target) for target in targets}
        began, counts = load.counts()
        time.sleep(options.seconds)
        ended, later = load.counts()
        rate = (later[source]["writes"] - counts[source]["writes"]) / (ended - began)
        result = {"writes_per_second": round(rate)}
        for target in targets:
            buckets = [(bound, count - before[target].get(bound, 0.0))
                       for bound, count in regions.lags(source, target).items()]
            p50, p99 = (histogram_quantile(buckets, share) for share in (0.5, 0.99))
            result[f"{source} to {target}"] = {"p50_ms": p50 * 1000, "p99_ms": p99 * 1000}
            say(f"{source} to {target}: p50 at most {p50 * 1000:g} ms, p99 at most "
                f"{p99 * 1000:g} ms at {rate:.0f} writes/s")
    if rate < 0.95 * LAG_WRITES:
        raise Problem(f"only {rate:.0f} of {LAG_WRITES} writes/s were possible")
    return result


def follow(regions, links, healed, at_heal):
    """{link: (seconds until the first change, seconds until it has caught up)} since healing."""
    began, ended = {}, {}
    while len(ended) < len(links):
        for link in links:
            _, oldest, applied = regions.link(*link)
            now = time.monotonic() - healed
            if applied > at_heal[link][2]:
                began.setdefault(link, now)
                if oldest < CAUGHT_UP_SECONDS:
                    ended.setdefault(link, now)
        if time.monotonic() - healed > 120 + FULL_CUT_SECONDS / 2:
            raise Problem(f"no catch-up of {', '.join(str(l) for l in links if l not in ended)}")
        time.sleep(POLL_SECONDS)
    return {link: (began[link], ended[link]) for link in links}


def measure_catch_up(options, folder, binaries):
    delays = ["--wan-delay", options.wan_delay] if options.wan_delay else []
    links = [(a, b) for a in REGIONS for b in REGIONS if a != b and CUT in (a, b)]
    with (Regions(folder, binaries, "--fault-proxies", "links", *delays) as regions,
          regions.load(REGIONS, CUT_WRITES / len(REGIONS), "--reads", 100) as load):
        time.sleep(WARM_UP_SECONDS)
        load.counts()
        regions.command("cut", CUT)
        began, before = load.counts()
        time.sleep(options.cut_seconds)
        at_heal = {link: regions.link(*link) for link in links}
        regions.command("heal", CUT)
        healed = time.monotonic()
        times = follow(regions, links, healed, at_heal)
        ended, after = load.counts()
        result = {"cut_seconds": options.cut_seconds, "wan_delay": options.wan_delay, "links": {}}
        for link, (first, last) in times.items():
            source = link[0]
            rate = (after[source]["writes"] - before[source]["writes"]) / (ended - began)
            waiting, name = at_heal[link][0], " to ".join(link)

            def times_the_writes(seconds, waiting=waiting, rate=rate):
                seconds = max(seconds, POLL_SECONDS)
                return (waiting + rate * seconds) / seconds / rate
            since_heal, since_first = times_the_writes(last), times_the_writes(last - first)
            result["links"][name] = {
                "waiting": round(waiting), "begins_after_s": round(first, 2),
                "caught_up_after_s": round(last, 2),
                "times_the_writes_since_healing": round(since_heal, 1),
                "times_the_writes_since_the_first_change": round(since_first, 1),
                "goal_reached": since_heal >= CATCH_UP_GOAL}
            say(f"{name}: {waiting:.0f} changes waited, begun after {first:.1f} s, caught up after "
                f"{last:.1f} s: {since_heal:.1f} times the {rate:.0f} writes/s since healing, "
                f"{since_first:.1f} times since the first change"
                + ("" if since_heal >= CATCH_UP_GOAL else f"; the goal is {CATCH_UP_GOAL} times"))
        load.ask("stop")
        _, counts = load.counts()
        deadline = time.monotonic() + 60
        while any(regions.link(*link)[1] > CAUGHT_UP_SECONDS for link in links):
            if time.monotonic() > deadline:
                raise Problem("what was written last does not arrive")
            time.sleep(POLL_SECONDS)
        result["differing_keys"] = regions.differing_keys()
        result["wrong_entries"] = len(load.ask("check"))
        result["writes"] = sum(one["writes"] for one in counts.values())
        result["deletes"] = sum(one["deletes"] for one in counts.values())
    say(f"{result['writes']} writes, {result['deletes']} of them deletes, 0 failed; "
        f"{result['differing_keys']} keys differ, {result['wrong_entries']} entries are wrong")
    if result["differing_keys"] or result["wrong_entries"]:
        raise Problem("the regions are not equal")
    return result


class Redis:
    """A redis-server that does nothing else."""

    def __init__(self, folder):
        folder.mkdir()
        self.port = free_port()
        self._process = Process("redis", [
            shutil.which("redis-server") or "redis-server", "--port", str(self.port), "--bind",
            LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(folder)],
            str(folder / "redis.log"))

    def __enter__(self):
        with Interrupts.held():
            self._process.spawn()
        wait_until("starting", self._process, time.monotonic() + 10,
                   lambda: redis_answers(self.port, self._process.pid))
        return self

    def __exit__(self, *_):
        self._process.kill()

    def pipelined(self, *command):
        """Commands a second, 8 connections with 100 in flight each."""
        text = output_of("redis-benchmark", "-h", LOOPBACK, "-p", self.port, "-c", 8, "-P", BATCH,
                         "-n", PIPELINED, "-r", KEYS, "--csv", *command)
        return float(list(csv.DictReader(io.StringIO(text)))[0]["rps"])

    def applied(self, binaries, seconds):
        text = output_of(binaries / "meridian-apply-load", "--redis",
                         f"redis://{LOOPBACK}:{self.port}", "--batch", BATCH, "--in-flight", 8,
                         "--keys", KEYS, "--value-size", VALUE_BYTES, "--seconds", seconds)
        return json.loads(text)["writes_per_second"]


def measure_apply(options, folder, binaries):
    value = "v" * VALUE_BYTES
    rounds = []
    with Redis(folder) as redis:
        for _ in range(options.rounds):
            rates = {"set": redis.pipelined("SET", "key:__rand_int__", value, "PX", "3600000"),
                     "getrange": redis.pipelined("GETRANGE", "key:__rand_int__", "0", "32"),
                     "xadd": redis.pipelined("XADD", "log:__rand_int__", "MAXLEN", "~", "100000",
                                             "*", "c", "v" * 36),
                     "apply": redis.applied(binaries, options.seconds / 4)}
            rounds.append(rates)
            say(", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items()))
    median = {name: statistics.median(rates[name] for rates in rounds) for name in rounds[0]}
    parts = 1 / sum(1 / median[name] for name in ("set", "getrange", "xadd"))
    return {"per_second": {name: round(rate) for name, rate in median.items()},
            "apply_by_set": round(median["apply"] / median["set"], 2),
            "apply_by_its_commands": round(median["apply"] / parts, 2)}


def add_arguments(parser):
    parser.add_argument("--only", choices=PARTS, help="one of the measurements")
    parser.add_argument("--seconds", type=number(1, 3600), default=15,
                        help="of the lag, default 15")
    parser.add_argument("--cut-seconds", type=number(1, 3600), default=30,
                        help="of the cut, default 30")
    parser.add_argument("--full", action="store_true", help="a cut of 10 minutes")
    parser.add_argument("--wan-delay", default="", metavar="PAIRS",
                        help="of the catch-up; as for scripts/local-cluster up, default none")
    parser.add_argument("--rounds", type=positive, default=3, help="of apply, default 3")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    warn_when_busy()
    if options.full:
        options.cut_seconds = FULL_CUT_SECONDS
    binaries = options.bin.resolve() if options.bin else build(*BINARIES)
    measures = {"lag": measure_lag, "catch-up": measure_catch_up, "apply": measure_apply}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    result = {"bench": NAME, "cpus": os.cpu_count()}
    try:
        for part in [options.only] if options.only else PARTS:
            say(part)
            result[part] = measures[part](options, folder / part, binaries)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))
