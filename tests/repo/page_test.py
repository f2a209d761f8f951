#!/usr/bin/env python3
"""The pure functions of the dashboard page, with Node's own test runner: tests/page/*_test.js.

  tests/repo/page_test.py

Exit codes: 0 passed, 1 failed, 77 skipped: no Node, or one before 18.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLDEST = 18  # Has node:test. Debian 12's own.


def find_node():
    """Path of Node, or None with the reason printed."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        print("SKIPPED: Node is not installed (the package nodejs)")
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)|", version).group(1) or 0) < OLDEST:
        print(f"SKIPPED: {node} is {version.strip()}, and the tests need {OLDEST} or later")
        return None
    return node


def run_tests(node, files, environment=None):
    """Runs them, shows what Node prints, and says how many ran, as unittest does."""
    result = subprocess.run([node, "--test", *map(str, files)], env=environment, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    print(result.stdout)
    passed = re.search(r"^\S+ pass (\d+)", result.stdout, re.MULTILINE)
    print(f"Ran {passed.group(1) if passed else 0} tests in Node")
    return 0 if result.returncode == 0 and passed and int(passed.group(1)) > 0 else 1


def main():
    node = find_node()
    if node is None:
        return 77
    return run_tests(node, sorted((ROOT / "tests" / "page").glob("*_test.js")))


if __name__ == "__main__":
    sys.exit(main())
