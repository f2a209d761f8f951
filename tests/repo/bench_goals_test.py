#!/usr/bin/env python3
"""Latencies are the machine's, so that benchmarks judge them (scripts/bench): that each goal decides
the exit code, and is told when it is missed. What they measured is made up here.

  tests/repo/bench_goals_test.py

Exit codes: 0 passed, 1 failed.
"""

import contextlib
import copy
import io
import json
import pathlib
import sys
import types
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import bench_baselines  # noqa: E402
import bench_near  # noqa: E402
import bench_sustained  # noqa: E402
import bench_tiers  # noqa: E402
from processes import Problem  # noqa: E402


def judged(report, *arguments):
    """(the line of JSON, what it fails with or "")."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            report(*arguments)
            problem = ""
        except Problem as error:
            problem = str(error)
    return json.loads(out.getvalue().splitlines()[-1]), problem


class TiersTest(unittest.TestCase):
    options = types.SimpleNamespace(rounds=3, seconds=1)

    def judged(self, measured=None, value=None):
        """All as fast as they may be; `measured`, of its two later rounds, takes `value`."""
        results = {}
        for key, (_, below) in bench_tiers.GOALS.items():
            names = ("p50_us",) if key[0] == bench_tiers.NEAR else bench_tiers.PERCENTILES
            slow = below * 0.99
            results[key] = [dict.fromkeys(names, slow) for _ in range(3)]
            for one in results[key][1:]:
                one.update(dict.fromkeys(names, value if key == measured else slow))
        results[(bench_tiers.REDIS, 16)] = [dict.fromkeys(bench_tiers.PERCENTILES, 1e6)] * 3
        return judged(bench_tiers.report, self.options, results)

    def test_what_is_below_its_goals_passes(self):
        answer, problem = self.judged()
        self.assertEqual((problem, answer["goals_missed"]), ("", []))
        self.assertEqual(answer["latency_us"]["near cache, 1"], {"p50_us": 9.9})

    def miss(self, name, in_flight, percentile, goal):
        answer, problem = self.judged((name, in_flight), goal)
        self.assertEqual(problem, f"{name} with {in_flight} in flight: {percentile} {goal} us, "
                                  f"goal below {goal}")
        self.assertEqual(answer["goals_missed"], [problem])

    def test_3_11_memory_below_10_us_and_redis_below_100(self):
        self.miss("near cache", 1, "p50", 10)
        self.miss("Redis GET", 1, "p50", 100)

    def test_4_12_4_07_l1_below_5_ms_and_l2_below_10(self):
        self.miss("L1", 1, "p95", 1000)
        self.miss("L1", 16, "p95", 5000)
        self.miss("L2", 1, "p95", 5000)
        self.miss("L2", 16, "p95", 10000)

    def test_1_01_ten_keys_of_an_authorisation_below_75_ms(self):
        self.miss("10 keys", 1, "p95", 75000)

    def test_3_11_a_hit_in_the_near_cache_is_judged_by_itself_too(self):
        def reached(p50, threads=1, not_near=0):
            run = {"name": f"BM_NearHit/keys:1000/real_time/threads:{threads}", "p50_ns": p50,
                   "not_near": not_near}
            return bench_near.summarize([run])["goal_reached"]
        self.assertTrue(reached(199))
        self.assertFalse(reached(200))
        self.assertFalse(reached(50, not_near=1))


class SustainedTest(unittest.TestCase):
    GOOD = {"hit_rate": 0.96, "l1_share": 0.9, "reads_per_second": 5000, "l1_p95_ms": 1.0,
            "l2_p95_ms": 2.0, "failed": 0, "first_error": ""}

    def test_1_13_every_minute_and_every_goal_decides(self):
        def missed(firing=(), **changed):
            return bench_sustained.missed([self.GOOD, {**self.GOOD, **changed}], list(firing), 5000)
        self.assertEqual(missed(), [])
        self.assertEqual(missed(l2_p95_ms=None), [], "L1 has all of them")
        for changed, says in (({"hit_rate": 0.95}, "minute 2: hit rate 0.95"),
                              ({"l1_p95_ms": 5.0}, "minute 2: l1_p95_ms 5.00"),
                              ({"l1_p95_ms": None}, "minute 2: nobody was answered by L1"),
                              ({"l2_p95_ms": 20.0}, "minute 2: l2_p95_ms 20.00"),
                              ({"failed": 1, "first_error": "late"},
                               "minute 2: 1 calls failed: late"),
                              ({"reads_per_second": 4749}, "minute 2: 4749 reads a second"),
                              ({"firing": ["MeridianSlow x"]}, "alert: MeridianSlow x")):
            with self.subTest(says):
                self.assertEqual(missed(**changed), [says])


class BaselinesTest(unittest.TestCase):
    options = types.SimpleNamespace(delay_ms=300, requests=1, pairs=1)
    # The least that the source has.
    LEAST = {"memory only": {"hit_rate_percent": 60.0, "hit_ms": 60, "miss_ms": 300, "speed_up": 4},
             "with Redis": {"hit_rate_percent": 75.0, "hit_ms": 100, "miss_ms": 300, "speed_up": 3},
             "fallback": {"hit_rate_percent": 1.0, "hit_ms": 60, "miss_ms": 300, "speed_up": 3}}

    def test_3_13_the_figures_of_the_source_by_backend_decide(self):
        self.assertEqual(judged(bench_baselines.report, self.options, self.LEAST)[1], "")
        for shape, figure, value, says in (
                ("memory only", "hit_rate_percent", 59.9, "memory only: hit rate 59.9 %, goal 60 %"),
                ("with Redis", "hit_rate_percent", 74.9, "with Redis: hit rate 74.9 %, goal 75 %"),
                ("memory only", "hit_ms", 61, "memory only: hits take 61 ms, 4x as fast"),
                ("with Redis", "speed_up", 2.9, "with Redis: hits take 100 ms, 2.9x as fast"),
                ("fallback", "hit_ms", 61, "fallback: hits take 61 ms, 3x as fast")):
            with self.subTest(says):
                results = copy.deepcopy(self.LEAST)
                results[shape][figure] = value
                self.assertEqual(judged(bench_baselines.report, self.options, results)[1], says)


if __name__ == "__main__":
    unittest.main()
