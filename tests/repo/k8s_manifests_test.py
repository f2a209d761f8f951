#!/usr/bin/env python3
"""The manifests in k8s/manifests keep every rule of k8s_policy.py, k8s_settings.py, k8s_callees.py.

Each rule is also seen to find what it is for: one thing of a good manifest is broken at a time.
Exit codes: 0 passed, 1 failed, 77 skipped: no python3-yaml here.
"""

import copy
import functools
import json
import pathlib
import re
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "repo"))

try:
    import yaml
except ImportError:
    print("SKIPPED: python3-yaml is not installed")
    sys.exit(77)

import k8s_callees as callees  # noqa: E402
import k8s_policy as policy  # noqa: E402
import k8s_settings as settings  # noqa: E402

MANIFESTS = ROOT / "k8s" / "manifests"
CHART = ROOT / "k8s" / "chart" / "meridian"
CASES = {"default", "minimal", "production", "three-regions-us", "three-regions-eu",
         "three-regions-asia"}
SETTINGS = settings.read_settings(ROOT)
METRICS = settings.read_metrics(ROOT)


@functools.lru_cache
def parsed(path):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(path.read_text(), loader) if item]


def load(name):
    return copy.deepcopy(parsed(MANIFESTS / f"{name}.yaml"))


def regions():
    return {region: load(f"three-regions-{region}") for region in ("us", "eu", "asia")}


def alert_groups():
    return copy.deepcopy(parsed(CHART / "files" / "alerts.yaml"))[0]["groups"]


def check_settings(objects):
    return settings.check_settings(objects, SETTINGS)


def check_rules(groups):
    return settings.check_rules(groups, METRICS)


ALL = [*policy.CHECKS, check_settings, settings.check_variables, settings.check_listening, settings.check_tls,
       settings.check_coordinators, callees.check_callees, callees.check_page,
       callees.check_standbys, settings.check_room, settings.check_monitors]


class ManifestsTest(unittest.TestCase):
    def test_all_cases_are_there(self):
        self.assertEqual({path.stem for path in MANIFESTS.glob("*.yaml")}, CASES | {"test-pod"})

    def test_every_manifest_keeps_every_rule(self):
        for name in CASES:
            for check in ALL:
                with self.subTest(manifest=name, rule=check.__name__):
                    self.assertEqual(list(check(load(name))), [])

    def test_the_pod_of_helm_test_is_restricted_too(self):
        for check in (policy.check_restricted, policy.check_images, policy.check_resources):
            self.assertEqual(list(check(load("test-pod"))), [])

    def test_the_workloads_are_those_of_a_region(self):
        for name in CASES:
            kinds = [policy.title(item) for item, _, _ in policy.workloads(load(name))]
            expected = {"StatefulSet meridian-node", "Deployment meridian-coordinator"}
            if name == "minimal":
                expected.add("Deployment meridian-redis")
            self.assertEqual(set(kinds), expected)

    def test_three_regions_know_each_other(self):
        for region in ("us", "eu", "asia"):
            nodes = [entry[2] for entry in settings.our_containers(load(f"three-regions-{region}"))
                     if entry[3] == "meridian-node"]
            variables = {entry["name"]: entry for entry in nodes[0]["env"]}
            names = [part.partition("=")[0]
                     for part in variables["MERIDIAN_REGION_REDIS"]["value"].split(",")]
            self.assertEqual({*names, region}, {"us", "eu", "asia"})
            for index, name in enumerate(names):
                key = variables[f"REGION_URL_{index}"]["valueFrom"]["secretKeyRef"]["key"]
                self.assertEqual(key, f"redis-url-{name}")

    def test_coordinators_of_three_regions_reach_each_other(self):
        self.assertEqual(list(callees.check_regions(regions())), [])

    def test_alerts_use_what_exists(self):
        self.assertEqual(list(check_rules(alert_groups())), [])
        for name in CASES - {"default", "minimal"}:
            rules = policy.of_kind(load(name), "PrometheusRule")
            self.assertEqual(rules[0]["spec"]["groups"], alert_groups())


def value_paths(values, path=""):
    """Paths of all values, as a user gives them to --set; what is empty is a value."""
    for name, value in values.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(value, dict) and value:
            yield from value_paths(value, inner)
        else:
            yield inner


class ValuesTest(unittest.TestCase):
    VALUES = parsed(CHART / "values.yaml")[0]

    def test_the_schema_knows_every_value_and_no_other(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def compare(values, rules, path):
            self.assertIs(rules.get("additionalProperties"), False, path)
            self.assertEqual(set(values) | {"global"}, set(rules["properties"]) | {"global"}, path)
            for name, inner in rules["properties"].items():
                if "properties" in inner and values[name]:
                    compare(values[name], inner, f"{path}.{name}")

        compare(self.VALUES, schema, "values")

    def test_the_table_in_the_readme_has_every_value(self):
        rows = set(re.findall(r"^\| `([A-Za-z0-9.]+)`", (CHART / "README.md").read_text(), re.M))
        paths = {re.sub(r"\.resources\..*", ".resources", path) for path in value_paths(self.VALUES)}
        self.assertEqual(rows, paths)

    def test_version_is_that_of_the_programs(self):
        project = re.search(r"project\(meridian VERSION ([0-9.]+)",
                            (ROOT / "CMakeLists.txt").read_text()).group(1)
        self.assertEqual(parsed(CHART / "Chart.yaml")[0]["appVersion"], project)


def workload(objects, kind="StatefulSet"):
    return policy.of_kind(objects, kind)[0]["spec"]


def pod(objects, kind="StatefulSet"):
    return workload(objects, kind)["template"]["spec"]


def container(objects, kind="StatefulSet"):
    return pod(objects, kind)["containers"][0]


def named(objects, kind, name):
    return next(item for item in objects
                if (item["kind"], item["metadata"]["name"]) == (kind, name))


def node_file(objects, old, new):
    data = named(objects, "ConfigMap", "meridian-node")["data"]
    assert old in data["node.yaml"]
    data["node.yaml"] = data["node.yaml"].replace(old, new)


def node_policies(objects, namespaces):
    data = named(objects, "ConfigMap", "meridian-policies")["data"]
    data["policies.yaml"] = yaml.safe_dump({"namespaces": namespaces})


def network(objects, component):
    return named(objects, "NetworkPolicy", f"meridian-{component}")["spec"]


# What is broken -> (the rule, how, what the finding says).
BROKEN = {
    "root": (policy.check_restricted, lambda o: pod(o)["securityContext"].update(runAsUser=0),
             "may run as root"),
    "no seccomp": (policy.check_restricted,
                   lambda o: pod(o)["securityContext"].pop("seccompProfile"), "seccompProfile"),
    "host network": (policy.check_restricted, lambda o: pod(o).update(hostNetwork=True),
                     "hostNetwork"),
    "host path": (policy.check_restricted,
                  lambda o: pod(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
                  "not allowed"),
    "token": (policy.check_restricted, lambda o: pod(o).pop("automountServiceAccountToken"),
              "automountServiceAccountToken"),
    "service links": (policy.check_restricted, lambda o: pod(o).pop("enableServiceLinks"),
                      "enableServiceLinks"),
    "escalation": (policy.check_restricted,
                   lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"),
                   "privilege escalation"),
    "capabilities": (policy.check_restricted, lambda o: container(o)["securityContext"].update(
        capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}), "keeps capabilities"),
    "writable root": (policy.check_restricted, lambda o: container(o)["securityContext"].update(
        readOnlyRootFilesystem=False), "writes to its root"),
    "host port": (policy.check_restricted, lambda o: container(o)["ports"][0].update(hostPort=1),
                  "port of the machine"),
    "latest": (policy.check_images, lambda o: container(o).update(image="meridian:latest"),
               "no fixed tag"),
    "no tag": (policy.check_images, lambda o: container(o).update(image="meridian"),
               "no fixed tag"),
    "registry": (policy.check_images, lambda o: container(o).update(image="hub.example/m:1"),
                 "host of a registry"),
    "no readiness": (policy.check_probes, lambda o: container(o).pop("readinessProbe"),
                     "no readinessProbe"),
    "probe of no port": (policy.check_probes, lambda o: container(o)["livenessProbe"].update(
        grpc={"port": "http"}), "which is not there"),
    "gRPC to HTTP": (policy.check_probes, lambda o: container(o)["readinessProbe"].update(
        grpc={"port": 7403}), "speaks gRPC to port 7403"),
    "liveness over HTTP": (policy.check_probes, lambda o: container(o).update(livenessProbe={
        "httpGet": {"path": "/livez", "port": "http-metrics"}}), "asks over HTTP"),
    "liveness by readiness": (policy.check_probes, lambda o: container(o)["livenessProbe"].update(
        grpc={"port": 7404}), "another service"),
    "no requests": (policy.check_resources, lambda o: container(o).pop("resources"), "requests no"),
    "overcommitted": (policy.check_resources, lambda o: container(o)["resources"]["limits"].update(
        memory="9Gi"), "not what it requests"),
    "selector": (policy.check_selectors, lambda o: workload(o)["selector"]["matchLabels"].update(
        x="y"), "does not select its own pods"),
    "wide selector": (policy.check_selectors, lambda o: workload(o)["selector"]["matchLabels"].pop(
        "app.kubernetes.io/component"), "selects the pods of Deployment"),
    "spread": (policy.check_selectors, lambda o: pod(o)["topologySpreadConstraints"][0].update(
        labelSelector={"matchLabels": {"x": "y"}}), "spreads other pods"),
    "headless": (policy.check_selectors, lambda o: workload(o).update(serviceName="meridian"),
                 "no headless Service"),
    "service of nobody": (policy.check_selectors, lambda o: named(o, "Service", "meridian")[
        "spec"]["selector"].update(x="y"), "of 0 workloads"),
    "service port": (policy.check_selectors, lambda o: named(o, "Service", "meridian")["spec"][
        "ports"][0].update(targetPort="grpc"), "leads to none"),
    "monitor": (policy.check_selectors, lambda o: policy.of_kind(o, "ServiceMonitor")[0]["spec"][
        "endpoints"][0].update(port="metrics"), "of 0 Services"),
    "no budget": (policy.check_disruption, lambda o: o.remove(
        named(o, "PodDisruptionBudget", "meridian-node")), "0 disruption budgets"),
    "budget of all": (policy.check_disruption, lambda o: named(
        o, "PodDisruptionBudget", "meridian-node")["spec"].update(maxUnavailable=6), "evict all"),
    "budget of nobody": (policy.check_disruption, lambda o: named(
        o, "PodDisruptionBudget", "meridian-node")["spec"]["selector"]["matchLabels"].update(x="y"),
        "selects nothing"),
    "no policy": (policy.check_network, lambda o: o.remove(
        named(o, "NetworkPolicy", "meridian-node")), "not one NetworkPolicy"),
    "port without rule": (policy.check_network, lambda o: named(o, "NetworkPolicy", "meridian-node")[
        "spec"]["ingress"].pop(), "rules for"),
    "open port": (policy.check_network, lambda o: named(o, "NetworkPolicy", "meridian-node")[
        "spec"]["ingress"][1].pop("from"), "anybody may call"),
    "not let in": (policy.check_network, lambda o: named(
        o, "NetworkPolicy", "meridian-coordinator")["spec"]["ingress"][0]["from"].pop(0),
        "does not let in"),
    "no config map": (policy.check_references, lambda o: pod(o)["volumes"][0].update(
        configMap={"name": "x"}), "no ConfigMap x"),
    "no volume": (policy.check_references, lambda o: pod(o)["volumes"].pop(0), "no volume of it"),
    "no account": (policy.check_references, lambda o: pod(o).update(serviceAccountName="x"),
                   "no ServiceAccount x"),
    "no file": (policy.check_references, lambda o: container(o)["args"].append("--config=/x.yaml"),
                "nothing is mounted there"),
    "password": (policy.check_secrets, lambda o: container(o)["args"].append(
        "--redis=rediss://:secret@host"), "holds the URL"),
    "twice": (policy.check_names, lambda o: o.append(o[0]), "there twice"),
    "other namespace": (policy.check_names, lambda o: o[0]["metadata"].update(namespace="x"),
                        "not in the namespace"),
    "no labels": (policy.check_names, lambda o: o[0]["metadata"]["labels"].pop(
        "app.kubernetes.io/instance"), "no label"),
    "long label": (policy.check_names, lambda o: o[0]["metadata"]["labels"].update(x="y" * 64),
                   "value of a label"),
    "long port": (policy.check_port_names, lambda o: container(o)["ports"][0].update(
        name="grpc-of-the-data"), "name of a port"),
    "flag": (check_settings, lambda o: container(o)["args"].append("--l1-maximum=1GiB"),
             "meridian-node has no --l1-maximum"),
    "plaintext unsaid": (check_settings, lambda o: container(o)["args"].remove("--insecure=true"),
                         "plaintext"),
    "variable": (check_settings, lambda o: container(o)["env"].append(
        {"name": "MERIDIAN_REDIS_URL", "value": ""}), "does not read MERIDIAN_REDIS_URL"),
    "key": (check_settings, lambda o: node_file(o, "max_bytes", "maximum"), "has no l1.maximum"),
    "undefined": (settings.check_variables, lambda o: container(o)["env"].pop(0),
                  "no variable POD_NAME"),
    "port of nobody": (settings.check_listening, lambda o: node_file(o, "0.0.0.0:7402", "0.0.0.0:1"),
                       "listens on"),
    "loopback": (settings.check_listening, lambda o: node_file(o, "0.0.0.0:7402", "127.0.0.1:7402"),
                 "does not lead"),
    "half TLS": (settings.check_tls, lambda o: container(o).update(env=[
        entry for entry in container(o)["env"] if "TLS" not in entry["name"]]),
        "plaintext, the others speak TLS"),
    "no authorities": (settings.check_tls, lambda o: container(o)["env"].remove(
        {"name": "MERIDIAN_TLS_CA", "value": "/etc/meridian/tls/ca.crt"}), "without MERIDIAN_TLS_CA"),
    "probe by TLS": (settings.check_tls, lambda o: container(o)["readinessProbe"]["grpc"].update(
        port=7400), "which speak TLS"),
    "key for all": (settings.check_tls, lambda o: next(
        volume for volume in pod(o)["volumes"] if volume["name"] == "tls")["secret"].pop("defaultMode"),
        "no Secret for its user alone"),
    "key for root": (settings.check_tls, lambda o: pod(o)["securityContext"].pop("fsGroup"),
                     "no fsGroup"),
    "no renewal": (settings.check_tls, lambda o: next(
        mount for mount in container(o)["volumeMounts"] if mount["name"] == "tls").update(
            subPath="tls.crt"), "not renewed"),
    "no files": (settings.check_tls, lambda o: container(o).update(volumeMounts=[
        mount for mount in container(o)["volumeMounts"] if mount["name"] != "tls"]),
        "nothing is mounted at ['/etc/meridian/tls']"),
    "health for clients": (settings.check_tls, lambda o: named(o, "Service", "meridian")["spec"][
        "ports"].append({"port": 7404, "targetPort": "grpc-health"}), "port of probes"),
    "coordinator": (settings.check_coordinators, lambda o: node_file(
        o, "meridian-coordinator.", "coordinator."), "nobody is at"),
    "receiver of alerts": (callees.check_callees, lambda o: network(o, "coordinator")[
        "egress"].pop(), "calls alerts.monitoring.svc.cluster.local:9093, and is not let out"),
    "receiver elsewhere": (callees.check_callees, lambda o: network(o, "coordinator")["egress"][-1][
        "to"][0].update(namespaceSelector={"matchLabels": {callees.NAMESPACE: "shop"}}),
        "is not let out"),
    "way to coordinators": (callees.check_callees, lambda o: network(o, "node")["egress"].pop(),
                            "calls meridian-coordinator.meridian.svc.cluster.local:7410, and is not let out"),
    "coordinators let in": (callees.check_callees, lambda o: network(o, "coordinator")["ingress"][
        0]["from"].pop(0), ":7410, and is not let in"),
    "origin": (callees.check_callees, lambda o: node_policies(o, {
        "task": {"origin": {"address": "tasks.shop.svc.cluster.local:9000"}}}),
        "calls tasks.shop.svc.cluster.local:9000, and is not let out"),
    "page": (callees.check_page, lambda o: network(o, "coordinator")["ingress"].pop(),
             "nobody is let in"),
    "standby let out": (callees.check_standbys, lambda o: network(o, "coordinator")["egress"].pop(-2),
                        "asks the leader at port 7413, and is not let out"),
    "standby let in": (callees.check_standbys, lambda o: network(o, "coordinator")["ingress"][1][
        "from"].pop(0), "asks the leader at port 7413, and is not let in"),
    "memory": (settings.check_room, lambda o: node_file(o, "5GiB", "8GiB"), "more than the limit"),
    "grace": (settings.check_room, lambda o: pod(o).update(terminationGracePeriodSeconds=60),
              "longer than it may"),
    "hidden label": (settings.check_monitors, lambda o: policy.of_kind(o, "ServiceMonitor")[0][
        "spec"]["endpoints"][0]["relabelings"].pop(), "hide those"),
}

BROKEN_ALERTS = {
    "metric": (lambda rule: rule.update(expr="meridian_no_such_total > 0"), "there is no metric"),
    "bare histogram": (lambda rule: rule.update(expr="meridian_replication_lag_seconds > 5"),
                       "there is no metric"),
    "matcher": (lambda rule: rule.update(expr='meridian_l2_up{slot="1"} == 0'), "no label slot"),
    "kept label": (lambda rule: rule.update(expr="sum by (slot) (meridian_l2_up) == 0"),
                   "has a label slot"),
    "severity": (lambda rule: rule["labels"].pop("severity"), "no severity"),
    "action": (lambda rule: rule["annotations"].pop("action"), "no action"),
    "runbook": (lambda rule: rule["annotations"].update(runbook="docs/runbooks/X.md"), "no page"),
}


class RulesFindTest(unittest.TestCase):
    """No rule is there that cannot fail."""

    def test_each_finds_what_it_is_for(self):
        good = load("production")
        for name, (check, breaks, says) in BROKEN.items():
            with self.subTest(broken=name):
                objects = copy.deepcopy(good)
                self.assertEqual(list(check(objects)), [])
                breaks(objects)
                self.assertIn(says, "\n".join(check(objects)))

    def test_a_secret_that_the_manifest_makes_has_the_keys(self):
        objects = load("default")
        named(objects, "Secret", "meridian-redis")["stringData"].clear()
        self.assertIn("no Secret meridian-redis with redis-url",
                      "\n".join(policy.check_references(objects)))

    def test_a_port_of_probes_without_tls_is_found(self):
        objects = load("default")
        container(objects)["ports"].append({"name": "grpc-health", "containerPort": 7404})
        self.assertIn("without TLS", "\n".join(settings.check_tls(objects)))

    def test_a_variable_is_defined_before_it_is_used(self):
        objects = load("three-regions-us")
        container(objects)["env"].reverse()
        self.assertIn("before it is defined", "\n".join(settings.check_variables(objects)))

    def test_a_redis_of_the_manifest_lets_in_both(self):
        for caller in range(2):
            objects = load("minimal")
            network(objects, "redis")["ingress"][0]["from"].pop(caller)
            self.assertIn("calls meridian-redis.meridian.svc.cluster.local:6379, and is not let in",
                          "\n".join(callees.check_callees(objects)))

    def test_coordinators_of_regions_that_do_not_reach_each_other_are_found(self):
        manifests = regions()
        network(manifests["eu"], "coordinator")["ingress"].pop()
        self.assertEqual([text.partition(":")[0] for text in callees.check_regions(manifests)],
                         ["us", "asia"])
        manifests = regions()
        network(manifests["eu"], "coordinator")["egress"].pop()
        self.assertIn("and is not let out", "\n".join(callees.check_callees(manifests["eu"])))
        manifests = regions()
        data = named(manifests["us"], "ConfigMap", "meridian-coordinator")["data"]
        data["coordinator.yaml"] = data["coordinator.yaml"].replace(":7413\n", ":7410\n")
        self.assertIn("answers no HTTP", "\n".join(callees.check_regions(manifests)))
        data["coordinator.yaml"] = data["coordinator.yaml"].replace("- eu=", "- us=")
        self.assertIn("its page shows", "\n".join(callees.check_regions(manifests)))

    def test_each_rule_is_broken_somewhere(self):
        self.assertEqual({check.__name__ for check in ALL},
                         {check.__name__ for check, _, _ in BROKEN.values()})

    def test_alerts_that_are_wrong_are_found(self):
        for name, (breaks, says) in BROKEN_ALERTS.items():
            with self.subTest(broken=name):
                groups = alert_groups()
                breaks(groups[0]["rules"][0])
                self.assertIn(says, "\n".join(check_rules(groups)))


if __name__ == "__main__":
    unittest.main()
