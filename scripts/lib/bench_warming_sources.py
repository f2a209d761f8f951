"""scripts/bench warming-sources: what sources of warming bring and cost, each by itself.

  scripts/bench warming-sources
  scripts/bench warming-sources TRACE.csv.gz... --size 0.05 --delay 1

The persona workload, people's sessions and the traces that are named go through the real engine:
without warming, with a schedule of the 50 hottest keys every 30 s, by rules (sessions only), and
with prediction, each under the budget that follows its benefit; then all of it again in an order by lot. stdout is CSV. `gain` is the hit ratio
less that without warming; `late_spending` the keys read ahead for each request of the second half.
Fails when prediction spends 1 % of the requests or more and is wrong more than half of the time, or
does so in an order by lot. Without names: the traces of ../shared/traces that are there.
"""

import pathlib
import subprocess

from bench_tools import BINARIES_HELP, build, check_exit, number
from cluster import ROOT

NAME = "warming-sources"
SUMMARY = "what sources of warming bring and cost, over recorded traffic"
BINARY = "meridian-warming-sim"
DEFAULT_TRACES = ROOT.parent / "shared" / "traces"


def add_arguments(parser):
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="TRACE.csv.gz")
    parser.add_argument("--size", type=number(1e-4, 1), help="entries, as a share of the keys")
    parser.add_argument("--delay", type=number(0, 60), help="seconds until a read is learnt from")
    parser.add_argument("--threshold", type=number(0, 1), help="of prediction")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    files = [path.resolve() for path in options.files] or sorted(DEFAULT_TRACES.glob("*.csv.gz"))
    words = [binaries / BINARY, *files]
    for flag, value in (("--size", options.size), ("--delay", options.delay),
                        ("--threshold", options.threshold)):
        if value is not None:
            words += [flag, value]
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, check=False)
    check_exit(BINARY, done.returncode)
