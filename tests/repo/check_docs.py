#!/usr/bin/env python3
"""Documents hold together, and no file says what must not be in a repository.

  tests/repo/check_docs.py SOURCE_DIR

  - a relative link in a Markdown file leads to a file of the project, and its #anchor to a heading;
  - images that README shows exist;
  - no unfinished-work marks, no host of a package registry, no path of one person's machine;
  - every reason that an error may carry has its row in docs/wire.md;
  - every folder that is a library has its row in docs/architecture.md;
  - a test that docs/requirements.md, docs/failure_modes.md or docs/consistency.md names exists, and
    so does a metric; no row of docs/consistency.md is without a test.
Exit codes: 0 clean, 1 not.
"""

import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import source_tree  # noqa: E402

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# In two parts each, so that this file does not hold what it forbids.
FORBIDDEN = [
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b"), "an unfinished-work mark"),
    (re.compile(r"\b(registry|proxy)\.(npmjs|yarnpkg|golang)\b|\bpypi\.(org|python)\b"),
     "the host of a package registry"),
    (re.compile(r"(?<![\w./-])/(?:work|root|home)/\w"), "a path of one machine"),
]
TEXT = {".md", ".h", ".cc", ".proto", ".py", ".sh", ".txt", ".cmake", ".json", ".yaml", ".yml",
        ".lua", ".html", ".js", ".svg", ""}
NAMES_TESTS = ("docs/requirements.md", "docs/failure_modes.md", "docs/consistency.md")
# A test as the documents name it: `unit/engine_test`, `repo/buf_lint`, ...
TEST_NAME = re.compile(r"`((?:unit|contract|integration|repo|fuzz)/[\w-]+)`")
TEST_IN_CMAKE = re.compile(r"\bNAME\s+(\S+)\s+LABEL\s+(\w+)|\bNAME\s+((?:repo|integration)/\S+)")


def anchor(heading):
    """The anchor that a heading gets."""
    text = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def check_links(root, name, text):
    for target in LINK.findall(FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (root / name).parent / path if path else root / name
        if not file.exists():
            yield f"{name}: link to {target}, which does not exist"
        elif fragment and file.suffix == ".md":
            anchors = {anchor(heading) for heading in HEADING.findall(file.read_text())}
            if fragment not in anchors:
                yield f"{name}: link to {target}: there is no such heading"


def check_words(name, text):
    for pattern, what in FORBIDDEN:
        for match in pattern.finditer(text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}: {what}"


def check_layer_table(root, names):
    table = (root / "docs" / "architecture.md").read_text()
    for name in names:
        if name.endswith("/CMakeLists.txt") and name.startswith(("common/", "server/", "client/")):
            folder = name.rpartition("/")[0]
            if "meridian_library(" in (root / name).read_text() and f"`{folder}`" not in table:
                yield f"docs/architecture.md: no row for the library {folder}"


# A test case as GoogleTest prints it, and a metric.
TEST_CASE = re.compile(r"`([A-Z]\w*Test\.[A-Z]\w*)`")
TEST_SUITE = re.compile(r"`([A-Z]\w*Test)\.\*`")
TEST_CASE_IN_CODE = re.compile(r"^TEST(?:_[FP])?\((\w+),\s*(\w+)\)", re.MULTILINE)
METRIC = re.compile(r"`(meridian_[a-z0-9_]+)(?:\{[^`]*)?`")


# A reason where it is declared, and where a status carries it in front of its message.
REASON = re.compile(r'k[A-Za-z0-9]+\[\] = "([A-Z][A-Z0-9_]+)"|"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+): ')


def check_reasons(root, names):
    table = (root / "docs" / "wire.md").read_text()
    for name in names:
        if name.startswith(("common/", "server/")) and name.endswith((".cc", ".h")):
            for declared, prefixed in REASON.findall((root / name).read_text()):
                reason = declared or prefixed
                if (prefixed or name.endswith("reasons.h")) and f"`{reason}`" not in table:
                    yield f"docs/wire.md: no row for the reason {reason} of {name}"


def known_tests(root, names):
    known = set()
    for name in names:
        if name.startswith("tests/") and name.endswith("CMakeLists.txt"):
            for test, label, whole in TEST_IN_CMAKE.findall((root / name).read_text()):
                known.add(whole or f"{label}/{test}")
        script = re.fullmatch(r"tests/repo/(\w+)_test\.py", name)
        if script:
            known.add(f"integration/{script.group(1)}")
    return known


def check_test_names(root, names):
    known = known_tests(root, names)
    for document in NAMES_TESTS:
        for test in sorted(set(TEST_NAME.findall((root / document).read_text()))):
            if test not in known:
                yield f"{document}: names the test {test}, which does not exist"


def check_cases_and_metrics(root, names):
    cases, sources = set(), []
    for name in names:
        if name.endswith((".cc", ".h")):
            text = (root / name).read_text()
            if name.startswith("tests/"):
                cases.update(f"{suite}.{case}" for suite, case in TEST_CASE_IN_CODE.findall(text))
            else:
                sources.append(text)
    code = "\n".join(sources)
    for document in NAMES_TESTS:
        text = (root / document).read_text()
        for case in sorted(set(TEST_CASE.findall(text)) - cases):
            yield f"{document}: names the test {case}, which does not exist"
        suites = {case.split(".")[0] for case in cases}
        for suite in sorted(set(TEST_SUITE.findall(text)) - suites):
            yield f"{document}: names the tests {suite}.*, of which there is none"
        for metric in sorted(set(METRIC.findall(text))):
            if f'"{metric}"' not in code:
                yield f"{document}: names the metric {metric}, which does not exist"


def check_rows_have_tests(root):
    """Tables whose last column is "test" name one in every row."""
    in_table = False
    for number, line in enumerate((root / "docs" / "consistency.md").read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            in_table = False
        elif cells[-1] == "test":
            in_table = True
        elif in_table and set(cells[-1]) != {"-"} and not (
                TEST_CASE.search(cells[-1]) or TEST_SUITE.search(cells[-1])):
            yield f"docs/consistency.md:{number}: the row names no test"


def main():
    root = pathlib.Path(sys.argv[1])
    names = source_tree.files(root)
    findings = []
    for name in names:
        if pathlib.PurePath(name).suffix not in TEXT:
            continue
        try:
            text = (root / name).read_text()
        except UnicodeDecodeError:
            continue
        findings.extend(check_words(name, text))
        if name.endswith(".md"):
            findings.extend(check_links(root, name, text))
    findings.extend(check_layer_table(root, names))
    findings.extend(check_reasons(root, names))
    findings.extend(check_test_names(root, names))
    findings.extend(check_cases_and_metrics(root, names))
    findings.extend(check_rows_have_tests(root))
    source_tree.finish("check_docs", findings)


if __name__ == "__main__":
    main()
