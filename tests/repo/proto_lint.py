#!/usr/bin/env python3
"""The core rules of `buf lint` (STANDARD and COMMENTS), for machines without Node.

  tests/repo/proto_lint.py PROTO_ROOT

Prints one line a finding, with the name that buf gives to the rule. Exit codes: 0 clean, 1 not.
Reads what our protos use of proto3; refuses to guess about anything else (rule PARSE).
"""

import dataclasses
import pathlib
import re
import sys

# Declared again under their real names, so that errors are wire compatible: these are not ours.
IGNORED_FOLDERS = ("google",)
SAME_IN_A_PACKAGE = ("go_package", "java_package", "java_multiple_files", "csharp_namespace")

TOKEN = re.compile(r"""
    (?P<space>\s+) | (?P<comment>//[^\n]*|/\*.*?\*/) | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<word>[A-Za-z_.][\w.]*) | (?P<number>-?\d\w*) | (?P<symbol>[{}()<>\[\]=;,])
""", re.VERBOSE | re.DOTALL)

PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


class ParseError(Exception):
    pass


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    line: int
    comment: str  # What stands directly before it.


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def tokenize(text):
    tokens, position, line, comment = [], 0, 1, ""
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise ParseError(f"line {line}: cannot read {text[position:position + 20]!r}")
        kind, value = match.lastgroup, match.group()
        if kind == "comment":
            comment += value.strip("/* \n")
        elif kind == "space":
            if value.count("\n") > 1:
                comment = ""  # A blank line parts a comment from what follows.
        else:
            tokens.append(Token(kind, value, line, comment))
            comment = ""
        line += value.count("\n")
        position = match.end()
    return tokens


class File:
    """One proto file: walks its tokens once and collects findings."""

    def __init__(self, path, text):
        self.path = path  # Relative to the root, with slashes.
        self.findings = []
        self.package = None
        self.options = {}
        self.imports = []
        self.types_used = set()
        self.rpc_types = []  # (line, type) of every request and response.
        self._tokens = tokenize(text)
        self._at = 0
        self._walk()

    def _peek(self):
        if self._at >= len(self._tokens):
            raise ParseError("unexpected end of file")
        return self._tokens[self._at]

    def _next(self, expected=None):
        token = self._peek()
        if expected is not None and token.text != expected:
            raise ParseError(f"line {token.line}: expected {expected!r}, not {token.text!r}")
        self._at += 1
        return token

    def _skip_past(self, *ends):
        while self._next().text not in ends:
            pass

    def _find(self, line, rule, text):
        self.findings.append(Finding(self.path, line, rule, text))

    def _check(self, token, pattern, rule):
        if not pattern.fullmatch(token.text):
            self._find(token.line, rule, token.text)

    def _commented(self, token, kind, name):
        if not token.comment:
            self._find(token.line, f"COMMENT_{kind}", f"{name} has no comment")

    def _walk(self):
        syntax = None
        while self._at < len(self._tokens):
            token = self._next()
            if token.text == "syntax":
                self._next("=")
                syntax = self._next().text
                self._next(";")
            elif token.text == "package":
                self.package = self._next().text
                self._next(";")
            elif token.text == "import":
                self._import()
            elif token.text == "option":
                self._option()
            elif token.text == "message":
                self._message(token)
            elif token.text == "enum":
                self._enum(token)
            elif token.text == "service":
                self._service(token)
            else:
                raise ParseError(f"line {token.line}: unexpected {token.text!r}")
        if syntax != '"proto3"':
            self._find(1, "SYNTAX_SPECIFIED", f"syntax is {syntax}, not proto3")
        self._check_place()

    def _check_place(self):
        folder, _, name = self.path.rpartition("/")
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.proto", name):
            self._find(1, "FILE_LOWER_SNAKE_CASE", name)
        if self.package is None:
            self._find(1, "PACKAGE_DEFINED", "the file has no package")
            return
        if self.package.replace(".", "/") != folder:
            self._find(1, "PACKAGE_DIRECTORY_MATCH", f"{self.package} lies in {folder or '.'}")
        if not re.fullmatch(r"v\d+((alpha|beta)\d+)?", self.package.rpartition(".")[2]):
            self._find(1, "PACKAGE_VERSION_SUFFIX", self.package)
        if not all(LOWER_SNAKE.fullmatch(part) for part in self.package.split(".")):
            self._find(1, "PACKAGE_LOWER_SNAKE_CASE", self.package)

    def _import(self):
        token = self._next()
        if token.text == "public":
            self._find(token.line, "IMPORT_NO_PUBLIC", self._peek().text)
            token = self._next()
        self.imports.append((token.line, token.text.strip('"')))
        self._next(";")

    def _option(self):
        name = self._next().text
        self._next("=")
        self.options[name] = self._next().text
        self._next(";")

    def _message(self, start):
        name = self._next()
        self._check(name, PASCAL, "MESSAGE_PASCAL_CASE")
        self._commented(start, "MESSAGE", name.text)
        self._next("{")
        while self._peek().text != "}":
            self._member(name.text)
        self._next("}")

    def _member(self, owner):
        token = self._next()
        if token.text == "message":
            self._message(token)
        elif token.text == "enum":
            self._enum(token)
        elif token.text == "option" or token.text == "reserved":
            self._skip_past(";")
        elif token.text == "oneof":
            name = self._next()
            self._check(name, LOWER_SNAKE, "ONEOF_LOWER_SNAKE_CASE")
            self._commented(token, "ONEOF", f"{owner}.{name.text}")
            self._next("{")
            while self._peek().text != "}":
                self._member(owner)
            self._next("}")
        else:
            self._field(token, owner)

    def _field(self, start, owner):
        kind = self._next() if start.text in ("repeated", "optional") else start
        if kind.text == "map":
            self._next("<")
            self._next()
            self._next(",")
            kind = self._next()
            self._next(">")
        elif kind.text == "required":
            raise ParseError(f"line {kind.line}: required is not proto3")
        self.types_used.add(kind.text)
        name = self._next()
        self._check(name, LOWER_SNAKE, "FIELD_LOWER_SNAKE_CASE")
        self._commented(start, "FIELD", f"{owner}.{name.text}")
        self._next("=")
        self._skip_past(";")

    def _enum(self, start):
        name = self._next()
        self._check(name, PASCAL, "ENUM_PASCAL_CASE")
        self._commented(start, "ENUM", name.text)
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.text).upper()
        self._next("{")
        first = True
        while self._peek().text != "}":
            value = self._next()
            if value.text in ("option", "reserved"):
                if self._peek().text == "allow_alias":
                    self._find(value.line, "ENUM_NO_ALLOW_ALIAS", name.text)
                self._skip_past(";")
                continue
            self._next("=")
            number = self._next()
            self._skip_past(";")
            self._check(value, UPPER_SNAKE, "ENUM_VALUE_UPPER_SNAKE_CASE")
            self._commented(value, "ENUM_VALUE", value.text)
            if not value.text.startswith(prefix + "_"):
                self._find(value.line, "ENUM_VALUE_PREFIX", f"{value.text} without {prefix}_")
            if first and number.text != "0":
                self._find(value.line, "ENUM_FIRST_VALUE_ZERO", value.text)
            if number.text == "0" and not value.text.endswith("_UNSPECIFIED"):
                self._find(value.line, "ENUM_ZERO_VALUE_SUFFIX", value.text)
            first = False
        self._next("}")

    def _service(self, start):
        name = self._next()
        self._check(name, PASCAL, "SERVICE_PASCAL_CASE")
        self._commented(start, "SERVICE", name.text)
        if not name.text.endswith("Service"):
            self._find(name.line, "SERVICE_SUFFIX", name.text)
        self._next("{")
        while self._peek().text != "}":
            token = self._next()
            if token.text == "option":
                self._skip_past(";")
                continue
            if token.text != "rpc":
                raise ParseError(f"line {token.line}: expected rpc, not {token.text!r}")
            self._rpc(token, name.text)
        self._next("}")

    def _rpc(self, start, service):
        name = self._next()
        self._check(name, PASCAL, "RPC_PASCAL_CASE")
        self._commented(start, "RPC", name.text)
        for suffix in ("Request", "Response"):
            if suffix == "Response":
                self._next("returns")
            self._next("(")
            kind = self._next()
            if kind.text == "stream":
                kind = self._next()
            self._next(")")
            self.types_used.add(kind.text)
            self.rpc_types.append((kind.line, f"{self.package}.{kind.text}"))
            if kind.text not in (name.text + suffix, service + name.text + suffix):
                self._find(kind.line, f"RPC_{suffix.upper()}_STANDARD_NAME",
                           f"{name.text} uses {kind.text}")
        if self._next().text == "{":
            self._skip_past("}")


def lint_text(path, text):
    """Findings of one file alone."""
    try:
        return File(path, text).findings
    except ParseError as error:
        return [Finding(path, 1, "PARSE", str(error))]


def lint_tree(root):
    """Findings of every proto below `root`, those between files included."""
    files, findings = [], []
    for path in sorted(root.rglob("*.proto")):
        name = path.relative_to(root).as_posix()
        if name.startswith(tuple(folder + "/" for folder in IGNORED_FOLDERS)):
            continue
        try:
            files.append(File(name, path.read_text()))
        except ParseError as error:
            findings.append(Finding(name, 1, "PARSE", str(error)))
    if not files:
        findings.append(Finding(str(root), 1, "PARSE", "no protos here"))
    return findings + lint_files(files)


def lint_files(files):
    findings = [finding for file in files for finding in file.findings]
    options_of, first_use, packages = {}, {}, {file.path: file.package for file in files}
    for file in files:
        for name in SAME_IN_A_PACKAGE:
            value = file.options.get(name)
            known = options_of.setdefault((file.package, name), value)
            if value != known:
                findings.append(Finding(file.path, 1, f"PACKAGE_SAME_{name.upper()}",
                                        f"{value}, elsewhere {known}"))
        for line, kind in file.rpc_types:
            if kind in first_use:
                findings.append(Finding(file.path, line, "RPC_REQUEST_RESPONSE_UNIQUE",
                                        f"{kind} is used at {first_use[kind]} too"))
            first_use[kind] = f"{file.path}:{line}"
        for line, name in file.imports:
            package = packages.get(name)
            if package and package != file.package and not any(
                    used.startswith(package + ".") for used in file.types_used):
                findings.append(Finding(file.path, line, "IMPORT_USED", name))
    return findings


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    findings = lint_tree(pathlib.Path(sys.argv[1]))
    for finding in findings:
        print(finding)
    print(f"proto_lint: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
