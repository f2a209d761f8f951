#!/usr/bin/env python3
"""The chart by a real helm: what it renders, what it refuses, and with which words.

helm is that of the PATH, of GOBIN or GOPATH/bin, or of scripts/setup --chart.
Exit codes: 0 passed, 1 failed, 77 skipped: no helm or no python3-yaml here.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(77)


from source_tree import load_script  # noqa: E402

RENDER = load_script(ROOT / "k8s" / "render")
HELM = RENDER.find_helm()
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Values of --set, over examples/default.yaml -> what the refusal says.
REFUSED = {
    # By the schema: a misspelt name, a wrong type, a value that nothing takes.
    "node.replicas=3": "replicas",
    "node.replicaCount=three": "replicaCount",
    "node.replicaCount=0": "replicaCount",
    "image.repository=": "repository",
    "image.tag=latest": "tag",
    "image.digest=sha256:1": "digest",
    "region=EU West": "region",
    "redis.url=http://redis": "url",
    "node.l1MaxBytes=256Mi": "l1MaxBytes",
    "node.drainDelay=5": "drainDelay",
    "node.podManagementPolicy=Random": "podManagementPolicy",
    "node.resources.limits.memory=null": "memory",
    "policies.namespace.task.ttl=5m": "policies",
    "runAsUser=0": "runAsUser",
    "networkPolicy.redisCidrs={10.0.0.1}": "redisCidrs",
    "service.type=ExternalName": "type",
    "coordinator.externalUrl=meridian.example": "externalUrl",
    # By the chart: values that do not go together.
    "tls.clientAuth=maybe": "clientAuth",
    "tls.serverName=two names": "serverName",
    "insecure=false": "Give tls.enabled=true and tls.existingSecret; or say insecure=true",
    "tls.enabled=true": "tls.enabled needs tls.existingSecret",
    "tls.existingSecret=x": "the ports would be plaintext",
    "node.config.tls.client_auth=none": "node.config.tls is set by the chart",
    "node.config.listen.health=127.0.0.1:1": "node.config.listen.health is set by the chart",
    "coordinator.config.tls.cert_file=x": "coordinator.config.tls is set by the chart",
    "redis.url=": "No Redis: give redis.url",
    "redis.development.enabled=true": "Give one of redis.url",
    "redis.existingSecret=x": "Give one of redis.url",
    "otherRegions[0].name=eu": "region eu has no url",
    "otherRegions[0].name=local,otherRegions[0].url=redis://x": "this release's own region",
    "node.l1MaxBytes=1GiB": "The kernel would kill the nodes",
    "redis.url=rediss://u:p@cache:6380/0": "at port 6380",
    "redis.url=redis+sentinel://a:6379\\,b/group": "at port 26379",
    "networkPolicy.redisPorts={6380}": "at port 6379",
    "node.l1MaxBytes=448MiB": "The kernel would kill the nodes",  # 448 + 112 + 64 + 192 > 768
    "node.resources.limits.memory=0.25Gi": "The kernel would kill the nodes",
    "node.terminationGracePeriodSeconds=60": "killed while they drain",
    "node.drainRolloutWait=1h30m": "killed while they drain",
    "node.maxUnavailable=3": "all nodes could be evicted",
    "node.config.listen.data=127.0.0.1:7400": "node.config.listen.data is set by the chart",
    "coordinator.config.listen.grpc=x": "coordinator.config.listen is set by the chart",
    "node.config.coordinators={x:1}": "node.config.coordinators is set by the chart",
}


@unittest.skipIf(HELM is None, "no helm")
class HelmTest(unittest.TestCase):
    def helm(self, command, *words):
        return RENDER.run(HELM, command, *words)

    def template(self, *words, case="default"):
        result = self.helm(["template", "meridian"], *RENDER.values_arguments(case), *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [item for item in yaml.load_all(result.stdout, LOADER) if item]

    def of(self, objects, kind, name):
        found = [item for item in objects
                 if (item["kind"], item["metadata"]["name"]) == (kind, name)]
        self.assertEqual(len(found), 1, f"{kind} {name}")
        return found[0]

    def test_the_manifests_are_what_the_chart_renders(self):
        """As objects: versions of helm differ in spaces. `k8s/render` makes them anew."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.assertEqual(RENDER.render(HELM, folder), 0)
            kept = ROOT / "k8s" / "manifests"
            self.assertEqual({path.name for path in folder.iterdir()},
                             {path.name for path in kept.iterdir()})
            for path in folder.iterdir():
                with self.subTest(manifest=path.name):
                    self.assertEqual(list(yaml.load_all(path.read_text(), LOADER)),
                                     list(yaml.load_all((kept / path.name).read_text(), LOADER)))

    def test_lint_has_nothing_to_say(self):
        for case in RENDER.CASES:
            result = self.helm(["lint", "--strict"], *RENDER.values_arguments(case))
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_without_values_it_says_what_to_give(self):
        result = self.helm(["template", "meridian"])
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("or say insecure=true when", result.stderr)

    def test_what_is_wrong_is_refused_with_its_reason(self):
        for words, says in REFUSED.items():
            with self.subTest(set=words):
                result = self.helm(["template", "meridian"], *RENDER.values_arguments("default"),
                                   "--set", words)
                self.assertNotEqual(result.returncode, 0, "was rendered")
                self.assertIn(says, result.stderr)

    def test_secrets_of_the_user_are_used_and_none_is_made(self):
        objects = self.template("--set", "redis.url=,redis.existingSecret=mine")
        self.assertEqual([item for item in objects if item["kind"] == "Secret"], [])
        node = self.of(objects, "StatefulSet", "meridian-node")
        variables = node["spec"]["template"]["spec"]["containers"][0]["env"]
        self.assertIn({"name": "MERIDIAN_REDIS", "valueFrom": {
            "secretKeyRef": {"name": "mine", "key": "redis-url"}}}, variables)

    def test_pods_roll_for_settings_and_not_for_policies_or_a_new_chart(self):
        def pod(*words):
            return self.of(self.template(*words), "StatefulSet",
                           "meridian-node")["spec"]["template"]
        usual = pod()
        self.assertEqual(pod("--set", "policies.namespaces.task.ttl=5m"), usual)
        self.assertNotEqual(pod("--set", "node.l1MaxBytes=128MiB"), usual)
        self.assertNotEqual(pod("--set", "redis.url=redis://other"), usual)
        self.assertNotIn("helm.sh/chart", usual["metadata"]["labels"])

    def test_selectors_do_not_change_with_values(self):
        for words in ("image.tag=9.9.9", "commonLabels.team=x", "region=eu"):
            for name, kind in (("meridian-node", "StatefulSet"),
                               ("meridian-coordinator", "Deployment")):
                changed = self.of(self.template("--set", words), kind, name)
                usual = self.of(self.template(), kind, name)
                self.assertEqual(changed["spec"]["selector"], usual["spec"]["selector"])

    def test_a_digest_wins_over_the_tag(self):
        digest = "sha256:" + "0" * 64
        objects = self.template("--set", f"image.repository=hub.example/meridian,image.digest={digest}")
        node = self.of(objects, "StatefulSet", "meridian-node")
        self.assertEqual(node["spec"]["template"]["spec"]["containers"][0]["image"],
                         f"hub.example/meridian@{digest}")

    def test_coordinators_take_variables_volumes_and_rules_of_their_own(self):
        objects = self.template(
            "--set", "coordinator.externalUrl=https://m.example/,"
            "coordinator.config.alerts.webhook=https://hook.example/x,"
            "coordinator.extraEnv[0].name=MERIDIAN_HTTP_CA,coordinator.extraEnv[0].value=/ca/ca.crt,"
            "coordinator.extraVolumes[0].name=ca,coordinator.extraVolumes[0].secret.secretName=ca,"
            "coordinator.extraVolumeMounts[0].name=ca,coordinator.extraVolumeMounts[0].mountPath=/ca,"
            "networkPolicy.coordinatorExtraEgress[0].ports[0].port=443,"
            "networkPolicy.coordinatorExtraIngress[0].ports[0].port=http-metrics")
        pod = self.of(objects, "Deployment", "meridian-coordinator")["spec"]["template"]["spec"]
        self.assertIn({"name": "MERIDIAN_HTTP_CA", "value": "/ca/ca.crt"},
                      pod["containers"][0]["env"])
        self.assertIn({"name": "ca", "mountPath": "/ca"}, pod["containers"][0]["volumeMounts"])
        self.assertIn({"name": "ca", "secret": {"secretName": "ca"}}, pod["volumes"])
        config = yaml.safe_load(self.of(objects, "ConfigMap", "meridian-coordinator")["data"][
            "coordinator.yaml"])
        self.assertEqual(config["alerts"], {"webhook": "https://hook.example/x",
                                            "external_url": "https://m.example/"})
        policy = self.of(objects, "NetworkPolicy", "meridian-coordinator")["spec"]
        self.assertEqual(policy["egress"][-1], {"ports": [{"port": 443}]})
        self.assertEqual(policy["ingress"][-1], {"ports": [{"port": "http-metrics"}]})
        node = self.of(objects, "NetworkPolicy", "meridian-node")["spec"]
        self.assertNotIn({"ports": [{"port": 443}]}, node["egress"])

    def test_tls_is_of_every_pod_also_that_of_helm_test(self):
        words = ("--set", "insecure=false,tls.enabled=true,tls.existingSecret=own,tls.clientAuth=none")
        objects = self.template(*words)
        for kind, name in (("StatefulSet", "meridian-node"), ("Deployment", "meridian-coordinator"),
                           ("Pod", "meridian-test")):
            spec = self.of(objects, kind, name)["spec"]
            spec = spec if kind == "Pod" else spec["template"]["spec"]
            variables = {entry["name"]: entry.get("value")
                         for entry in spec["containers"][0]["env"]}
            self.assertEqual(variables["MERIDIAN_TLS_KEY"], "/etc/meridian/tls/tls.key")
            self.assertEqual(variables["MERIDIAN_TLS_SERVER_NAME"],
                             "meridian.meridian.svc.cluster.local")
            self.assertIn({"name": "tls", "secret": {"secretName": "own", "defaultMode": 0o440}},
                          spec["volumes"])
            self.assertIn({"name": "tls", "mountPath": "/etc/meridian/tls", "readOnly": True},
                          spec["containers"][0]["volumeMounts"])
        config = yaml.safe_load(self.of(objects, "ConfigMap", "meridian-node")["data"]["node.yaml"])
        self.assertEqual((config["tls"], config["listen"]["health"]),
                         ({"client_auth": "none"}, "0.0.0.0:7404"))
        named = self.template(*words, "--set", "tls.serverName=cache.example")
        pod = self.of(named, "StatefulSet", "meridian-node")["spec"]["template"]["spec"]
        self.assertIn({"name": "MERIDIAN_TLS_SERVER_NAME", "value": "cache.example"},
                      pod["containers"][0]["env"])

    def test_one_coordinator_needs_no_redis(self):
        objects = self.template("--set", "redis.url=,coordinator.replicaCount=1")
        coordinator = self.of(objects, "Deployment", "meridian-coordinator")
        # Two at once would both lead.
        self.assertEqual(coordinator["spec"]["strategy"]["rollingUpdate"],
                         {"maxSurge": 0, "maxUnavailable": 1})

    def test_long_names_stay_within_the_limits(self):
        objects = self.template("--set", f"fullnameOverride={'long-name-' * 8}")
        for item in objects:
            # The hash of a revision is added to a StatefulSet's name, in a label of 63 characters.
            self.assertLessEqual(len(item["metadata"]["name"]), 52)

    def notes(self, *words):
        """What `helm install` prints. `helm template` prints none: a copy has it as an object."""
        with tempfile.TemporaryDirectory() as name:
            chart = pathlib.Path(name) / "meridian"
            shutil.copytree(RENDER.CHART, chart)
            templates = chart / "templates"
            (templates / "_notes.tpl").write_text(
                '{{- define "notes" -}}' + (templates / "NOTES.txt").read_text() + "{{- end -}}")
            (templates / "notes.yaml").write_text(
                'kind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | quote }}\n')
            result = subprocess.run(
                [HELM, "template", "meridian", str(chart), "--namespace", "shop", "--kube-version",
                 RENDER.KUBE_VERSION, "--show-only", "templates/notes.yaml",
                 *RENDER.values_arguments("default"), *words],
                stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            return " ".join(yaml.load(result.stdout, LOADER)["text"].split())

    def test_the_notes_say_what_is_unsafe(self):
        usual = self.notes()
        self.assertIn("WARNING: there is no TLS and no authentication", usual)
        self.assertIn("Clients call meridian.shop.svc.cluster.local:7400 from pods with the label "
                      'meridian-client: "true".', usual)
        for words, says in (
                ("redis.url=,redis.development.enabled=true", "its data is gone"),
                ("redis.url=,coordinator.replicaCount=1", "WARNING: no Redis"),
                ("networkPolicy.enabled=false", "every pod of the cluster reaches all ports"),
                ("networkPolicy.allowAllClients=true", "every pod of the cluster reaches port 7400"),
                ("service.type=LoadBalancer", "perhaps others reach port 7400 as well"),
                ("coordinator.externalUrl=https://m.example/", "lets nobody in to the page"),
                ("coordinator.config.alerts.webhook=http://hook.example/", "lets them out to none"),
                ("coordinator.config.cluster.other_coordinators={eu=x:7413}",
                 "lets them out to none")):
            self.assertIn(says, self.notes("--set", words))
            self.assertNotIn(says, usual)
        secret = ("--set", "insecure=false,tls.enabled=true,tls.existingSecret=own")
        self.assertNotIn("WARNING", self.notes(*secret))
        self.assertIn("gRPC speaks TLS (Secret own, name meridian.shop.svc.cluster.local)",
                      self.notes(*secret))
        self.assertIn("get secret own -o go-template=\"{{index .data \\\"$file\\\" | base64decode}}\" "
                      "> $file", self.notes(*secret))
        self.assertNotIn("-plaintext", self.notes(*secret))
        self.assertIn("and at port 7400 whoever reaches it",
                      self.notes(*secret, "--set", "tls.clientAuth=none"))
        self.assertNotIn("lets them out", self.notes(
            "--set", "coordinator.config.alerts.webhook=http://hook.example/,"
            "networkPolicy.coordinatorExtraEgress[0].ports[0].port=80"))


if __name__ == "__main__":
    if HELM is None:
        print("SKIPPED: no helm in PATH, GOBIN or GOPATH/bin; k8s_manifests_test.py checks what it rendered")
        sys.exit(77)
    unittest.main()
