"""Whether a command that is not run could be: its programs have the subcommands and flags, its files
and chart values exist. What it is about (NODE, a number, a name) is not looked at."""

import functools
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("meridianctl", "meridian-node", "meridian-coordinator", "meridian-example-load")
SECTION = re.compile(r"^(\w[\w ]*):\n((?:  .*\n?)+)", re.MULTILINE)


class Programs:
    """What `--help` of the programs in a folder says; each is asked once."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._said = {}

    def help(self, *words):
        if words not in self._said:
            path = self._folder / words[0]
            if not path.exists():
                path = ROOT / words[0]
            self._said[words] = subprocess.run([path, *words[1:], "--help"], text=True,
                                               stdin=subprocess.DEVNULL, capture_output=True).stdout
        return self._said[words]

    def subcommands(self, *words):
        listed = dict(SECTION.findall(self.help(*words))).get("Subcommands", "")
        return set(re.findall(r"^  (\S+)", listed, re.MULTILINE))

    def problems(self, words):
        """What is wrong with the command `words`, of one of PROGRAMS or scripts/*."""
        known = [words[0]]
        rest = list(words[1:])
        flags = set(re.findall(r"--[a-z][\w-]*", self.help(*known)))
        of_script = words[0].startswith("scripts/")
        while rest and (rest[0] in self.subcommands(*known) or (
                of_script and len(known) == 1 and re.fullmatch("[a-z-]+", rest[0]))):
            known.append(rest.pop(0))
            flags |= set(re.findall(r"--[a-z][\w-]*", self.help(*known)))
        if rest and not rest[0].startswith("-") and self.subcommands(*known):
            yield f"{' '.join(known)} has no {rest[0]}"
            return
        for word in rest:
            if word.startswith("--") and word.partition("=")[0] not in flags:
                yield f"{' '.join(known)} has no {word.partition('=')[0]}"
        missing = self.missing_positionals(known, rest)
        if missing:
            yield f"{' '.join(known)} wants {missing}, too"

    def missing_positionals(self, known, rest):
        """The first positional that `rest` lacks; a command that is only named lacks nothing."""
        usage = re.search(r"^Usage: \S+((?: [\w-]+)*) \[OPTIONS\](.*)$",
                          self.help(*known), re.MULTILINE)
        if not rest or not usage:
            return None
        required = [word for word in usage.group(2).split() if word.islower() and word[0] != "["]
        text = self.help(known[0]) + self.help(*known)
        takes_value = set(re.findall(r"(--[\w-]+)(?: [A-Z]+\b)", text))
        given, skip = 0, False
        for word in rest:
            if skip or word.startswith("-"):
                skip = not skip and word in takes_value
                continue
            given += 1
        return required[given] if given < len(required) else None


def values_of(chart):
    """Every path of values.yaml, and those under which any name is allowed."""
    import yaml

    paths, free = set(), set()

    def walk(value, path):
        paths.add(path)
        if isinstance(value, dict):
            if not value:
                free.add(path)
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            free.add(path)

    walk(yaml.safe_load((chart / "values.yaml").read_text()), "")
    return paths, free


def kubernetes_problems(words, folder=ROOT):
    """Of a helm or kubectl command: files, chart values and objects that do not exist."""
    chart = ROOT / "k8s" / "chart" / "meridian"
    paths, free = values_of(chart)
    for flag, word in zip(words, words[1:]):
        if flag == "--set":
            for value in word.split(","):
                path = re.sub(r"\[\d+\].*", "", value.partition("=")[0])
                if path not in paths and not any(path.startswith(one + ".") for one in free):
                    yield f"the chart has no value {path}"
        if flag in ("-f", "--values") and "/" in word and not (folder / word).exists():
            yield f"there is no {word}"
        if flag in ("install", "upgrade", "rollback", "test") and words[0] == "helm" and \
                not re.fullmatch(r"[a-z][a-z0-9-]*|[A-Z]+|--?\w.*", word):
            yield f"{word} is no name of a release"
    for word in words:
        if word.startswith("k8s/") and not (folder / word).exists():
            yield f"there is no {word}"
        kind, _, name = word.partition("/")
        if kind in ("statefulset", "deployment", "service", "secret") and name and \
                (kind, name) not in rendered_objects():
            yield f"no manifest has a {word}"


@functools.cache
def rendered_objects():
    """(kind in small letters, name) of all that the manifests have."""
    import yaml

    return {(item["kind"].lower(), item["metadata"]["name"])
            for path in (ROOT / "k8s" / "manifests").glob("*.yaml")
            for item in yaml.safe_load_all(path.read_text()) if item}


def problems(command, programs):
    """What is wrong with a command of a document, one line each."""
    text = re.sub(r"\\\n\s*", " ", command)
    for part in re.split(r"\s*(?:&&|\|\||[|;])\s+", text):
        try:
            words = shlex.split(part, comments=True)
        except ValueError as error:
            yield f"{part}: {error}"
            continue
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        if "--" in words and words[0] == "kubectl":
            inner = words[words.index("--") + 1:]
            yield from problems(shlex.join(inner), programs)
            words = words[:words.index("--")]
        if words[0] in PROGRAMS or words[0].startswith("scripts/"):
            yield from programs.problems(words)
        elif words[0] in ("helm", "kubectl"):
            yield from kubernetes_problems(words)
