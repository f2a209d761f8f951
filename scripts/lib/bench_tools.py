"""What the subcommands of scripts/bench share."""

import os
import subprocess
import sys

from cluster import ROOT
from processes import Problem

BINARIES_HELP = "use the binaries of this folder and build nothing"


def output_of(*words):
    """What a program prints on stdout; a Problem with what it said when it fails."""
    words = [str(word) for word in words]
    result = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True)
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
