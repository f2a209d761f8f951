#!/usr/bin/env python3
"""The programs behind scripts/bench: what they refuse, and what they print when something fails.

  tests/repo/bench_programs_test.py WORK_DIR

The programs come from MERIDIAN_BIN_DIR. Exit codes: 0 passed, 1 failed, 77 not built.
"""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ["MERIDIAN_BIN_DIR"])
HEADER = "trace,size_fraction,policy,requests,miss_ratio"


def run(program, *words):
    return subprocess.run([BINARIES / program, *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


class BenchProgramsTest(unittest.TestCase):
    work = None

    def setUp(self):
        self.folder = self.work / self._testMethodName
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def trace(self, name, lines):
        path = self.folder / name
        path.write_bytes(gzip.compress("".join(lines).encode()))
        return path

    def test_numbers_that_are_none_are_wrong_usage(self):
        trace = self.trace("t.csv.gz", ["1,7,10,60,g\n"])
        profiles = ("--planned", ROOT / "config" / "persona.yaml", "--tuned",
                    ROOT / "config" / "persona-tuned.yaml")
        for program, *words in (("meridian-hit-ratio", trace, "--sizes", "nan"),
                                ("meridian-hit-ratio", trace, "--sizes", "0.1,-nan"),
                                ("meridian-hit-ratio", trace, "--threads=-1"),
                                ("meridian-hit-ratio", trace, "--policy", "magic"),
                                ("meridian-warming-sim", trace, "--size", "nan"),
                                ("meridian-warming-sim", trace, "--delay=-1"),
                                ("source-workloads", *profiles, "--hours", "nan"),
                                ("source-workloads", *profiles, "--hours", "inf"),
                                ("source-workloads", *profiles, "--seed=-1"),
                                ("meridian-load", "--seconds", "nan"),
                                ("meridian-apply-load", "--seconds", "nan"),
                                ("meridian-fence-load", "--target", "h:1", "--scope", "magic"),
                                ("meridian-region-load", "--target", "a=b:1", "--writes", "nan"),
                                ("meridian-engine-memory", 0, 100),
                                ("meridian-engine-memory", 10, 100, "magic")):
            result = run(program, *words)
            self.assertEqual((result.returncode, result.stdout), (2, ""), f"{program} {words}")
            self.assertNotEqual(result.stderr, "")

    def test_a_trace_that_cannot_be_read_leaves_no_table(self):
        result = run("meridian-hit-ratio", self.folder / "gone.csv.gz")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("gone.csv.gz", result.stderr)

    def test_what_is_named_twice_is_printed_once(self):
        lines = [f"{i},{i % 7},10,60,g\n" for i in range(50)]
        trace = self.trace("t.csv.gz", lines)
        result = run("meridian-hit-ratio", trace, trace, "--policy", "lru,fifo,lru", "--sizes",
                     "0.5,0.2,0.5")
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = result.stdout.splitlines()
        self.assertEqual(rows[0], HEADER)
        self.assertEqual([row.split(",")[1:4] for row in rows[1:]],
                         2 * [["0.5", "lru", "50"], ["0.5", "fifo", "50"],
                              ["0.2", "lru", "50"], ["0.2", "fifo", "50"]])

    def test_the_near_cache_is_measured(self):
        # Whether it reaches its goal depends on the build and on the machine.
        result = subprocess.run(
            [ROOT / "scripts" / "bench", "near", "--seconds", "0.01", "--bin", BINARIES],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        answer = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0 if answer["goal_reached"] else 1, result.stderr)
        self.assertEqual([(hit["keys"], hit["threads"], hit["not_near"]) for hit in answer["hits"]],
                         [(1000, 1, 0), (1000, 2, 0), (10000, 1, 0), (10000, 2, 0)])
        for hit in answer["hits"]:
            self.assertGreater(hit["p50_ns"], 10)


if __name__ == "__main__":
    if not (BINARIES / "meridian-hit-ratio").exists():
        print("skipped: the benchmarks are not built")
        sys.exit(77)
    BenchProgramsTest.work = pathlib.Path(sys.argv.pop(1))
    unittest.main()
