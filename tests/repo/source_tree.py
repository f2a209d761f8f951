"""What the checks of the repository share: its files, and how findings are shown."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

NOT_OURS = {".git", "build", ".cluster", "node_modules", "__pycache__"}


def files(root):
    """Every file of the project below `root`, relative, sorted: what git knows or would add."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], capture_output=True, check=True).stdout.decode()
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in set(names)
                  if not NOT_OURS.intersection(pathlib.PurePath(name).parts)
                  and (root / name).is_file())


def load_script(path):
    """A Python program of the project, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.name, str(path))
    spec = importlib.util.spec_from_loader(path.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def finish(what, findings):
    """Prints the findings and ends the program: 0 when there is none."""
    for finding in findings:
        print(finding)
    print(f"{what}: {len(findings)} findings")
    sys.exit(1 if findings else 0)
