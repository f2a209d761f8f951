"""What measurements of a running cluster share: the cluster, and the load on it."""

import json
import subprocess
import sys

from bench_tools import output_of
from cluster import ROOT, Cluster
from processes import Interrupts, Problem, http_get


class BenchCluster:
    """A cluster of some nodes a region, of which the first is told of. Used with `with`, which
    stops it at the end.

    `flags` are more words for scripts/local-cluster up; they are the user's: when it refuses them,
    that is WrongUsage.
    """

    def __init__(self, folder, binaries, regions, *flags, nodes=1):
        self._folder = folder
        self.binaries = binaries
        output_of(ROOT / "scripts" / "local-cluster", "--dir", folder, "up", "--regions",
                  ",".join(regions), "--nodes", nodes, "--bin", binaries, *flags, measures=True)
        cluster = Cluster(folder)
        cluster.load()
        self.addresses = {region: cluster.part(f"{region}-node-1").addresses for region in regions}
        self.pids = {part.name: part.pid for part in cluster.parts}
        self.file = folder / "cluster.json"
        self.coordinator = cluster.part(f"{regions[0]}-coordinator-1").addresses
        self.nodes = [part.addresses for part in cluster.parts if part.kind == "node"]
        self.redis_ports = {part.region: part.redis_port() for part in cluster.parts
                            if part.kind == "redis"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.command("down")

    def command(self, *words):
        """Of scripts/local-cluster: cut, heal, stop, cont, fault, down."""
        with Interrupts.held():
            output_of(ROOT / "scripts" / "local-cluster", "--dir", self._folder, *words)

    def metrics(self, region):
        """The page of the region's node."""
        status, page = http_get(self.addresses[region]["http"], "/metrics", timeout=5)
        if status != 200:
            raise Problem(f"{region}-node-1 tells no metrics")
        return page


class Load:
    """meridian-region-load in some regions of a BenchCluster."""

    def __init__(self, cluster, regions, writes_per_second, *flags):
        targets = [word for region in regions
                   for word in ("--target", f"{region}={cluster.addresses[region]['data']}")]
        with Interrupts.held():
            self._process = subprocess.Popen(
                [str(word) for word in (cluster.binaries / "meridian-region-load", "--writes",
                                        writes_per_second, *targets, *flags)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    @property
    def pid(self):
        return self._process.pid

    def ask(self, line):
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Problem("meridian-region-load ended")
        return json.loads(answer)

    def counts(self):
        """(seconds since the load began, {region: counts}). Calls may have failed."""
        answer = self.ask("counts")
        return answer["seconds"], answer["regions"]

    def failures(self):
        """The first calls that failed in each region, as dicts."""
        return self.ask("failures")


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)
