"""scripts/bench source-workloads: the headline experiments of sources 000 and 004.

  scripts/bench source-workloads
  scripts/bench source-workloads --hours 12 --seed 7 --json

Hours of their traffic in virtual time, on the real read and write paths, policies and engine over an
in-memory regional store; the model of the traffic is written down in bench/workloads/persona_workload.h.
Reported beside the figures that the sources state. Fails when the model does not reproduce the baseline.
"""

import pathlib
import subprocess

from bench_tools import BINARIES_HELP, build, check_exit, number, whole_number
from cluster import ROOT

NAME = "source-workloads"
SUMMARY = "the headline experiments of sources 000 and 004, in virtual time"
BINARY = "source-workloads"
PROFILES = ROOT / "config"


def add_arguments(parser):
    parser.add_argument("--hours", type=number(0.1, 100), default=3,
                        help="virtual hours, default 3")
    parser.add_argument("--seed", type=whole_number(0, 2**64 - 1), default=1,
                        help="of the random draws, default 1")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    words = [binaries / BINARY, "--planned", PROFILES / "persona.yaml", "--tuned",
             PROFILES / "persona-tuned.yaml", "--hours", options.hours, "--seed", options.seed]
    if options.json:
        words.append("--json")
    result = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, check=False)
    check_exit(BINARY, result.returncode)
