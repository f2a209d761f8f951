#!/usr/bin/env python3
"""Tests of scripts/lib/processes.py: never signal a process that is not the recorded one."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import processes  # noqa: E402

SLEEPER = ["sleep", "600"]


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def spawn(self, argv=None):
        process = processes.Process("sleeper", argv or SLEEPER, self.folder.name + "/log")
        process.spawn()
        self.addCleanup(process.kill)
        return process

    def test_a_process_runs_stops_continues_and_dies(self):
        process = self.spawn()
        self.assertEqual(process.state(), "running")
        process.signal(signal.SIGSTOP)
        while process.state() != "stopped":  # The kernel's own pace.
            os.sched_yield()
        process.signal(signal.SIGCONT)
        self.assertEqual(process.state(), "running")
        process.kill()
        self.assertEqual(process.state(), "dead")

    def test_stop_all_ends_a_stopped_process_too(self):
        process = self.spawn()
        process.signal(signal.SIGSTOP)
        processes.stop_all([process])
        self.assertEqual(process.state(), "dead")

    def test_stop_all_kills_what_does_not_listen(self):
        deaf = self.spawn(["bash", "-c", "trap '' TERM; echo up; while true; do read -t 9; done"])
        processes.wait_until("starting", deaf, time.monotonic() + 10, lambda: "up" in deaf.log_tail())
        processes.stop_all([deaf], grace_seconds=0.1)
        self.assertEqual(deaf.state(), "dead")

    def test_another_process_with_the_same_pid_is_never_signalled(self):
        process = self.spawn()
        for stranger in (
                processes.Process("old", SLEEPER, "", process.pid, process.start_ticks - 1),
                processes.Process("old", ["bash"], "", process.pid, process.start_ticks)):
            self.assertEqual(stranger.state(), "dead")
            self.assertFalse(stranger.signal(signal.SIGKILL))
        self.assertEqual(process.state(), "running")

    def test_a_program_that_was_built_anew_is_still_known(self):
        program = self.folder.name + "/program"
        shutil.copy(shutil.which("sleep"), program)
        process = self.spawn([program, "600"])
        os.replace(shutil.copy(shutil.which("sleep"), program + ".new"), program)
        self.assertEqual(process.state(), "running")

    def test_a_starting_redis_is_never_taken_for_dead(self):
        port = processes.free_port()
        process = processes.Process("redis", ["redis-server", "--port", str(port), "--save", "",
                                              "--dir", self.folder.name], self.folder.name + "/log")
        self.addCleanup(process.kill)
        process.spawn()
        while not processes.redis_answers(port, process.pid):
            self.assertEqual(process.state(), "running", process.log_tail())

    def test_death_while_waiting_is_told_with_the_log(self):
        process = self.spawn(["bash", "-c", "echo no such flag; exit 1"])
        with self.assertRaisesRegex(processes.Problem, "died while starting(.|\n)*no such flag"):
            processes.wait_until("starting", process, time.monotonic() + 10, lambda: False)

    def test_interrupts_wait_for_the_end_of_a_step(self):
        processes.Interrupts.install()
        steps = []
        with self.assertRaises(KeyboardInterrupt):
            with processes.Interrupts.held():
                os.kill(os.getpid(), signal.SIGTERM)
                steps.append("after the signal")
        self.assertEqual(steps, ["after the signal"])


class MetricsTest(unittest.TestCase):
    def test_samples_are_found_by_their_whole_name(self):
        text = ('# HELP m_total Help.\nm_total{a="x,}y",b="2"} 3\nm_total_more 4\nm_total 5e3 17\n')
        self.assertEqual(processes.metric_samples(text, "m_total"),
                         [({"a": "x,}y", "b": "2"}, 3.0), ({}, 5000.0)])

    def test_a_quantile_is_the_bound_of_its_bucket(self):
        one = [(0.1, 5.0), (1.0, 9.0), (float("inf"), 10.0)]
        self.assertEqual(processes.histogram_quantile(one, 0.5), 0.1)
        self.assertEqual(processes.histogram_quantile(one + one, 0.9), 1.0)
        self.assertEqual(processes.histogram_quantile(one, 0.99), float("inf"))
        self.assertIsNone(processes.histogram_quantile([(0.1, 0.0)], 0.5))


if __name__ == "__main__":
    unittest.main()
