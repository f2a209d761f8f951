#!/usr/bin/env python3
"""Every command of the documents for operators runs, and answers what the document says.

  tests/repo/documents_test.py WORK_DIR [CLASS.TEST...]

Without names two run at a time. The programs come from MERIDIAN_BIN_DIR; a document that uses grpcurl
is skipped where there is none (grpcurl_test.py). Exit codes: 0 passed, 1 failed.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import command_words  # noqa: E402
import console  # noqa: E402
import grpcurl_test  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SIDE_BY_SIDE = 2
FIELDS = frozenset(word for path in (ROOT / "proto").rglob("*.proto")
                   for word in re.findall(r"\w+", path.read_text()))


class Documents(unittest.TestCase):
    work = None

    def setUp(self):
        """A shell whose commands find the programs, and keep a cluster of their own."""
        folder = self.work / self._testMethodName
        self.environment = {
            **os.environ, "MERIDIAN_CLUSTER": str(folder / "cluster.json"),
            "PATH": f"{os.environ['MERIDIAN_BIN_DIR']}:{self.work}:{os.environ['PATH']}"}
        self.shell = console.Shell(ROOT, self.environment)
        self.addCleanup(self.shell.close)
        self.addCleanup(subprocess.run, [ROOT / "scripts" / "local-cluster", "down"],
                        env=self.environment, stdin=subprocess.DEVNULL, capture_output=True)

    def run_document(self, path):
        """Its commands, in order; the first that is not as documented ends it."""
        steps = [step for step in console.steps(path.read_text()) if not step.elsewhere]
        self.assertTrue(steps, f"{path.name} has no commands")
        for step in steps:
            problem = console.run_step(self.shell, step, FIELDS)
            if problem:
                self.fail(f"{path.relative_to(ROOT)}: {problem}")
        return steps


# What a reader of a runbook fills in, and what the test does.
FILLED_IN = {"ANOTHER_NODE:7402": "$US_NODE_2_ADMIN", "NODE:7402": "$US_ADMIN",
             "NODE:7403": "$US_HTTP", "HOST:7410": "$US_COORDINATOR",
             "HOST:7413": "$US_COORDINATOR_HTTP", "NAMESPACE": "assessment", "REGION": "eu"}


def filled_in(command):
    """What a reader makes of it; what stays open is an error."""
    for word, instead in FILLED_IN.items():
        command = re.sub(rf"\b{word}\b", instead, command)
    left = re.search(r"(?<![\w$])[A-Z][A-Z_]{2,}(?![\w=])", command)
    if left:
        raise AssertionError(f"{command}: what is {left[0]}?")
    return command


def grpcurl_of(work):
    """Its path, or None: the one that integration/grpcurl has made, too."""
    folder = work.parent / "grpcurl"
    folder.mkdir(parents=True, exist_ok=True)
    return grpcurl_test.find_grpcurl(folder)


def find_grpcurl(test):
    """Puts it into the PATH of the test's shell; None where there is none."""
    found = grpcurl_of(test.work)
    if found:
        test.shell.run(f"PATH={pathlib.Path(found).parent}:$PATH")
    return found


class OperatorsTest(Documents):
    def test_0_24_training(self):
        self.run_document(DOCS / "training.md")

    def test_0_24_operations(self):
        self.run_document(DOCS / "operations.md")

    def test_0_24_troubleshooting(self):
        self.run_document(DOCS / "troubleshooting.md")

    def test_0_24_runbooks(self):
        for command in ("scripts/local-cluster up --regions us,eu --nodes 2 --origin --brief",
                        'eval "$(scripts/local-cluster env)"',
                        "meridian-example-load --origin $ORIGIN --target $US --requests 10000"):
            self.assertIsNone(console.run_step(self.shell, console.Step(0, command)))
        grpcurl = find_grpcurl(self)
        for path in sorted((DOCS / "runbooks").glob("M*.md")):
            executed = 0
            for step in console.steps(path.read_text()):
                if step.elsewhere or (step.command.startswith("grpcurl") and grpcurl is None):
                    continue
                with self.subTest(page=path.name, line=step.line):
                    step.command = filled_in(step.command)
                    self.assertIsNone(console.run_step(self.shell, step, FIELDS))
                executed += 1
            self.assertGreater(executed, 0, f"nothing of {path.name} is executed")


# What a document calls a command: `meridianctl …` amid its text.
NAMED = re.compile(r"`((?:meridianctl|meridian-node|meridian-coordinator|scripts/[\w-]+) [^`]*)`")


class RunbooksTest(unittest.TestCase):
    def test_the_list_is_that_of_the_pages_and_of_the_alerts(self):
        """With the times for which Prometheus waits, and the names that the coordinator has."""
        rows = {name: (inside, outside) for name, inside, outside in re.findall(
            r"^\| \[(\w+)\]\(\1\.md\) \| \w+ \| ([^|]+) \| ([^|]+) \|$",
            (DOCS / "runbooks" / "README.md").read_text(), re.MULTILINE)}
        pages = {path.stem for path in (DOCS / "runbooks").glob("M*.md")}
        self.assertEqual(set(rows), pages)
        rules = (ROOT / "k8s/chart/meridian/files/alerts.yaml").read_text()
        for rule in re.split(r"^      - alert: ", rules, flags=re.MULTILINE)[1:]:
            waits = re.search(r"^        for: (\d+)(s|m)$", rule, re.MULTILINE)
            said = f"{waits[1]} {'min' if waits[2] == 'm' else 's'}" if waits else "at once"
            self.assertEqual(rows[rule.split()[0]][1], said, rule.split()[0])
        self.assertEqual({name for name in rows if rows[name][1] != "–"},
                         set(re.findall(r"- alert: (\w+)", rules)))
        code = (ROOT / "server/figures/alert_rules.cc").read_text()
        for constant, text in re.findall(r'^constexpr char (\w+)\[\] = ("Meridian\w+");', code, re.MULTILINE):
            code = code.replace(f"Add({constant},", f"Add({text},")
        self.assertEqual({name for name in rows if rows[name][0] != "–"},
                         set(re.findall(r'Add\("(Meridian\w+)"', code)))


class NamedCommandsTest(unittest.TestCase):
    """Commands that are not run, or only named, are right by their words."""

    def test_every_block_says_what_it_is(self):
        """Otherwise its commands would be looked at by nobody."""
        for path in (ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))):
            if path.parent.name == "adr":
                continue
            with self.subTest(file=str(path.relative_to(ROOT))):
                self.assertEqual(list(console.fence_problems(path.read_text())), [])

    def test_programs_have_what_documents_name(self):
        programs = command_words.Programs(os.environ["MERIDIAN_BIN_DIR"])
        files = [path for pattern in ("*.md", "docs/**/*.md", "k8s/**/*.md", "k8s/**/NOTES.txt",
                                      "k8s/**/alerts.yaml")
                 for path in ROOT.glob(pattern) if path.name != "CHANGELOG.md"]
        self.assertGreater(len(files), 40)
        for path in files:
            text = path.read_text()
            named = NAMED.findall(console.FENCED.sub("", text).replace("\n", " "))
            named += [step.command for step in console.steps(text)]
            for command in named:
                with self.subTest(file=str(path.relative_to(ROOT)), command=command):
                    self.assertEqual(list(command_words.problems(command, programs)), [])

    def test_what_is_wrong_is_found(self):
        programs = command_words.Programs(os.environ["MERIDIAN_BIN_DIR"])
        for command, says in (
                ("meridianctl region resume eu", "region has no resume"),
                ("meridianctl status --nope=1", "has no --nope"),
                ("meridianctl drain --within 10s", "wants node"),
                ("meridianctl get task", "wants key"),
                ("scripts/local-cluster up --regionz us", "has no --regionz"),
                ("helm upgrade meridian k8s/chart/meridian --set insecure=true,node.replicas=3",
                 "no value node.replicas"),
                ("helm install m k8s/charts/meridian -f k8s/none.yaml", "no k8s/none.yaml"),
                ("kubectl -n meridian rollout status statefulset/meridian-nodes", "no manifest"),
                ("kubectl exec meridian-node-0 -- meridianctl stat", "has no stat"),
                ("true | A=b meridianctl what-if", None), ("meridianctl drain us-node-1", None),
                ("scripts/local-cluster up --regions us # --x", None),
                ("helm upgrade meridian k8s/chart/meridian --set policies.namespaces.a.ttl=5m", None)):
            with self.subTest(command=command):
                found = " ".join(command_words.problems(command, programs))
                if says:
                    self.assertIn(says, found)
                else:
                    self.assertEqual(found, "")


class GrpcurlTest(Documents):
    """Documents that use grpcurl."""

    def setUp(self):
        super().setUp()
        if find_grpcurl(self) is None:
            self.skipTest("no grpcurl")

    def test_the_tour_of_the_readme(self):
        self.run_document(ROOT / "README.md")

    def test_the_session_of_an_administrator(self):
        steps = self.run_document(DOCS / "grpcurl.md")
        calls = [step for step in steps if step.command.startswith("grpcurl ")]
        self.assertGreaterEqual(len(calls), 25)


class ConsoleTest(unittest.TestCase):
    """Answers that are not what is documented are found."""

    def test_blocks_become_steps(self):
        text = ("a\n```sh\n# why\none --x \\\n    --y   # exit code 3\ntwo\n```\n```sh machine\n"
                "three\n```\n```console\n$ four    # within 5 s\nanswer\n\nmore\n$ five\n```\n"
                "```yaml\nno: command\n```\n")
        steps = console.steps(text)
        self.assertEqual([(step.line, step.command, step.answer, step.elsewhere, step.exit_code,
                           step.within) for step in steps],
                         [(4, "one --x \\\n    --y   # exit code 3", None, "", 3, 0),
                          (6, "two", None, "", 0, 0), (9, "three", None, "machine", 0, 0),
                          (12, "four    # within 5 s", "answer\n\nmore\n", "", 0, 5),
                          (16, "five", None, "", 0, 0)])

    def test_blocks_that_would_be_overlooked_are_found(self):
        for text, fine in (("```sh\na\n```\n", True), ("```sh kubernetes\na\n```\n", True),
                           ("```console\n$ a\n```\n\n```yaml\na: 1\n```\n", True),
                           ("```\na\n```\n", False), ("```bash\na\n```\n", False),
                           ("```sh somewhere\na\n```\n", False),
                           ("```sh kubernetes later\na\n```\n", False),
                           ("- a\n  ```sh\n  b\n  ```\n", False), ("```sh\na\n", False)):
            self.assertEqual(not list(console.fence_problems(text)), fine, text)

    def test_what_a_reader_fills_in_is_known(self):
        self.assertEqual(filled_in("meridianctl ring --admin NODE:7402 | grep ^A_B=1"),
                         "meridianctl ring --admin $US_ADMIN | grep ^A_B=1")
        with self.assertRaises(AssertionError):
            filled_in("meridianctl drain OTHER")

    def test_texts_may_differ_in_numbers_only(self):
        documented = "NAME   AGE\nus-1  5 s\n…\nlast … line\n"
        for actual, fine in ((documented, True),
                             ("NAME AGE\nus-2   17.5 s\nmore\nlast but one line\n", True),
                             ("NAME AGE\nus-2 17 ms\nlast line\n", False),
                             ("us-1 5 s\nNAME AGE\nlast x line\n", False), ("", False)):
            self.assertEqual(console.difference(documented, actual) is None, fine, actual)

    def test_json_has_the_documented_form(self):
        documented = '{\n "a": "x1",\n "n": "5",\n "on": true,\n "l": [{"b": 1}, …],\n …\n}\n'
        documented = documented.replace(", …]", ",\n…\n]")
        for actual, fine in (
                ({"a": "x22", "n": "0", "on": True, "l": [{"b": 2.5}], "more": 1}, True),
                ({"a": "x22", "on": True, "l": [{"c": 1}, {"b": 1}]}, True),
                ({"a": "y", "n": "5", "on": True, "l": [{"b": 1}]}, False),
                ({"a": "x1", "n": "5", "on": False, "l": [{"b": 1}]}, False),
                ({"a": "x1", "n": "5", "on": True, "l": []}, False),
                ({"a": "x1", "n": "5", "on": True, "l": [{"b": "1"}]}, False),
                ({"n": "5", "on": True, "l": [{"b": 1}]}, False)):
            found = console.difference(documented, json.dumps(actual), {"n"})
            self.assertEqual(found is None, fine, actual)
        self.assertIsNotNone(console.difference(documented, json.dumps(
            {"a": "x1", "on": True, "l": [{"b": 1}]}), set()), "n is the name of no field")
        for documented, actual, fine in (
                ('{"l": []}', {"l": []}, True), ('{"l": []}', {"l": [1]}, False),
                ('{"o": {}}', {"o": {}}, True), ('{"o": {}}', {"o": {"a": 1}}, False),
                ('{"o": {}}', {"o": []}, False),
                ('{"l": [\n…\n]}', {"l": [1]}, True), ('{"l": [\n…\n]}', {"l": []}, True),
                ('{"l": […]}', {"l": 1}, False), ('{"o": {…}}', {"o": {"a": 1}}, True),
                ('{"o": {\n…\n}}', {"o": 1}, False)):
            found = console.difference(documented, json.dumps(actual))
            self.assertEqual(found is None, fine, (documented, actual))
        self.assertIsNone(console.difference("{}", "{}"))
        self.assertIsNotNone(console.difference("{}", '{"a": 1}'))
        self.assertIsNotNone(console.difference("{}", "ERROR"))

    def test_exit_codes_and_answers_decide(self):
        shell = console.Shell(ROOT, dict(os.environ))
        self.addCleanup(shell.close)
        for command, answer, fine in (("true", None, True), ("false", None, False),
                                      ("(exit 3)  # exit code 3", None, True),
                                      ("true  # exit code 3", None, False),
                                      ("VALUE=kept", None, True), ("echo $VALUE", "kept", True),
                                      ("echo $VALUE >&2", "lost", False)):
            problem = console.run_step(shell, console.Step(1, command, answer))
            self.assertEqual(problem is None, fine, problem)
        again = console.Step(1, "COUNT=$((COUNT + 1)); echo n$COUNT; [ $COUNT = 3 ]  # within 5 s")
        self.assertIsNone(console.run_step(shell, again))


def all_tests(suite):
    """Class.test of each."""
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from all_tests(one)
        else:
            yield ".".join(one.id().split(".")[-2:])


def run_side_by_side(work):
    """Each test in a process of its own, those that take long first: a document spends its time
    waiting for its cluster."""
    names = sorted(all_tests(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])),
                   key=lambda name: not name.startswith("Operators"))

    def run(name):
        return name, subprocess.run([sys.executable, __file__, work, name], text=True,
                                    stdin=subprocess.DEVNULL, capture_output=True)

    grpcurl_of(work)  # Once, before several look for it.
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for name, result in pool.map(run, names):
            failed += result.returncode != 0
            print(name, "failed" if result.returncode else "passed", flush=True)
            print(result.stdout + result.stderr if result.returncode or "skipped" in result.stderr
                  else "", end="", flush=True)
    return 1 if failed else 0


def main():
    Documents.work = pathlib.Path(sys.argv.pop(1)).resolve()
    Documents.work.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) == 1:
        return run_side_by_side(Documents.work)
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
