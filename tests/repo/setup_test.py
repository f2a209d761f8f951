#!/usr/bin/env python3
"""Tests of scripts/setup with stand-ins for dpkg-query, apt-get, sudo and id: nothing is installed."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
SETUP = ROOT / "scripts" / "setup"

# What the stand-ins share: $STATE/installed lists packages, $STATE/calls what was run as root.
DPKG_QUERY = """#!/bin/sh
shift 2
status=0
for package in "$@"; do
  if grep -qx "$package" "$STATE/installed"; then echo "installed $package"; else status=1; fi
done
exit $status
"""
SUDO = """#!/bin/sh
[ "$SUDO_WORKS" = yes ] || exit 1
shift
echo "$*" >> "$STATE/calls"
[ "$1" = env ] || exit 0
case "$*" in
  *apt-get*install*) [ "$APT_WORKS" = yes ] || exit 100
    for word in "$@"; do echo "$word" >> "$STATE/installed"; done ;;
esac
"""
# A module is a folder with the files that are read of it, whatever its name.
GO = """#!/bin/sh
if [ "$1" = install ]; then
  name=${2##*/}; mkdir -p "$GOBIN"; echo "$*" > "$GOBIN/${name%@*}"; chmod 755 "$GOBIN/${name%@*}"
  exit
fi
[ "$GO_DOWNLOADS" != no ] || exit 1
mkdir -p "$STATE/module/api/openapi-spec" "$STATE/module/example/prometheus-operator-crd"
cat > "$STATE/module/api/openapi-spec/swagger.json" <<end
{"definitions": {"Service": {"properties": {"metadata": {}}, "x-kubernetes-group-version-kind":
  [{"group": "", "version": "v1", "kind": "Service"}]}}}
end
for kind in ServiceMonitor PrometheusRule; do
  echo "spec: {group: monitoring.coreos.com, names: {kind: $kind},
    versions: [{name: v1, schema: {openAPIV3Schema: {type: object}}}]}" \\
    > "$STATE/module/example/prometheus-operator-crd/monitoring.coreos.com_$(echo $kind |
      tr A-Z a-z)s.yaml"
done
printf '{\\n\\t"Dir": "%s",\\n\\t"Sum": ""\\n}\\n' "$STATE/module"
"""


class SetupTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name)
        for name, text in (("dpkg-query", DPKG_QUERY), ("sudo", SUDO),
                           ("id", "#!/bin/sh\necho 1000\n"),
                           ("apt-get", "#!/bin/sh\necho apt-get must run as root; exit 1\n")):
            (self.state / name).write_text(text)
            (self.state / name).chmod(0o755)
        self.packages = self.run_setup("--print").stdout.split()

    def run_setup(self, *words, sudo="no", apt="yes"):
        environment = {**os.environ, "STATE": str(self.state), "SUDO_WORKS": sudo,
                       "APT_WORKS": apt, "PATH": f"{self.state}:{os.environ['PATH']}"}
        return subprocess.run(["bash", str(SETUP), *words], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def installed(self, packages):
        (self.state / "installed").write_text("".join(name + "\n" for name in packages))

    def calls(self):
        path = self.state / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def test_the_list_names_each_package_once(self):
        self.assertEqual(len(self.packages), len(set(self.packages)))
        self.assertIn("libgrpc++-dev", self.packages)

    def test_nothing_is_done_when_everything_is_there(self):
        self.installed(self.packages)
        result = self.run_setup(sudo="yes")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(self.calls(), [])

    def test_without_root_the_exact_command_is_printed(self):
        self.installed(self.packages[2:])
        result = self.run_setup()
        self.assertEqual(result.returncode, 1)
        self.assertIn("sudo apt-get update && sudo apt-get install --no-install-recommends -y "
                      + " ".join(self.packages[:2]) + "\n", result.stderr)

    def test_only_what_is_missing_is_installed_and_no_service_starts(self):
        self.installed(self.packages[2:])
        result = self.run_setup(sudo="yes")
        self.assertEqual(result.returncode, 0, result.stderr)
        installs = [call for call in self.calls() if " install " in call]
        self.assertEqual(len(installs), 1)
        self.assertTrue(installs[0].endswith(" ".join(["--no-install-recommends",
                                                       *self.packages[:2]])), installs[0])
        self.assertIn("RUNLEVEL=1", installs[0])
        updates = [i for i, call in enumerate(self.calls()) if call.endswith(" update")]
        self.assertLess(updates[0], self.calls().index(installs[0]))
        if not pathlib.Path("/usr/sbin/policy-rc.d").exists():
            self.assertIn("env tee /usr/sbin/policy-rc.d", self.calls())
            self.assertEqual(self.calls()[-1], "env rm -f /usr/sbin/policy-rc.d")

    def test_the_browser_comes_when_it_is_asked_for(self):
        self.assertNotIn("chromium", self.packages)
        self.installed(self.packages)
        result = self.run_setup("--browser")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"install --no-install-recommends -y chromium\b")

    def run_chart(self, downloads="yes"):
        """--chart in a copy of the project, with stand-ins for dpkg-deb and go as well."""
        self.installed([*self.packages, "debootstrap"])
        (self.state / "dpkg-deb").write_text(
            "#!/bin/sh\nmkdir -p usr/bin && echo '#!/bin/sh' > usr/bin/promtool\n")
        (self.state / "go").write_text(GO)
        for name in ("dpkg-deb", "go"):
            (self.state / name).chmod(0o755)
        copy = self.state / "copy" / "scripts" / "setup"
        copy.parent.mkdir(parents=True)
        copy.write_text(SETUP.read_text())
        for name in ("k8s/render", "scripts/lib/kubernetes_schemas.py"):
            path = self.state / "copy" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((ROOT / name).read_text())
        environment = {**os.environ, "STATE": str(self.state), "SUDO_WORKS": "no",
                       "GO_DOWNLOADS": downloads, "PATH": f"{self.state}:/usr/bin:/bin"}
        return subprocess.run(["bash", str(copy), "--chart"], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def test_what_cannot_be_fetched_keeps_nothing_else_away(self):
        result = self.run_chart()  # apt-get refuses.
        self.assertEqual(result.returncode, 1)
        self.assertIn("setup: Debian's package prometheus cannot be fetched here", result.stderr)
        tools = self.state / "copy" / "build" / "chart-tools"
        self.assertEqual(sorted(path.name for path in tools.iterdir()),
                         ["helm", "kubeconform", "schemas-1.30.0"])

    def test_the_tools_of_the_chart_are_unpacked_and_not_installed(self):
        (self.state / "apt-get").write_text("#!/bin/sh\ntouch prometheus_1_amd64.deb\n")
        result = self.run_chart()
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        tools = self.state / "copy" / "build" / "chart-tools"
        self.assertEqual(sorted(path.name for path in tools.iterdir()),
                         ["helm", "kubeconform", "promtool", "schemas-1.30.0"])
        self.assertEqual(sorted(path.name for path in (tools / "schemas-1.30.0").iterdir()),
                         ["prometheusrule-monitoring-v1.json", "service-v1.json",
                          "servicemonitor-monitoring-v1.json"])
        self.assertRegex((tools / "helm").read_text(), r"^install helm\.sh/helm/v3/cmd/helm@v3\.")
        self.assertEqual(self.calls(), [])

    def test_schemas_that_cannot_be_had_are_said_and_leave_nothing(self):
        (self.state / "apt-get").write_text("#!/bin/sh\ntouch prometheus_1_amd64.deb\n")
        result = self.run_chart(downloads="no")
        self.assertEqual(result.returncode, 1)
        self.assertIn("setup: the schemas of Kubernetes 1.30.0 cannot be had by Go here",
                      result.stderr)
        tools = self.state / "copy" / "build" / "chart-tools"
        self.assertEqual(sorted(path.name for path in tools.iterdir()),
                         ["helm", "kubeconform", "promtool"])

    def test_a_failing_apt_get_fails_the_set_up(self):
        self.installed(self.packages[2:])
        self.assertNotEqual(self.run_setup(sudo="yes", apt="no").returncode, 0)


if __name__ == "__main__":
    unittest.main()
