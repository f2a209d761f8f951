"""What the subcommands of scripts/bench share."""

import argparse
import math
import os
import re
import subprocess
import sys

from cluster import ROOT
from processes import Problem

BINARIES_HELP = "use the binaries of this folder and build nothing"


class WrongUsage(Problem):
    """A program that measures refused what it was asked for, and has said why."""


def whole_number(low, high):
    """For argparse: a whole number from low to high."""
    def read(text):
        if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)
    return read


def number(low, high):
    """For argparse: a number from low to high. NaN is none."""
    def read(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value
    return read


def check_exit(program, code):
    """Raises what the exit code of a measuring program stands for."""
    if code == 2:
        raise WrongUsage(f"{program} does not know what it was asked for")
    if code:
        raise Problem(f"{program} failed with exit code {code}")


def output_of(*words, measures=False):
    """What a program prints on stdout; a Problem with what it said when it fails.

    With `measures` it is given what the user asked for: its exit code 2 is WrongUsage.
    """
    words = [str(word) for word in words]
    result = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True)
    if result.returncode == 2 and measures:
        raise WrongUsage(result.stderr[-2000:].strip())
    if result.returncode:
        raise Problem(f"failed with exit code {result.returncode}: {' '.join(words)[:300]}\n"
                      f"{result.stdout[-1000:]}{result.stderr[-2000:]}")
    return result.stdout


def build(*targets):
    """Builds as for production; the folder of the binaries."""
    for words in ([ROOT / "scripts" / "setup"], ["cmake", "--preset", "release"],
                  ["cmake", "--build", "--preset", "release", "--target", *targets]):
        print("  " + " ".join(map(str, words)), file=sys.stderr, flush=True)
        output_of(*words)
    return ROOT / "build" / "release" / "bin"


def warn_when_busy():
    if os.getloadavg()[0] > os.cpu_count() / 2:
        print(f"bench: the machine is busy (load average {os.getloadavg()[0]:.1f}): these figures "
              "are not to be quoted", file=sys.stderr)
