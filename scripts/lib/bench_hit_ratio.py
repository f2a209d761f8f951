"""scripts/bench hit-ratio: miss ratios of the eviction policies over recorded traffic.

  scripts/bench hit-ratio TRACE.csv.gz... --policy lru,s3_fifo --plot picture.svg
  scripts/bench hit-ratio --score --traces FOLDER

The traces are gzip text, one request a line: time_s,key,value_size,ttl_s,op. The engine itself
answers them, as a read-through cache of one shard whose capacity is a share of the trace's keys
(with --by bytes: of its bytes). stdout is CSV, trace,size_fraction,policy,requests,miss_ratio, or
with --score a summary of all traces of a folder that has hit_ratio.csv, the figures of published
policies, beside it or in it.
"""

import csv
import io
import pathlib
import subprocess
import sys

from bench_tools import BINARIES_HELP, build, check_exit, number, whole_number
from cluster import ROOT
from hit_ratio_plot import draw
from hit_ratio_score import Reference, summarize
from processes import Problem

NAME = "hit-ratio"
SUMMARY = "miss ratios of the eviction policies over recorded traffic"
BINARY = "meridian-hit-ratio"
DEFAULT_TRACES = ROOT.parent / "shared" / "traces"


def shares(text):
    """For argparse: a comma-separated list of shares, as it is."""
    for word in text.split(","):
        number(1e-9, 1)(word)
    return text


def add_arguments(parser):
    parser.add_argument("files", nargs="*", metavar="TRACE.csv.gz")
    parser.add_argument("--sizes", type=shares,
                        help="shares of the trace, default 0.001,0.01,0.05,0.1,0.2")
    parser.add_argument("--by", choices=["count", "bytes"], default="count",
                        help="what the shares are of: keys (default) or bytes")
    parser.add_argument("--policy", help="names, default all that the engine knows")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE.svg",
                        help="also draw miss ratio over size")
    parser.add_argument("--columns", choices=["default", "all"], default="default",
                        help="all: capacity and byte_miss_ratio behind the others")
    parser.add_argument("--lazy-expiry", action="store_true",
                        help="expired entries keep their room until asked for, as in published "
                             "figures; default: they leave when their time comes")
    parser.add_argument("--score", action="store_true",
                        help="a summary of all traces of the folder, against published policies")
    parser.add_argument("--traces", type=pathlib.Path, metavar="FOLDER",
                        help="for --score, default ../shared/traces")
    parser.add_argument("--threads", type=whole_number(1, 64), default=2, help="default 2")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def simulate(options, files):
    """Rows of the simulator, printed as they come unless --score."""
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    words = [binaries / BINARY, *files, "--by", options.by, "--threads", options.threads]
    for flag, value in (("--sizes", options.sizes), ("--policy", options.policy)):
        if value is not None:
            words += [flag, value]
    if options.lazy_expiry:
        words.append("--lazy-expiry")
    if options.columns == "all" or options.score:
        words += ["--columns", "all"]
    text = io.StringIO()
    with subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            text.write(line)
            if not options.score:
                print(line, end="", flush=True)
    check_exit(BINARY, process.returncode)
    text.seek(0)
    return list(csv.DictReader(text))


def run(options):
    if bool(options.files) == options.score:
        options.parser.error("give traces, or --score")
    if options.traces and not options.score:
        options.parser.error("--traces is for --score")
    if options.plot and options.plot.suffix != ".svg":
        options.parser.error(f"--plot: {options.plot} is no .svg")
    if options.score and options.by != "count":
        options.parser.error("--score is by count")
    files = [path.resolve() for path in map(pathlib.Path, options.files)]
    if options.score:
        folder = (options.traces or DEFAULT_TRACES).resolve()
        files = sorted(folder.glob("*.csv.gz"))
        if not files:
            raise Problem(f"{folder} has no traces")
        reference = Reference.find(folder)
    rows = simulate(options, files)
    if options.score:
        print(summarize(rows, reference))
    if options.plot:
        options.plot.write_text(draw(rows))
        print(f"  {options.plot}", file=sys.stderr)
