#!/usr/bin/env python3
"""The manifests in k8s/manifests against the schemas of Kubernetes and of the operator's resources, by
kubeconform, strictly: a field that no schema has is an error. k8s_helm_test.py proves that the chart
renders these manifests.

kubeconform is that of the PATH, of GOBIN or GOPATH/bin, or of scripts/setup --chart, which also makes
the schemas. Exit codes: 0 passed, 1 failed, 77 skipped: kubeconform, schemas or python3-yaml are not here.
"""

import json
import pathlib
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
KUBECONFORM = RENDER.find_tool("kubeconform")
SCHEMAS = ROOT / "build" / "chart-tools" / f"schemas-{RENDER.KUBE_VERSION}"
MANIFESTS = sorted((ROOT / "k8s" / "manifests").glob("*.yaml"))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Kind and path of a field of production.yaml -> a value that a cluster would refuse, and why.
REFUSED = {
    ("StatefulSet", "spec.replicas"): ("three", "expected integer"),
    ("StatefulSet", "spec.servicename"): ("x", "'servicename' not allowed"),
    ("StatefulSet", "spec.template.spec.containers.0.ports.0"): ({"name": "x"}, "containerPort"),
    ("StatefulSet", "spec.template.spec.containers.0.resources.limits.memory"):
        ([], "expected string or number"),
    ("Deployment", "spec.template.spec.containers.0.readinessProbe.grpc.service"):
        (7, "expected string"),
    ("PodDisruptionBudget", "spec.maxUnavailable"): ({}, "expected string or integer"),
    ("NetworkPolicy", "spec.ingress.0.form"): ([], "'form' not allowed"),
    ("Service", "spec.ports.0.targetPort"): (None, "expected string or integer"),
    ("ConfigMap", "data.number"): (5, "expected string"),
    ("ServiceMonitor", "spec.endpoints.0.intervall"): ("10s", "'intervall' not allowed"),
    ("PrometheusRule", "spec.groups.0.rules.0.for"): ("ten minutes", "does not match pattern"),
}


def check(*files):
    """What kubeconform says of each object: [{kind, name, status, msg}]."""
    result = subprocess.run(
        [KUBECONFORM, "-strict", "-verbose", "-output", "json", "-schema-location",
         f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", *files],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return json.loads(result.stdout)["resources"]


def put(item, path, value):
    *folders, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    for word in folders:
        item = item[word]
    item[last] = value


class SchemasTest(unittest.TestCase):
    def test_every_object_is_valid(self):
        for path in MANIFESTS:
            with self.subTest(manifest=path.name):
                found = check(path)
                wrong = [item for item in found if item["status"] != "statusValid"]
                self.assertEqual(wrong, [])
                there = [item for item in yaml.load_all(path.read_text(), LOADER) if item]
                self.assertEqual(len(found), len(there))

    def test_what_a_cluster_would_refuse_is_found(self):
        objects = [item for item in yaml.load_all(
            (ROOT / "k8s" / "manifests" / "production.yaml").read_text(), LOADER) if item]
        for (kind, path), (value, why) in REFUSED.items():
            with self.subTest(kind=kind, path=path), tempfile.TemporaryDirectory() as folder:
                item = next(item for item in objects if item["kind"] == kind)
                item = json.loads(json.dumps(item))  # A copy.
                put(item, path, value)
                file = pathlib.Path(folder) / "wrong.yaml"
                file.write_text(yaml.safe_dump(item))
                (found,) = check(file)
                self.assertEqual(found["status"], "statusInvalid", found)
                self.assertIn(why, found["msg"])

    def test_a_field_that_is_there_twice_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "twice.yaml"
            file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
                            "data: {a: b}\ndata: {c: d}\n")
            (found,) = check(file)
            self.assertNotEqual(found["status"], "statusValid")


if __name__ == "__main__":
    for what, there in (("kubeconform is", KUBECONFORM is not None),
                        (f"the schemas of Kubernetes {RENDER.KUBE_VERSION} are", SCHEMAS.is_dir())):
        if not there:
            print(f"SKIPPED: {what} not here; scripts/setup --chart installs them where Go is")
            sys.exit(77)
    unittest.main()
