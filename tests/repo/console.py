"""Commands of documents: found in their fenced blocks, run one after the other in one shell.

A block of `console` has commands after `$ ` and what they answer; a block of `sh` commands alone.
With a second word, one of ELSEWHERE, they are for somewhere else, and not run here. In
a command's comment `exit code 3` and `within 5 s` (it is asked again until then) are meant so.
"""

import dataclasses
import json
import os
import re
import secrets
import select
import subprocess
import time

FENCED = re.compile(r"^```(console|sh)(?: +(\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^ *```(.*)$", re.MULTILINE)
# Blocks that are no commands.
OTHER_KINDS = frozenset(("yaml", "json", "cpp", "proto", "text", "python", "cmake", "jsonl", "promql"))
ELSEWHERE = frozenset(("kubernetes", "machine"))
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
WITHIN = re.compile(r"#.*\bwithin (\d+) s\b")
COMMAND_SECONDS = 90
PATIENCE = 3  # So many times what a document says: other things run on the machine of a test.


@dataclasses.dataclass
class Step:
    """One command of a document. `answer` is None where none is documented."""

    line: int
    command: str
    answer: str = None
    elsewhere: str = ""

    @property
    def exit_code(self):
        found = EXIT_CODE.search(self.command)
        return int(found.group(1)) if found else 0

    @property
    def within(self):
        found = WITHIN.search(self.command)
        return int(found.group(1)) if found else 0


def steps(text):
    """The commands of a document, in order."""
    found = []
    for block in FENCED.finditer(text):
        kind, elsewhere, body = block.groups()
        line = text.count("\n", 0, block.start(3)) + 1
        goes_on = False
        for number, words in enumerate(body.splitlines(), line):
            if goes_on:
                found[-1].command += "\n" + words
            elif kind == "sh" and words.strip() and not words.startswith("#"):
                found.append(Step(number, words, elsewhere=elsewhere or ""))
            elif kind == "console" and words.startswith("$ "):
                found.append(Step(number, words[2:], elsewhere=elsewhere or ""))
            elif kind == "console" and found:
                found[-1].answer = (found[-1].answer or "") + words + "\n"
                continue
            else:
                continue
            goes_on = words.endswith("\\")
    return found


def fence_problems(text):
    """Blocks that `steps` would not see although they may be commands, one line each."""
    fences = list(ANY_FENCE.finditer(text))
    for fence in fences[::2]:
        words = fence.group(1).split()
        line = text.count("\n", 0, fence.start()) + 1
        known = words and (words[0] in OTHER_KINDS or (
            words[0] in ("sh", "console") and len(words) < 3 and set(words[1:]) <= ELSEWHERE))
        if not known:
            yield f"line {line}: a block of {fence.group(1) or 'nothing'!r}"
        elif fence.group().startswith(" ") and words[0] in ("sh", "console"):
            yield f"line {line}: an indented block of commands"
    if len(fences) % 2:
        yield f"line {text.count(chr(10), 0, fences[-1].start()) + 1}: a block that does not end"


class Shell:
    """A bash in `folder`; what one command sets is there for the next."""

    def __init__(self, folder, environment):
        self._mark = f"end-{secrets.token_hex(8)}"
        self._process = subprocess.Popen(["bash", "--norc"], cwd=folder, env=environment,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)

    def run(self, command):
        """(exit code, all that it wrote)."""
        self._process.stdin.write(f"{{ {command}\n}} 2>&1 </dev/null\n"
                                  f"printf '\\n%s %d\\n' {self._mark} $?\n".encode())
        self._process.stdin.flush()
        end = re.compile(rf"\n{self._mark} (\d+)\n$".encode())
        read, deadline = b"", time.monotonic() + COMMAND_SECONDS
        while not (found := end.search(read)):
            ready = select.select([self._process.stdout], [], [], deadline - time.monotonic())[0] \
                if time.monotonic() < deadline else []
            more = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not more:
                raise AssertionError(f"{command}\ndoes not end within {COMMAND_SECONDS} s, or ended "
                                     f"the shell:\n{read.decode(errors='replace')}")
            read += more
        return int(found.group(1)), read[:found.start()].decode(errors="replace")

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


# --- What a document says, and what was answered -------------------------------------------------

DURATION = re.compile(r"\b(?:\d+(?:\.\d+)?(?:ms|us|µs|s|m|h|d))+\b")
SIZE = re.compile(r"\b\d+(?:\.\d+)? (?:B|KiB|MiB|GiB)\b")


def without_numbers(text):
    """Numbers are #, with their unit where it follows from how large they are."""
    text = SIZE.sub("# B", DURATION.sub("# s", " ".join(text.split())))
    return re.sub(r"\d[\d.,:]*", "#", text)


def same_text(documented, actual):
    """Equal but for numbers and spaces; `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in without_numbers(documented).split("…"))
    return re.fullmatch(pattern, without_numbers(actual), re.DOTALL) is not None


def json_difference(documented, actual, known_fields, path="answer"):
    """Where `actual` is not of the documented form, or None. A number that is 0 may be left out, as
    in JSON of protos; what is documented as empty is empty."""
    if documented in ({}, []) and actual != documented:
        return f"{path}: is {actual!r}, not empty"
    if isinstance(documented, dict):
        if not isinstance(actual, dict):
            return f"{path}: is {actual!r}, no object"
        documented = {name: value for name, value in documented.items() if name != ANYTHING}
        for name, value in documented.items():
            if name not in actual:
                may_be_zero = isinstance(value, (int, float)) or (
                    isinstance(value, str) and re.fullmatch(r"\d+", value))
                if may_be_zero and not isinstance(value, bool) and name in known_fields:
                    continue
                return f"{path}: has no {name}"
            found = json_difference(value, actual[name], known_fields, f"{path}.{name}")
            if found:
                return found
        return None
    if isinstance(documented, list):
        if not isinstance(actual, list):
            return f"{path}: is {actual!r}, no list"
        if documented == [ANYTHING]:
            return None
        for index, value in enumerate(documented):
            found = [json_difference(value, one, known_fields, f"{path}[{index}]")
                     for one in actual]
            if not found or all(found):
                return found[0] if found else f"{path}: is empty"
        return None
    if isinstance(documented, str):
        fine = isinstance(actual, str) and same_text(documented, actual)
    elif isinstance(documented, bool) or documented is None:
        fine = actual is documented
    else:
        fine = isinstance(actual, (int, float)) and not isinstance(actual, bool)
    return None if fine else f"{path}: is {actual!r}, not like {documented!r}"


ANYTHING = "…"


def parse_json(text):
    """The first JSON value of an answer; lines of `…` left out something. Alone in it, they say that
    an object or a list may have anything, or nothing."""
    text = re.sub(r"\[\s*…\s*\]", f'["{ANYTHING}"]', text)
    text = re.sub(r"\{\s*…\s*\}", f'{{"{ANYTHING}": 0}}', text)
    text = re.sub(r"^\s*…\s*$\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r",(\s*[}\]])", r"\1", text)
    return snake_case(json.JSONDecoder().raw_decode(text.lstrip())[0])


def snake_case(value):
    """JSON with the field names of the protos, whichever form the descriptors made grpcurl print."""
    if isinstance(value, dict):
        return {re.sub("([A-Z])", lambda match: "_" + match.group(1).lower(), name):
                snake_case(inner) for name, inner in value.items()}
    return [snake_case(inner) for inner in value] if isinstance(value, list) else value


def difference(documented, actual, known_fields=frozenset()):
    """Why an answer is not what the document says, or None."""
    if documented.lstrip().startswith("{"):
        try:
            return json_difference(parse_json(documented), parse_json(actual), known_fields)
        except ValueError as error:
            return f"no JSON: {error}"
    lines = iter(actual.splitlines())
    for line in documented.splitlines():
        if line.strip() in ("", "…"):
            continue
        if not any(same_text(line, one) for one in lines):
            return f"no line (after those before) is like: {line}"
    return None


def run_step(shell, step, known_fields=frozenset()):
    """What is wrong with the answer, or None."""
    deadline = time.monotonic() + PATIENCE * step.within
    while True:
        code, written = shell.run(step.command)
        problem = None
        if code != step.exit_code:
            problem = f"exit code {code}, not {step.exit_code}"
        elif step.answer is not None:
            problem = difference(step.answer, written, known_fields)
        if problem is None:
            return None
        if time.monotonic() >= deadline:
            return f"line {step.line}: {step.command}\n{problem}\nIt answered:\n{written}"
        time.sleep(0.3)
