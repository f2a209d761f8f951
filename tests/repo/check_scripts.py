#!/usr/bin/env python3
"""Every script parses, is executable, and says how to run it.

  tests/repo/check_scripts.py SOURCE_DIR

bash -n for bash, a compile for Python, and shellcheck where it is installed.
Exit codes: 0 clean, 1 not.
"""

import ast
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import source_tree  # noqa: E402


def check_bash(path):
    result = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    if result.returncode:
        yield result.stderr.strip()
    if shutil.which("shellcheck"):
        result = subprocess.run(["shellcheck", "-S", "warning", "-f", "gcc", str(path)],
                                capture_output=True, text=True)
        yield from result.stdout.splitlines()


def check_python(name, text):
    try:
        tree = ast.parse(text, name, feature_version=(3, 11))
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: {error.msg}"
        return
    if ast.get_docstring(tree) is None:
        yield f"{name}: no docstring says what it is"


def check(root):
    findings = []
    for name in source_tree.files(root):
        path = root / name
        with open(path, "rb") as file:
            first = file.readline().decode(errors="replace").rstrip()
        is_script = first.startswith("#!")
        if is_script and not os.access(path, os.X_OK):
            findings.append(f"{name}: has {first} but is not executable")
        if first == "#!/usr/bin/env bash":
            findings.extend(check_bash(path))
        elif first == "#!/usr/bin/env python3" or name.endswith(".py"):
            findings.extend(check_python(name, path.read_text()))
        elif name.startswith(("scripts/", ".ci/")) and is_script:
            findings.append(f"{name}: {first}: neither bash nor python3")
    return findings


if __name__ == "__main__":
    source_tree.finish("check_scripts", check(pathlib.Path(sys.argv[1])))
