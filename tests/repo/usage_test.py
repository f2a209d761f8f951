#!/usr/bin/env python3
"""What scripts/* answer to --help and to flags that make no sense: nothing is built or started."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())


def run(script, *words, folder=ROOT):
    return subprocess.run([ROOT / "scripts" / script, *words], cwd=folder, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True)


class UsageTest(unittest.TestCase):
    def expect_refused(self, said, script, *words):
        result = run(script, *words)
        self.assertEqual(result.returncode, 2, f"{script} {words}: {result.stderr}")
        self.assertIn(said, result.stderr)
        self.assertNotIn("Traceback", result.stderr)

    def test_help_is_printed_from_everywhere(self):
        for script in SCRIPTS:
            for folder in (ROOT, "/"):
                result = run(script.name, "--help", folder=folder)
                self.assertEqual((result.returncode, result.stderr), (0, ""), script.name)
                self.assertIn(f"scripts/{script.name}", result.stdout)
                self.assertNotIn("set -euo", result.stdout)

    def test_unknown_flags_are_wrong_usage(self):
        for script in SCRIPTS:
            self.expect_refused("", script.name, "--no-such-flag")

    def test_a_cluster_that_cannot_be_is_wrong_usage(self):
        with tempfile.TemporaryDirectory() as folder:
            for said, *words in (("'US'", "--regions", "US"), ("twice", "--regions", "us,us"),
                                 ("''", "--regions", "us,"), ("--nodes", "--nodes", "0"),
                                 ("--nodes", "--nodes=-1"), ("--coordinators", "--coordinators", "0"),
                                 ("'ring'", "--redis", "us=ring"),
                                 ("'mars'", "--redis", "mars=cluster"),
                                 ("'rope'", "--fault-proxies", "links,rope"),
                                 ("'us-mars'", "--wan-delay", "us-mars=4ms"),
                                 ("'us-eu'", "--wan-delay", "us-eu"),
                                 ("twice", "--wan-delay", "us-eu=1ms,eu-us=2ms")):
                self.expect_refused(said, "local-cluster", "--dir", folder, "up", *words)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])

    def test_a_folder_that_cannot_be_made_is_said_without_a_traceback(self):
        for folder in ("/proc/foo", __file__):
            result = run("local-cluster", "--dir", folder, "up")
            self.assertEqual(result.returncode, 1)
            self.assertIn(folder, result.stderr)
            self.assertNotIn("Traceback", result.stderr)

    def test_a_demo_of_no_requests_is_wrong_usage(self):
        for count in ("0", "-5", "many", "1e6"):
            self.expect_refused("--requests", "demo", f"--requests={count}")

    def test_figures_of_nothing_are_wrong_usage(self):
        for said, *words in (("'0'", "memory", "--entries", "0"),
                             ("'-1'", "memory", "--value-size=-1"),
                             ("'many'", "memory", "--entries", "many"),
                             ("'nan'", "hit-ratio", "x.csv.gz", "--sizes", "0.1,nan"),
                             ("'2'", "hit-ratio", "x.csv.gz", "--sizes", "2"),
                             ("'0'", "hit-ratio", "x.csv.gz", "--threads", "0"),
                             ("'nan'", "source-workloads", "--hours", "nan"),
                             ("'-1'", "source-workloads", "--seed=-1"),
                             ("'inf'", "data-path", "--seconds", "inf"),
                             ("'0'", "data-path", "--rounds", "0"),
                             ("'nan'", "regions", "--cut-seconds", "nan"),
                             ("'nan'", "slow-redis", "--seconds", "nan")):
            self.expect_refused(said, "bench", *words)

    def test_what_a_measuring_program_refuses_is_wrong_usage(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, *words in (("meridian-hit-ratio", "hit-ratio", "x.csv.gz"),
                                 ("source-workloads", "source-workloads"),
                                 ("meridian-engine-memory", "memory")):
                for code in (1, 2):
                    program = pathlib.Path(folder) / name
                    program.write_text(f"#!/bin/sh\necho no such policy >&2\nexit {code}\n")
                    program.chmod(0o755)
                    result = run("bench", *words, "--bin", folder)
                    self.assertEqual(result.returncode, code, f"{name}: {result.stderr}")
                    self.assertIn("no such policy", result.stderr)
                    self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
