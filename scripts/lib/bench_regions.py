"""scripts/bench regions: replication between three regions, as figures.

  lag        from a write in one region to its arrival in the two others, without added delay, at
             2000 writes/s (goal: p99 below 100 ms)
  catch-up   eu is cut off by proxies under 1000 writes/s in all regions together, a fifth of them
             deletes, then healed while the writes go on: by how much faster than the writes each
             link catches up, from healing (goal: 5 times) and from the first change that goes
             through again, and whether the regions are equal afterwards
  apply      writes a second that one Redis takes in through the apply script, in batches of 100:
             from the load alone, and from BatchSet(100) through a node; beside plain pipelined
             SETs of the same run (goal: half of them), and beside the three commands that the
             script is made of, pipelined

In production a cut takes 10 minutes and the catch-up 2; --cut-seconds shortens both in the same
ratio, --full takes the whole time. Everything is on this machine. Ends with one line of JSON.

Calls that fail do not end the measurement. They are counted and shown, with those apart before which
a thread of the load or of a server of the region had work and no processor for half a second: that
is the machine's doing, not the cache's.
Exit code 1, after the report, when a call failed, a region differs, or lag or catch-up miss a goal.
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
from bench_tools import BINARIES_HELP, MachineWatch, build, number, output_of, warn_when_busy
from cluster import LOOPBACK, positive
from processes import (Interrupts, Problem, Process, free_port, histogram_quantile, metric_samples,
                       redis_answers, wait_until)

NAME = "regions"
SUMMARY = "replication lag, catch-up after a cut, the apply script beside plain SETs"
BINARIES = ("meridian-node", "meridian-coordinator", "meridianctl", "meridian-fault-proxy",
            "meridian-region-load", "meridian-apply-load", "meridian-load")
REGIONS = ("us", "eu", "asia")
CUT = "eu"
PARTS = ("lag", "catch-up", "apply")
LAG_WRITES, CUT_WRITES = 2000, 1000  # A second; the second of all regions together.
LAG_GOAL_MS = 100  # p99
RATE_GOAL = 0.95  # Of the writes that were asked for; with less, nothing is said.
KEYS, VALUE_BYTES, BATCH = 10000, 100, 100
WARM_UP_SECONDS = 3
FULL_CUT_SECONDS = 600
CATCH_UP_LIMIT_SECONDS = 420
CATCH_UP_GOAL = 5  # Times the writes of its source.
CAUGHT_UP_SECONDS = 1  # Writes go on, so something always waits; nothing that is older than this.
POLL_SECONDS = 0.05
PROGRESS_SECONDS = 60
# A failed call is the machine's doing when a thread waited so long for a processor in so long a time
# before the call's end, or in all of the call's time when that is longer.
STARVED_SECONDS, STARVED_WITHIN_SECONDS = 0.5, 2
SHOWN_FAILURES = 10
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


class Failures:
    """The calls of a load that failed, as figures and for people."""

    def __init__(self, load, phases, machine):
        """`phases`: [(name, seconds of the load at its end)], in order."""
        seconds, counts = load.counts()
        self._began = time.monotonic() - seconds
        self._machine = machine
        listed = load.failures()
        self.total = sum(one["failed"] for one in counts.values())
        self.starved = 0
        self.generator_late_ms = max(one["generator_late_ms"] for one in counts.values())
        self.doubtful_keys = sum(one["doubtful_keys"] for one in counts.values())
        self.by_phase = {}
        for i, one in enumerate(listed):
            waited, who = self._longest_wait(one)
            starved = waited >= STARVED_SECONDS
            self.starved += starved
            phase = next((name for name, end in phases if one["seconds"] <= end), "after")
            words = (f"{phase}, {one['region']}, {one['call']}, {one['reason']}"
                     + (", no processor" if starved else ""))
            self.by_phase[words] = self.by_phase.get(words, 0) + 1
            if i < SHOWN_FAILURES:
                say(f"failed: {one['call']} of {one['key']} in {one['region']} after "
                    f"{one['took_ms']:.0f} ms, at {one['seconds']:.1f} s; {who} had no processor "
                    f"for {1000 * waited:.0f} ms: {one['reason']} {one['message'][:200]}")

    def _longest_wait(self, one):
        end = self._began + one["seconds"]
        begin = end - max(one["took_ms"] / 1000, STARVED_WITHIN_SECONDS)
        return max(self._machine.waited(prefix, begin, end)
                   for prefix in (f"{one['region']}-", "load"))

    def report(self):
        return {"failed": self.total, "failed_without_a_processor": self.starved,
                "failed_by_phase": self.by_phase, "doubtful_keys": self.doubtful_keys,
                "generator_late_ms": round(self.generator_late_ms, 1)}

    def problems(self):
        return ([f"{self.total} calls failed, {self.starved} of them without a processor"]
                if self.total else [])


def redis_shape(options):
    """Words for scripts/local-cluster up."""
    return ([*(["--redis", options.redis] if options.redis else []),
             *(["--redis-tls"] if options.redis_tls else [])])


def measure_lag(options, folder, binaries):
    source, *targets = REGIONS
    problems = []
    with (Regions(folder, binaries, *redis_shape(options)) as regions,
          regions.load([source], LAG_WRITES) as load,
          MachineWatch(regions.pids | {"load": load.pid}) as machine):
        time.sleep(WARM_UP_SECONDS)
        start = time.monotonic()
        before = {target: regions.lags(source, target) for target in targets}
        began, counts = load.counts()
        time.sleep(options.seconds)
        ended, later = load.counts()
        rate = (later[source]["writes"] - counts[source]["writes"]) / (ended - began)
        result = {"writes_per_second": round(rate)}
        for target in targets:
            buckets = [(bound, count - before[target].get(bound, 0.0))
                       for bound, count in regions.lags(source, target).items()]
            p50, p99 = (histogram_quantile(buckets, share) * 1000 for share in (0.5, 0.99))
            result[f"{source} to {target}"] = {"p50_ms": p50, "p99_ms": p99,
                                               "goal_reached": p99 < LAG_GOAL_MS}
            say(f"{source} to {target}: p50 at most {p50:g} ms, p99 at most {p99:g} ms at "
                f"{rate:.0f} writes/s")
            if p99 >= LAG_GOAL_MS:
                problems.append(f"{source} to {target}: p99 at most {p99:g} ms, the goal is less "
                                f"than {LAG_GOAL_MS} ms")
        failures = Failures(load, [("warm-up", began), ("measured", ended)], machine)
        result |= failures.report() | machine.since(start)
    if rate < RATE_GOAL * LAG_WRITES:
        problems.append(f"only {rate:.0f} of {LAG_WRITES} writes/s were possible")
    return result, problems + failures.problems()


def follow(regions, links, healed, at_heal):
    """{link: (seconds until the first change, seconds until it has caught up)} since healing.

    None for what has not come after CATCH_UP_LIMIT_SECONDS.
    """
    began, ended = {}, {}
    while len(ended) < len(links) and time.monotonic() - healed < CATCH_UP_LIMIT_SECONDS:
        for link in links:
            _, oldest, applied = regions.link(*link)
            now = time.monotonic() - healed
            if applied > at_heal[link][2]:
                began.setdefault(link, now)
                if oldest < CAUGHT_UP_SECONDS:
                    ended.setdefault(link, now)
        time.sleep(POLL_SECONDS)
    return {link: (began.get(link), ended.get(link)) for link in links}


def catch_up_of(link, at_heal, times, rate):
    """What is said of one link: (dict, problems)."""
    first, last = times
    waiting, name = at_heal[0], " to ".join(link)
    if last is None:
        return ({"waiting": round(waiting), "goal_reached": False},
                [f"{name}: no catch-up within {CATCH_UP_LIMIT_SECONDS} s"])

    def times_the_writes(seconds):
        seconds = max(seconds, POLL_SECONDS)
        return (waiting + rate * seconds) / seconds / rate
    since_heal, since_first = times_the_writes(last), times_the_writes(last - first)
    reached = since_heal >= CATCH_UP_GOAL
    say(f"{name}: {waiting:.0f} changes waited, begun after {first:.1f} s, caught up after "
        f"{last:.1f} s: {since_heal:.1f} times the {rate:.0f} writes/s since healing, "
        f"{since_first:.1f} times since the first change")
    return ({"waiting": round(waiting), "begins_after_s": round(first, 2),
             "caught_up_after_s": round(last, 2),
             "times_the_writes_since_healing": round(since_heal, 1),
             "times_the_writes_since_the_first_change": round(since_first, 1),
             "goal_reached": reached},
            [] if reached else [f"{name}: {since_heal:.1f} times the writes since healing, the "
                                f"goal is {CATCH_UP_GOAL} times"])


def stay_cut(seconds, load):
    """Lets the time of a cut pass and says how it goes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, PROGRESS_SECONDS))
        if left > PROGRESS_SECONDS:
            passed, counts = load.counts()
            say(f"{passed:.0f} s: {sum(one['writes'] for one in counts.values())} writes, "
                f"{sum(one['failed'] for one in counts.values())} calls failed")


def measure_catch_up(options, folder, binaries):
    delays = ["--wan-delay", options.wan_delay] if options.wan_delay else []
    links = [(a, b) for a in REGIONS for b in REGIONS if a != b and CUT in (a, b)]
    problems = []
    with (Regions(folder, binaries, "--fault-proxies", "links", *delays,
                  *redis_shape(options)) as regions,
          regions.load(REGIONS, CUT_WRITES / len(REGIONS), "--reads", 100) as load,
          MachineWatch(regions.pids | {"load": load.pid}) as machine):
        time.sleep(WARM_UP_SECONDS)
        start = time.monotonic()
        regions.command("cut", CUT)
        began, before = load.counts()
        stay_cut(options.cut_seconds, load)
        at_heal = {link: regions.link(*link) for link in links}
        regions.command("heal", CUT)
        healed = time.monotonic()
        cut_ended, _ = load.counts()
        times = follow(regions, links, healed, at_heal)
        ended, after = load.counts()
        result = {"cut_seconds": options.cut_seconds, "wan_delay": options.wan_delay, "links": {}}
        for link in links:
            source = link[0]
            rate = (after[source]["writes"] - before[source]["writes"]) / (ended - began)
            if rate < RATE_GOAL * CUT_WRITES / len(REGIONS):
                problems.append(f"only {rate:.0f} of {CUT_WRITES / len(REGIONS):.0f} writes/s were "
                                f"possible in {source}")
            result["links"][" to ".join(link)], missed = catch_up_of(
                link, at_heal[link], times[link], rate)
            problems += missed
        load.ask("stop")
        _, counts = load.counts()
        deadline = time.monotonic() + 60
        while any(regions.link(*link)[1] > CAUGHT_UP_SECONDS for link in links):
            if time.monotonic() > deadline:
                problems.append("what was written last does not arrive")
                break
            time.sleep(POLL_SECONDS)
        failures = Failures(load, [("warm-up", began), ("cut", cut_ended), ("catch-up", ended)],
                            machine)
        result |= {"differing_keys": regions.differing_keys(),
                   "wrong_entries": len(load.ask("check")),
                   "writes": sum(one["writes"] for one in counts.values()),
                   "deletes": sum(one["deletes"] for one in counts.values()),
                   "reads": sum(one["reads"] for one in counts.values()),
                   **failures.report(), **machine.since(start)}
    say(f"{result['writes']} writes, {result['deletes']} of them deletes, {failures.total} failed "
        f"({failures.starved} without a processor; the load's thread was at most "
        f"{failures.generator_late_ms:.0f} ms late); {result['differing_keys']} keys differ, "
        f"{result['wrong_entries']} entries are wrong")
    if result["differing_keys"] or result["wrong_entries"]:
        problems.append("the regions are not equal")
    return result, problems + failures.problems()


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


def batch_sets(cluster, seconds):
    """Writes a second of BatchSet through the node."""
    text = output_of(cluster.binaries / "meridian-load", "--target",
                     cluster.addresses["bench"]["data"], "--op", "batchset", "--batch", BATCH,
                     "--in-flight", 16, "--keys", KEYS, "--value-size", VALUE_BYTES, "--no-fill",
                     "--seconds", seconds)
    return json.loads(text)["keys_per_second"]


def measure_apply(options, folder, binaries):
    value = "v" * VALUE_BYTES
    rounds = []
    with Redis(folder) as redis, BenchCluster(folder / "node", binaries, ["bench"]) as cluster:
        for _ in range(options.rounds):
            rates = {"set": redis.pipelined("SET", "key:__rand_int__", value, "PX", "3600000"),
                     "getrange": redis.pipelined("GETRANGE", "key:__rand_int__", "0", "32"),
                     "xadd": redis.pipelined("XADD", "log:__rand_int__", "MAXLEN", "~", "100000",
                                             "*", "c", "v" * 36),
                     "apply": redis.applied(binaries, options.seconds / 4),
                     "batch_set": batch_sets(cluster, options.seconds / 4)}
            rounds.append(rates)
            say(", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items()))
    median = {name: statistics.median(rates[name] for rates in rounds) for name in rounds[0]}
    parts = 1 / sum(1 / median[name] for name in ("set", "getrange", "xadd"))
    return {"per_second": {name: round(rate) for name, rate in median.items()},
            "apply_by_set": round(median["apply"] / median["set"], 2),
            "batch_set_by_set": round(median["batch_set"] / median["set"], 2),
            "apply_by_its_commands": round(median["apply"] / parts, 2)}, []


def add_arguments(parser):
    parser.add_argument("--only", choices=PARTS, help="one of the measurements")
    parser.add_argument("--seconds", type=number(1, 3600), default=15,
                        help="of the lag, default 15")
    parser.add_argument("--cut-seconds", type=number(1, 3600), default=30,
                        help="of the cut, default 30")
    parser.add_argument("--full", action="store_true", help="a cut of 10 minutes")
    parser.add_argument("--wan-delay", default="", metavar="PAIRS",
                        help="of the catch-up; as for scripts/local-cluster up, default none")
    parser.add_argument("--redis", default="", metavar="SHAPES",
                        help="of lag and catch-up: standalone, sentinel, cluster, or of each "
                             "region, as for scripts/local-cluster up; default standalone")
    parser.add_argument("--redis-tls", action="store_true", help="Redis of these over TLS only")
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
    problems = []
    try:
        for part in [options.only] if options.only else PARTS:
            say(part)
            result[part], missed = measures[part](options, folder / part, binaries)
            problems += missed
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result), flush=True)
    if problems:
        raise Problem("; ".join(problems))
