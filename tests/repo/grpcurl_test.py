#!/usr/bin/env python3
"""The real grpcurl against a real cluster: what an operator types works, with no proto files.

  tests/repo/grpcurl_test.py WORK_DIR

Uses the grpcurl of the PATH, or installs a pinned one below WORK_DIR where Go is present. The
programs come from MERIDIAN_BIN_DIR. Exit codes: 0 passed, 1 failed, 77 skipped: no grpcurl here.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from console import snake_case  # noqa: E402

PINNED = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.1"
REGION = "us"
# grpcurl ends with 64 + the status code.
INVALID_ARGUMENT, UNIMPLEMENTED = 64 + 3, 64 + 12


def find_grpcurl(work):
    """Path of grpcurl, or None with the reason printed."""
    found = shutil.which("grpcurl")
    if found:
        return found
    path = work / "go-bin" / "grpcurl"
    if path.exists():
        return str(path)
    if not shutil.which("go"):
        print("SKIPPED: neither grpcurl nor Go is installed")
        return None
    environment = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-mod=mod"}
    result = subprocess.run(["go", "install", PINNED], env=environment, cwd=work, text=True,
                            stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        print(f"SKIPPED: go install {PINNED} does not work here:\n{result.stderr[-2000:]}")
        return None
    return str(path)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class GrpcurlTest(unittest.TestCase):
    grpcurl = None
    work = None

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.work / "grpcurl-cluster"
        cls.local_cluster("up", "--regions", REGION, "--nodes", "2")
        cls.addClassCleanup(cls.local_cluster, "down")
        region = json.loads((cls.folder / "cluster.json").read_text())["regions"][REGION]
        cls.node = region["nodes"][0]
        cls.coordinator = region["coordinators"][0]

    @classmethod
    def local_cluster(cls, *words):
        subprocess.run([ROOT / "scripts" / "local-cluster", "--dir", cls.folder, *words],
                       check=True, stdin=subprocess.DEVNULL)

    def run_grpcurl(self, address, *words):
        return subprocess.run([self.grpcurl, "-plaintext", "-max-time", "10", *words[:-1], address,
                               *words[-1].split(" ")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def text(self, address, *words):
        result = self.run_grpcurl(address, *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def call(self, address, method, request):
        return snake_case(json.loads(self.text(address, "-d", json.dumps(request), method)))

    def cache(self, method, request):
        return self.call(self.node["data"], "meridian.cache.v1.CacheService/" + method, request)

    def admin(self, method, request):
        return self.call(self.node["admin"], "meridian.admin.v1.AdminService/" + method, request)

    def fails(self, code, reason, method, request):
        """The call fails with this code, and its ErrorInfo was decoded."""
        result = self.run_grpcurl(self.node["data"], "-d", json.dumps(request), method)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn("google.rpc.ErrorInfo", result.stderr)
        self.assertRegex(result.stderr, f'"reason": *"{reason}"')
        self.assertRegex(result.stderr, '"domain": *"meridian"')
        return result.stderr

    def test_list_names_the_services(self):
        expected = {"data": {"meridian.cache.v1.CacheService", "grpc.health.v1.Health"},
                    "admin": {"meridian.admin.v1.AdminService", "grpc.channelz.v1.Channelz",
                              "grpc.health.v1.Health"}}
        for listener, services in expected.items():
            listed = set(self.text(self.node[listener], "list").split())
            self.assertLessEqual(services, listed)
        self.assertIn("meridian.coordinator.v1.CoordinatorService",
                      self.text(self.coordinator["grpc"], "list"))

    def test_describe_shows_methods_and_messages(self):
        text = self.text(self.node["data"], "describe meridian.cache.v1.CacheService")
        self.assertIn("rpc BatchGet ( .meridian.cache.v1.BatchGetRequest )", text)
        text = self.text(self.node["data"], "-msg-template",
                         "describe meridian.cache.v1.SetRequest")
        self.assertRegex(text, '"ttl(_ms|Ms)": "0"')

    def test_health_is_serving(self):
        for address in (self.node["data"], self.node["admin"]):
            self.assertEqual(self.call(address, "grpc.health.v1.Health/Check", {}),
                             {"status": "SERVING"})

    def test_a_value_that_was_set_is_got(self):
        key, value = encoded("grpcurl:1"), encoded("hello")
        result = self.cache("Set", {"namespace": "task",
                                    "entry": {"key": key, "value": value, "ttlMs": "60000"}})
        self.assertEqual(result["result"]["status"], "ENTRY_STATUS_OK")
        entry = self.cache("Get", {"namespace": "task", "key": key})["entry"]
        self.assertEqual((entry["status"], entry["value"]), ("ENTRY_STATUS_OK", value))
        self.assertEqual(entry["version"], result["result"]["version"])
        self.assertLessEqual(int(entry["ttl_ms"]), 60000)

    def test_a_batch_answers_every_key(self):
        keys = [encoded(f"absent:{i}") for i in range(20)]
        entries = self.cache("BatchGet", {"namespace": "task", "keys": keys})["entries"]
        self.assertEqual([entry["status"] for entry in entries], ["ENTRY_STATUS_MISS"] * 20)

    def test_a_key_is_explained_by_its_text(self):
        self.cache("Set", {"namespace": "task", "entry": {"key": encoded("grpcurl:explain"),
                                                          "value": encoded("abc")}})
        answer = self.admin("ExplainKey", {"key": {"namespace": "task", "key": "grpcurl:explain"}})
        self.assertIn(answer["owner"], {f"{REGION}-node-1", f"{REGION}-node-2"})
        self.assertEqual(answer["l2_key"], f"m:{{{answer.get('slot', 0)}}}:e:task:grpcurl:explain")
        tiers = {tier["tier"]: tier for tier in answer["tiers"]}
        self.assertEqual(tiers["SOURCE_L2"]["state"], "value")
        self.assertEqual(tiers["SOURCE_L1"]["version"], tiers["SOURCE_L2"]["version"])

    def test_the_ring_gives_away_every_slot(self):
        ring = self.admin("GetRing", {})
        self.assertEqual(len(ring["members"]), 2)
        self.assertEqual(sum(member["slots"] for member in ring["members"]), 1024)

    def test_the_status_names_node_and_redis(self):
        status = self.admin("GetStatus", {})
        self.assertEqual((status["node"], status["region"]), (f"{REGION}-node-1", REGION))
        self.assertEqual((status["l2"][0]["region"], status["l2"][0]["connected"]), (REGION, True))

    def test_channelz_lists_the_servers(self):
        servers = self.call(self.node["admin"], "grpc.channelz.v1.Channelz/GetServers", {})
        self.assertTrue(servers["server"])

    def test_errors_are_decoded(self):
        text = self.fails(INVALID_ARGUMENT, "KEY_TOO_LONG", "meridian.cache.v1.CacheService/Get",
                          {"namespace": "task", "key": encoded("k" * 1025)})
        self.assertIn("google.rpc.BadRequest", text)
        self.fails(INVALID_ARGUMENT, "NAMESPACE_INVALID", "meridian.cache.v1.CacheService/Get",
                   {"namespace": "No such", "key": encoded("k")})

    def test_what_is_not_built_says_so(self):
        self.fails(UNIMPLEMENTED, "NOT_BUILT", "meridian.cache.v1.CacheService/Pipe", {})

    def test_the_coordinator_tells_who_leads(self):
        status = self.call(self.coordinator["grpc"],
                           "meridian.coordinator.v1.CoordinatorService/GetStatus", {})
        self.assertTrue(status["leader"])
        self.assertEqual(len(status["nodes"]), 2)


def main():
    GrpcurlTest.work = pathlib.Path(sys.argv.pop(1)).resolve()
    GrpcurlTest.work.mkdir(parents=True, exist_ok=True)
    GrpcurlTest.grpcurl = find_grpcurl(GrpcurlTest.work)
    if GrpcurlTest.grpcurl is None:
        return 77
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
