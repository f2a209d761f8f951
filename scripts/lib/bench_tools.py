"""What the subcommands of scripts/bench share."""

import argparse
import contextlib
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

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


@contextlib.contextmanager
def measuring(options, targets):
    """(binaries, folder) to measure with: those of --bin, else `targets` built; the folder is for
    what runs meanwhile, and is gone afterwards."""
    warn_when_busy()
    binaries = options.bin.resolve() if options.bin else build(*targets)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    try:
        yield binaries, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class MachineWatch:
    """How busy the machine is while something runs: samples of a thread, SAMPLE_SECONDS apart.

    `pressure` is the share of the time in which at least one process waited for a processor, as the
    kernel tells it (PSI); None where it does not. Of `processes` ({name: pid}) it also knows how
    long their threads had work and no processor.
    """

    SAMPLE_SECONDS = 0.5

    def __init__(self, processes=None):
        self._processes = processes or {}
        self._samples = []  # (end, pressure, load average, {name: longest wait of its threads})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def since(self, began):
        """A dict for people, of what was sampled since time.monotonic() was `began`."""
        samples = [one for one in self._samples if one[0] > began]
        pressures = [one[1] for one in samples if one[1] is not None]
        waits = {}
        for _, _, _, waited in samples:
            for name, seconds in waited.items():
                waits[name] = max(waits.get(name, 0), seconds)
        worst = max(waits, key=waits.get, default=None)
        return {"load_average_max": max((one[2] for one in samples), default=None),
                "cpu_pressure_mean": (round(sum(pressures) / len(pressures), 2) if pressures
                                      else None),
                "cpu_pressure_max": round(max(pressures), 2) if pressures else None,
                "no_processor_max_ms": round(1000 * waits[worst]) if worst else None,
                "no_processor_max_of": worst}

    def waited(self, prefix, begin, end):
        """(seconds, name): the longest that a thread of one of the processes whose names begin so
        waited for a processor in the samples that touch this time."""
        sums = {}
        for at, _, _, waited in self._samples:
            if begin < at and at - self.SAMPLE_SECONDS < end:
                for name, seconds in waited.items():
                    if name.startswith(prefix):
                        sums[name] = sums.get(name, 0) + seconds
        return max(((seconds, name) for name, seconds in sums.items()), default=(0.0, ""))

    def _run(self):
        before, last, threads = time.monotonic(), self._pressure(), self._thread_waits()
        while not self._stop.wait(self.SAMPLE_SECONDS):
            now, pressure, waits = time.monotonic(), self._pressure(), self._thread_waits()
            share = None if pressure is None else (pressure - last) / (now - before)
            longest = {}
            for thread, seconds in waits.items():
                grown = seconds - threads.get(thread, seconds)
                longest[thread[0]] = max(longest.get(thread[0], 0), grown)
            self._samples.append((now, share, os.getloadavg()[0], longest))
            before, last, threads = now, pressure, waits

    @staticmethod
    def _pressure():
        """Seconds since the machine began, or None."""
        try:
            text = pathlib.Path("/proc/pressure/cpu").read_text()
        except OSError:
            return None
        return int(re.search(r"some .*total=([0-9]+)", text)[1]) / 1e6

    def _thread_waits(self):
        """{(name, thread): seconds that it had work and no processor}"""
        waits = {}
        for name, pid in self._processes.items():
            for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    waits[name, path.parent.name] = int(path.read_text().split()[1]) / 1e9
                except (OSError, IndexError, ValueError):
                    pass  # It has ended.
        return waits
