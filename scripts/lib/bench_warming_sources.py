"""scripts/bench warming-sources: hit rate with and without each source of warming, in one table.

  scripts/bench warming-sources
  scripts/bench warming-sources TRACE.csv.gz... --size 0.05 --delay 1
  scripts/bench warming-sources --csv

The persona workload, people's sessions and the traces that are named (else those of
../shared/traces, when they are there) go through the real engine, which loses its memory at half of
the requests: without warming; with the keys that were asked for most read after that (startup); with
the 50 hottest loaded anew every 45 s (schedule); by rules, where keys bind; with prediction; and with
all of them, each under the budget that follows its benefit. The workloads, and with --shuffle-all the
traces, are done again in an order by lot. One table in Markdown, that of docs/benchmarks.md: hits in
percent, in brackets loads ahead for each request of the second half and the share of them that was
used (–: nothing is known of them); of startup also hits in the first hundredth of the requests after it, without and with. --csv
has all counts (late_spending: those loads; late_looks: keys read ahead, most of which are there).
A trace without a clock is one caller who asks each second (--tick 0.001: a thousand times as often;
then what comes next was asked for before anything can be warmed).
Fails when prediction spends more than it probes with and is wrong more than half of the time; and
when in an order by lot prediction asks for 1 % of the requests or more, or any source, or all of
them together, spend that much and are wrong more than half of the time (what a start is given comes
once: where it alone is that much, because a trace is short, the others are judged without it).
"""

import csv
import pathlib
import subprocess

from bench_tools import BINARIES_HELP, build, check_exit, number
from cluster import ROOT

NAME = "warming-sources"
SUMMARY = "hit rate with and without each source of warming, in one table"
BINARY = "meridian-warming-sim"
DEFAULT_TRACES = ROOT.parent / "shared" / "traces"
SOURCES = ("startup", "schedule", "rule", "prediction", "all")


def add_arguments(parser):
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="TRACE.csv.gz")
    parser.add_argument("--size", type=number(1e-4, 1), help="entries, as a share of the keys")
    parser.add_argument("--delay", type=number(0, 60), help="seconds until a read is learnt from")
    parser.add_argument("--threshold", type=number(0, 1), help="of prediction")
    parser.add_argument("--tick", type=number(1e-6, 60),
                        help="seconds between two requests of a trace without a clock")
    parser.add_argument("--shuffle-all", action="store_true",
                        help="the traces, too, in an order by lot")
    parser.add_argument("--csv", action="store_true", help="all counts, not the table")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def percent(text, digits=2):
    return f"{100 * float(text):.{digits}f}"


def cell(row):
    """The hit rate with a source; what it spends, and how much of that is used."""
    hits = percent(row["hit_ratio"])
    precision = float(row["late_precision"])
    if not int(row["warmed"]):
        return f"{hits} (0)"
    spending = float(row["late_spending"])
    digits = 2 if spending >= 0.001 else 3
    used = f"{precision:.2f}" if precision >= 0 else "–"
    return f"{hits} ({percent(spending, digits)} %, {used})"


def table(lines):
    """The table of the program's CSV, row by row."""
    yield ("| traffic | without | + startup (at first) | + schedule | + rules | + prediction "
           "| all of them |")
    yield "|---|---|---|---|---|---|---|"
    runs = {}
    for row in csv.DictReader(lines):
        runs[row["source"]] = row
        if row["source"] != SOURCES[-1]:
            continue
        none = runs["none"]
        cells = [row["trace"] + (", by lot" if row["order"] == "shuffled" else ""),
                 percent(none["hit_ratio"])]
        cells += [cell(runs[source]) if source in runs else "–" for source in SOURCES]
        cells[2] += (f"; {percent(none['first_hit_ratio'], 0)} →"
                     f" {percent(runs['startup']['first_hit_ratio'], 0)}")
        yield "| " + " | ".join(cells) + " |"
        runs = {}


def print_table(binaries, files=(), flags=(), as_csv=False):
    """Prints the table of these traces, else of DEFAULT_TRACES; as CSV with all counts."""
    files = [path.resolve() for path in files] or sorted(DEFAULT_TRACES.glob("*.csv.gz"))
    with subprocess.Popen([str(word) for word in (binaries / BINARY, *files, *flags)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout if as_csv else table(process.stdout):
            print(line.rstrip("\n"), flush=True)
    check_exit(BINARY, process.returncode)


def run(options):
    flags = ["--shuffle-all"] if options.shuffle_all else []
    for flag, value in (("--size", options.size), ("--delay", options.delay),
                        ("--threshold", options.threshold), ("--tick", options.tick)):
        if value is not None:
            flags += [flag, value]
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    print_table(binaries, options.files, flags, options.csv)
