"""scripts/bench slow-redis: what a stopped or slow regional Redis costs those whom L1 can answer.

One region of one node. meridian-load reads 1000 keys that are all in L1, one call at a time and 50
at a time, while others ask for keys that nobody has (200 calls/s, each with 100 ms). Each round
reads before the fault, during it, and after it has healed: the Redis is stopped (SIGSTOP), or a
proxy lets each of its answers take 200 ms.

The ratio of a round is what its reads took during the fault by the mean of before and after; the
figure is the median of the rounds, with the 95 % confidence interval of that median (bootstrap over
the rounds) and the noise: how far before and after of the same round, between which nothing
differs, are apart. Goal: 0.9 to 1.1. It is reached when the whole interval is inside
(goal_reached: true), missed when the whole interval is outside (false), else not decided (null):
more --rounds. The other goal: the circuit breaker opens within 2 s. Exit code 1, after the report,
when a goal is missed. Ends with one line of JSON.
"""

import json
import pathlib
import random
import statistics
import time

from bench_cluster import BenchCluster, Load, say
from bench_tools import BINARIES_HELP, measuring, number, output_of
from cluster import positive
from processes import Problem, metric_samples

NAME = "slow-redis"
SUMMARY = "latency of L1 hits while the regional Redis is stopped or slow"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-fault-proxy", "meridian-region-load",
            "meridian-load")
REGION = "bench"
KEYS = 1000
MISSES_PER_SECOND, MISS_MS = 200, 100
IN_FLIGHT = (1, 50)
SHARES = ("p50", "p99")
GOAL = 0.1
OPENS_GOAL_SECONDS = 2
CONFIDENCE, RESAMPLES = 0.95, 2000
WARM_UP_RUNS = 6
POLL_SECONDS = 0.01
OPENS_SECONDS, CLOSES_SECONDS = 10, 40  # Waited for at most.
VERDICTS = {True: "goal reached", False: "goal missed", None: "not decided"}
FAULTS = {"stopped": (("stop", f"{REGION}-redis"), ("cont", f"{REGION}-redis")),
          "200 ms an answer": (("fault", f"{REGION}-redis-proxy", "down.delay=200ms"),
                               ("fault", f"{REGION}-redis-proxy", "clear"))}


class Region(BenchCluster):
    """One node whose Redis is behind a proxy."""

    def __init__(self, folder, binaries):
        super().__init__(folder, binaries, [REGION], "--fault-proxies", "redis")

    def circuit_is_open(self):
        return any(value for _, value in
                   metric_samples(self.metrics(REGION), "meridian_l2_circuit_state"))

    def await_circuit(self, is_open, patience):
        """Seconds until the breaker is so; None when it is not within `patience`."""
        began = time.monotonic()
        while self.circuit_is_open() != is_open:
            if time.monotonic() - began > patience:
                return None
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def hits(self, in_flight, seconds, fill=False):
        """{"p50": µs, "p99": µs} of reads that L1 answers."""
        text = output_of(self.binaries / "meridian-load", "--target",
                         self.addresses[REGION]["data"], "--keys", KEYS, "--in-flight", in_flight,
                         "--seconds", seconds, *([] if fill else ["--no-fill"]))
        result = json.loads(text)
        return {share: result[f"{share}_us"] for share in SHARES}

    def all_hits(self, seconds):
        return {in_flight: self.hits(in_flight, seconds) for in_flight in IN_FLIGHT}


def measure(options, region, load):
    """{fault: [(seconds until the breaker opened, before, during, after)]}, a round each."""
    results = {fault: [] for fault in FAULTS}
    region.hits(IN_FLIGHT[-1], 1, fill=True)
    # A node that has just started drops what it took in before it followed a slot's changelog, and
    # each run asks for its own choice of keys: after these L1 has them all.
    for _ in range(WARM_UP_RUNS):
        region.hits(IN_FLIGHT[-1], 0.5)
    for number_of_round in range(options.rounds):
        for fault, (begin, end) in FAULTS.items():
            before = region.all_hits(options.seconds)
            region.command(*begin)
            opened = region.await_circuit(True, OPENS_SECONDS)
            during = region.all_hits(options.seconds)
            region.command(*end)
            if region.await_circuit(False, CLOSES_SECONDS) is None:
                raise Problem("the breaker does not close")
            after = region.all_hits(options.seconds)
            load.ask("counts")  # Ends the measurement if the load has ended.
            results[fault].append((opened, before, during, after))
        say(f"round {number_of_round + 1} of {options.rounds}")
    return results


def interval_of_median(values):
    """(low, high): where the median lies, by the bootstrap; always the same for the same values."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    outside = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[outside], medians[-1 - outside]


def reached(low, high):
    """True, False or None, as the description of this command says."""
    if 1 - GOAL <= low and high <= 1 + GOAL:
        return True
    return False if high < 1 - GOAL or low > 1 + GOAL else None


def summary(rounds, in_flight, share):
    """What the reads took in all rounds, their ratio and its noise."""
    before, during, after = ([one[i][in_flight][share] for one in rounds] for i in (1, 2, 3))
    healthy = [(b + a) / 2 for b, a in zip(before, after)]
    ratios = [d / h for d, h in zip(during, healthy)]
    low, high = interval_of_median(ratios)
    noise = statistics.median(abs(b - a) / h for b, a, h in zip(before, after, healthy))
    return {"without_us": round(statistics.median(healthy), 1),
            "during_us": round(statistics.median(during), 1),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_95": [round(low, 3), round(high, 3)], "noise": round(noise, 3),
            "goal_reached": reached(low, high)}


def report(options, results):
    answer = {"bench": NAME, "rounds": options.rounds, "seconds": options.seconds}
    problems = []
    for fault, rounds in results.items():
        opened = [round(one[0], 2) for one in rounds if one[0] is not None]
        answer[fault] = {"opens_after_s": opened, "stays_closed": len(rounds) - len(opened)}
        if len(opened) < len(rounds) or max(opened) > OPENS_GOAL_SECONDS:
            problems.append(f"{fault}: the breaker did not open within {OPENS_GOAL_SECONDS} s in "
                            "every round")
        say(f"{fault}: breaker open after {', '.join(map(str, opened)) or '-'} s"
            + (f", not within {OPENS_SECONDS} s in {len(rounds) - len(opened)} of {len(rounds)} "
               "rounds" if len(opened) < len(rounds) else ""))
        for in_flight in IN_FLIGHT:
            for share in SHARES:
                one = summary(rounds, in_flight, share)
                answer[fault][f"{in_flight} in flight, {share}"] = one
                say(f"  {in_flight} in flight, {share}: {one['without_us']:g} us without, "
                    f"{one['during_us']:g} us during: ratio {one['ratio']:.2f} "
                    f"({one['ratio_95'][0]:.2f} to {one['ratio_95'][1]:.2f}), noise "
                    f"{one['noise']:.2f}: {VERDICTS[one['goal_reached']]}")
                if one["goal_reached"] is False:
                    problems.append(f"{fault}, {in_flight} in flight, {share}: ratio "
                                    f"{one['ratio']:.2f}")
    print(json.dumps(answer), flush=True)
    if problems:
        raise Problem("; ".join(problems))


def add_arguments(parser):
    parser.add_argument("--rounds", type=positive, default=7, help="default 7")
    parser.add_argument("--seconds", type=number(0.1, 3600), default=0.5,
                        help="of each measurement, default 0.5")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    with measuring(options, BINARIES) as (binaries, folder):
        with (Region(folder / "cluster", binaries) as region,
              Load(region, [REGION], 0, "--reads", MISSES_PER_SECOND, "--timeout-ms",
                   MISS_MS) as load):
            report(options, measure(options, region, load))
