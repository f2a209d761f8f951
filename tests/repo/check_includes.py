#!/usr/bin/env python3
"""Every include is allowed by the layers and declared in CMake.

  tests/repo/check_includes.py SOURCE_DIR

Of each library (meridian_library in a CMakeLists.txt of common/, server/ or client/):
  - what it includes of ours belongs to itself or to a library of a lower layer that it declares,
    in DEPS when a header of its own includes it (PRIVATE_DEPS are for sources);
  - generated code and gRPC are declared as meridian::proto;
  - hiredis is included in server/l2 only, libevent there and in server/http_client; the public
    headers of client/cpp know no gRPC and no generated code; nothing includes tests/ or bench/;
  - every source of its folder is listed, and every header is listed or included by its own files
    only (a private header), so that none is dead.
Exit codes: 0 clean, 1 not. Also prints, as a report only, the files over their size budget.
"""

import dataclasses
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import source_tree  # noqa: E402

KEYWORDS = ("NAME", "LAYER", "HDRS", "SRCS", "DEPS", "PRIVATE_DEPS", "GRPC")
CALL = re.compile(r"\bmeridian_(library|executable)\s*\(([^()]*)\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)
OURS = ("common/", "server/", "client/")
ONLY_IN = ((re.compile(r"^hiredis/"), ("server/l2",)),
           (re.compile(r"^(event2/|event\.h$)"), ("server/l2", "server/http_client")))
BUDGETS = {".h": 200, ".cc": 500}


@dataclasses.dataclass
class Library:
    name: str
    folder: str
    layer: int
    headers: list
    sources: list
    deps: set
    private_deps: set
    private_headers: list = dataclasses.field(default_factory=list)

    def files(self):
        return self.headers + self.sources + self.private_headers


def parse_call(body):
    """keyword -> words of one meridian_library or meridian_executable call."""
    words = re.sub(r"#[^\n]*", "", body).split()
    result, current = {}, None
    for word in words:
        if word in KEYWORDS:
            current = result.setdefault(word, [])
        elif current is not None:
            current.append(word)
    return result


def read_targets(root, names):
    """(libraries, files that belong to programs)"""
    libraries, program_files = [], set()
    for name in names:
        if not name.endswith("CMakeLists.txt") or not name.startswith(OURS):
            continue
        folder = name.rpartition("/")[0]
        for kind, body in CALL.findall((root / name).read_text()):
            words = parse_call(body)
            if kind == "executable":
                program_files.update(f"{folder}/{file}" for file in words.get("SRCS", []))
                continue
            libraries.append(Library(
                words["NAME"][0], folder, int(words["LAYER"][0]),
                [f"{folder}/{file}" for file in words.get("HDRS", [])],
                [f"{folder}/{file}" for file in words.get("SRCS", []) if "$" not in file],
                set(words.get("DEPS", [])), set(words.get("PRIVATE_DEPS", []))))
    return libraries, program_files


def includes_of(path):
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(2)


def needs_proto(include):
    return include.endswith((".pb.h", ".grpc.pb.h")) or include.startswith(("grpcpp/", "grpc/"))


def check_file(root, library, file, owner_of):
    """Findings of one file of a library."""
    declared = library.deps if file in library.headers else library.deps | library.private_deps
    for line, include in includes_of(root / file):
        place = f"{file}:{line}: "
        if include.startswith(("tests/", "bench/")):
            yield place + f"{include}: nothing may include tests or benchmarks"
        elif folders := next((folders for pattern, folders in ONLY_IN
                              if pattern.match(include) and library.folder not in folders), None):
            yield place + f"{include}: only {' and '.join(folders)} may know of it"
        elif needs_proto(include):
            if not declared & {"meridian::proto", "gRPC::grpc++"}:
                yield place + f"{include}: {library.name} does not declare meridian::proto"
            if library.folder == "client/cpp" and file in library.headers:
                yield place + f"{include}: public headers of the client know no gRPC"
        elif include.startswith(OURS):
            other = owner_of.get(include)
            if include in library.private_headers:
                continue
            if other is None:
                yield place + f"{include}: no library lists it in its HDRS"
            elif other is not library:
                if other.layer >= library.layer:
                    yield place + (f"{include}: {library.name} (layer {library.layer}) may not "
                                   f"use {other.name} (layer {other.layer})")
                if f"meridian::{other.name}" not in declared:
                    yield place + f"{include}: {library.name} does not declare {other.name}"


def find_private_headers(root, names, libraries):
    """Headers that no CMakeLists.txt lists, but that a library of the same folder includes."""
    listed = {file for library in libraries for file in library.files()}
    for library in libraries:
        unlisted = {name for name in names if name.endswith(".h") and name not in listed
                    and name.rpartition("/")[0] == library.folder}
        to_read = library.headers + library.sources
        while to_read:
            file = to_read.pop()
            if (root / file).is_file():
                found = {include for _, include in includes_of(root / file)} & unlisted
                unlisted -= found
                library.private_headers += sorted(found)
                to_read += found


def check(root):
    """All findings."""
    names = source_tree.files(root)
    libraries, program_files = read_targets(root, names)
    find_private_headers(root, names, libraries)
    owner_of = {header: library for library in libraries for header in library.headers}
    listed = program_files.union(*(library.files() for library in libraries))
    folders = {library.folder for library in libraries}
    findings = []
    for library in libraries:
        for file in library.files():
            if (root / file).is_file():
                findings.extend(check_file(root, library, file, owner_of))
            else:
                findings.append(f"{library.folder}/CMakeLists.txt: {file} does not exist")
    for name in names:
        folder, _, _ = name.rpartition("/")
        if name.endswith((".h", ".cc")) and folder in folders and name not in listed:
            findings.append(f"{name}: no target lists it, and nothing beside it includes it")
    if not libraries:
        findings.append("no libraries found")
    return findings


def report_sizes(root):
    for name in source_tree.files(root):
        budget = BUDGETS.get(pathlib.PurePath(name).suffix)
        if budget:
            lines = (root / name).read_text().count("\n")
            if lines > budget:
                print(f"report: {name} has {lines} lines, the budget is {budget}")


if __name__ == "__main__":
    report_sizes(pathlib.Path(sys.argv[1]))
    source_tree.finish("check_includes", check(pathlib.Path(sys.argv[1])))
