"""A cluster on this machine: its processes, its ports, and the two files that describe it.

`cluster.json` is for everybody: the addresses. `state.json` is for scripts/local-cluster: what was
started and how, so that any later run can stop it, also after a crash of the one that started it.
"""

import argparse
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import time

import example_origin
import fault_proxies
from processes import (Interrupts, Problem, Process, held_ports, http_get, metric_samples,
                       read_ready_file, redis_answers, stop_all, wait_until)
from redis_shapes import RedisShapes

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
# Ready-file field -> the flag that gives the same address to a restarted process.
NODE_ADDRESSES = {"data": "--data-address", "peer": "--peer-address",
                  "admin": "--admin-address", "http": "--http-address"}
COORDINATOR_ADDRESSES = {"grpc": "--grpc-address", "http": "--http-address"}
SERVERS = ("redis", "sentinel")  # Kinds that are redis-servers.
ADDRESS_FLAGS = {"node": NODE_ADDRESSES, "coordinator": COORDINATOR_ADDRESSES,
                 "proxy": fault_proxies.ADDRESSES, "origin": example_origin.ADDRESSES}


@dataclasses.dataclass
class Part:
    """One process. `addresses` is empty until it has told them."""

    kind: str  # "redis", "sentinel", "coordinator", "node", "proxy" or "origin".
    region: str
    process: Process
    addresses: dict = dataclasses.field(default_factory=dict)
    to: str = ""  # Of a proxy: the region whose Redis is behind it.
    ca: str = ""  # Of a redis or sentinel with TLS: the file of the authority to trust.

    @property
    def name(self):
        return self.process.name

    @property
    def pid(self):
        """0 when it does not run."""
        return 0 if self.process.state() == "dead" else self.process.pid

    def is_ready(self):
        """Serving, by its own word."""
        if self.process.state() != "running" or not self.addresses:
            return False
        if self.kind in SERVERS:
            return redis_answers(self.redis_port(), self.process.pid, self.ca)
        if self.kind == "proxy":
            return self.faults() is not None
        if self.kind == "origin":
            return True  # It listens before it tells its address.
        return http_get(self.addresses["http"], "/readyz", timeout=1)[0] == 200

    def redis_port(self):
        return int(self.addresses["redis"].rsplit(":", 1)[1])

    def faults(self):
        """What a proxy does now, in its words; None when it does not answer."""
        try:
            return fault_proxies.status(self.name, self.addresses["control"])["faults"]
        except Problem:
            return None


def find_binaries(explicit, programs=("meridian-node", "meridian-coordinator")):
    """The folder that holds the programs."""
    candidates = [explicit] if explicit else [
        path for path in (os.environ.get("MERIDIAN_BIN_DIR"), ROOT / "build" / "release" / "bin")
        if path]
    for candidate in map(pathlib.Path, candidates):
        if all(os.access(candidate / name, os.X_OK)
               for name in programs):
            return candidate.resolve()
    raise Problem(
        " and ".join(programs) + " are not in " + " or ".join(map(str, candidates)) +
        ".\nBuild them (cmake --preset release && cmake --build --preset release), or name their\n"
        "folder with --bin or MERIDIAN_BIN_DIR.")


class Cluster:
    """Everything under one directory. Whoever changes something holds lock(); load() only reads."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()
        self.complete = False  # False while `up` runs, and for ever after it crashed.
        self.parts = []
        self.cut_regions = []
        self._lock = None
        self._redis = None  # While it comes up.

    def lock(self):
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.directory / "lock", "w")
        except OSError as error:
            raise Problem(f"{error.filename}: {error.strerror}; give a folder that can be written "
                          "as --dir") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise Problem(f"another local-cluster command is at work in {self.directory}") from None

    def unlock(self):
        """Also happens by itself when the script ends."""
        self._lock.close()

    # --- Files -------------------------------------------------------------------------------

    def load(self):
        try:
            state = json.loads((self.directory / "state.json").read_text())
        except FileNotFoundError:
            return
        except OSError as error:
            raise Problem(f"{error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise Problem(f"{self.directory}/state.json is damaged ({error}). Look for processes "
                          "of the cluster by hand, then delete the directory.") from None
        self.complete = state["complete"]
        self.cut_regions = state["cut_regions"]
        self.parts = [Part(p["kind"], p["region"], Process(**p["process"]), p["addresses"], p["to"],
                           p["ca"])
                      for p in state["parts"]]

    def save(self):
        """Both files, each replaced whole."""
        self._write("state.json", {"complete": self.complete, "cut_regions": self.cut_regions,
                                   "parts": [dataclasses.asdict(part) for part in self.parts]})
        if self.complete:
            self._write("cluster.json", self.describe())

    def _write(self, name, value):
        scratch = self.directory / (name + ".new")
        scratch.write_text(json.dumps(value, indent=2) + "\n")
        os.replace(scratch, self.directory / name)

    def describe(self):
        """The content of cluster.json. The pid of a process that does not run is 0."""
        regions = {}
        proxies = []
        origin = None
        for part in self.parts:
            if part.kind == "origin":
                origin = {"name": part.name, **part.addresses, "pid": part.pid}
                continue
            if part.kind == "proxy":
                proxies.append({"name": part.name, "from": part.region, "to": part.to,
                                **part.addresses, "pid": part.pid})
                continue
            region = regions.setdefault(part.region, {"redis": None, "redis_servers": [],
                                                      "coordinators": [], "nodes": []})
            if part.kind in SERVERS:
                region["redis"] = region["redis"] or {"port": part.redis_port(), "pid": part.pid}
                region["redis_servers"].append({"name": part.name, **part.addresses,
                                                "pid": part.pid})
            else:
                region[part.kind + "s"].append({"name": part.name, **part.addresses,
                                                "pid": part.pid})
        described = {"regions": regions, "proxies": proxies}
        if origin:
            described["origin"] = origin
        return described

    def part(self, name):
        for part in self.parts:
            if part.name == name:
                return part
        names = ", ".join(part.name for part in self.parts) or "there is no cluster"
        raise Problem(f"no process is called {name}: {names}")

    def alive(self):
        return [part for part in self.parts if part.process.state() != "dead"]

    # --- Start -------------------------------------------------------------------------------

    def up(self, options, progress):
        """Starts everything and returns when every node serves with every member in its ring.

        Leaves nothing behind when it fails.
        """
        for name in ("log", "run", "data"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / name).mkdir()
        self.complete = False
        self.parts = []
        self.cut_regions = []
        deadline = time.monotonic() + options.timeout
        try:
            progress(f"redis-server for {', '.join(options.regions)}")
            self._redis = RedisShapes(self, options, deadline)
            for region in options.regions:
                self._redis.start(region)
            if options.fault_proxies:
                progress("fault proxies")
                self._start_all(list(self._proxies(options)), deadline)
            progress("coordinators")
            with held_ports(len(options.regions) * options.coordinators) as ports:
                places = [(region, i + 1) for region in options.regions
                          for i in range(options.coordinators)]
                http = {place: f"{LOOPBACK}:{port}" for place, port in zip(places, ports)}
                self._start_all([self._coordinator(*place, http, options) for place in places],
                                deadline)
            origin = example_origin.free_address(LOOPBACK) if getattr(options, "origin", False) else None
            if origin:
                policies = self.directory / "run" / "policies.yaml"
                example_origin.write_policies(policies, origin)
                options.node_flag = [*options.node_flag, "--policies", policies]
            progress("nodes")
            self._start_all([self._node(region, i + 1, options)
                             for region in options.regions for i in range(options.nodes)], deadline)
            progress("waiting until every node serves with the full ring")
            for part in self.parts:
                if part.kind == "node":
                    self.wait_serving(part, options.nodes, deadline)
            if origin:
                progress("the example's origin")
                self._start_all([self._origin(origin, options)], deadline)
            self.complete = True
            self.save()
        except BaseException:
            self.stop()
            raise

    def new_part(self, kind, region, name, argv):
        return Part(kind, region, Process(name, [str(word) for word in argv],
                                          str(self.directory / "log" / f"{name}.log")))

    def launch(self, part):
        self.ready_file(part).unlink(missing_ok=True)
        with Interrupts.held():
            part.process.spawn()
            if part not in self.parts:
                self.parts.append(part)
            self.save()

    def ready_file(self, part):
        return self.directory / "run" / f"{part.name}.json"

    def redis_url(self, region, source=None):
        """Of a region's Redis; as nodes of `source` reach it, when that is given."""
        listening = {part.name: part.addresses["listen"] for part in self.parts
                     if part.kind == "proxy"}
        reached = {}
        for server in self._redis_servers(region):
            name = fault_proxies.name_of(source, region, server.name)
            if source and name in listening:
                reached[server.addresses["redis"]] = listening[name]
        return self._redis.url(region, reached)

    def _redis_servers(self, region):
        return [part for part in self.parts
                if part.kind in ("redis", "sentinel") and part.region == region]

    def _proxies(self, options):
        for source in options.regions:
            for target in options.regions:
                if ("redis" if source == target else "links") in options.fault_proxies:
                    for server in self._redis_servers(target):
                        yield self._proxy(source, target, server, options)

    def _proxy(self, source, target, server, options):
        name = fault_proxies.name_of(source, target, server.name)
        delay = options.wan_delay.get((source, target))
        part = self.new_part("proxy", source, name, [
            options.binaries / fault_proxies.PROGRAM, "--target", server.addresses["redis"],
            "--listen", f"{LOOPBACK}:0", "--control", f"{LOOPBACK}:0", "--set",
            f"delay={delay}" if delay else "", "--ready-file",
            self.directory / "run" / f"{name}.json"])
        part.to = target
        return part

    def _coordinator(self, region, number, http, options):
        """`http`: the HTTP addresses of all of them, by region and number: they ask each other."""
        name = f"{region}-coordinator-{number}"
        argv = [options.binaries / "meridian-coordinator", "--id", name, "--region", region,
                COORDINATOR_ADDRESSES["grpc"], f"{LOOPBACK}:0",
                COORDINATOR_ADDRESSES["http"], http[region, number]]
        others = [f"{other}={address}" for (other, _), address in http.items() if other != region]
        if others:
            argv += ["--other-coordinators", ",".join(others)]
        argv += ["--redis", self.redis_url(region), *self._common_flags(name, options),
                 *options.coordinator_flag]
        return self.new_part("coordinator", region, name, argv)

    def _node(self, region, number, options):
        name = f"{region}-node-{number}"
        coordinators = ",".join(part.addresses["grpc"] for part in self.parts
                                if part.kind == "coordinator" and part.region == region)
        argv = [options.binaries / "meridian-node", "--id", name, "--region", region]
        for flag in NODE_ADDRESSES.values():
            argv += [flag, f"{LOOPBACK}:0"]
        argv += ["--coordinators", coordinators, "--redis", self.redis_url(region, region)]
        for other in options.regions:
            if other != region:
                argv += ["--region-redis", f"{other}={self.redis_url(other, region)}"]
        argv += ["--l1-max-bytes", options.l1_max_bytes, *self._common_flags(name, options),
                 *options.node_flag]
        return self.new_part("node", region, name, argv)

    def _origin(self, address, options):
        """One database for all regions; an update is invalidated in each."""
        caches = [next(part.addresses["data"] for part in self.parts
                       if part.kind == "node" and part.region == region)
                  for region in options.regions]
        return self.new_part("origin", "", example_origin.NAME, example_origin.command(
            options.binaries, address, caches,
            self.directory / "run" / f"{example_origin.NAME}.json"))

    def _common_flags(self, name, options):
        return ["--ready-file", self.directory / "run" / f"{name}.json",
                "--log-level", options.log_level, "--log-format", options.log_format]

    def _start_all(self, parts, deadline):
        for part in parts:
            self.launch(part)
        for part in parts:
            self._await_ready_file(part, deadline)

    def _await_ready_file(self, part, deadline):
        ready = wait_until("starting", part.process, deadline,
                           lambda: read_ready_file(self.ready_file(part), part.process.pid))
        part.addresses = {field: ready[field] for field in ADDRESS_FLAGS[part.kind]}
        self.save()

    def wait_serving(self, part, members, deadline):
        """Until the node says that it is ready and, with `members`, that its ring has so many."""
        def serving():
            if not part.is_ready():
                return False
            metrics = http_get(part.addresses["http"], "/metrics")[1]
            owners = [labels for labels, share in
                      metric_samples(metrics, "meridian_ring_ownership_ratio") if share > 0]
            return len(owners) == members
        wait_until("joining the ring", part.process, deadline, serving)

    # --- Change ------------------------------------------------------------------------------

    def nodes(self, region):
        nodes = [part for part in self.parts if part.kind == "node" and part.region == region]
        if not nodes:
            regions = sorted({part.region for part in self.parts if part.kind == "node"})
            raise Problem(f"no region is called {region}: {', '.join(regions) or 'no cluster runs'}")
        return nodes

    def add_node(self, region, timeout):
        """One more node, like the others of its region; returns when all have it in their ring."""
        deadline = time.monotonic() + timeout
        nodes = self.nodes(region)
        taken = [int(part.name.rsplit("-", 1)[1]) for part in nodes]
        name = f"{region}-node-{max(taken) + 1}"
        argv = list(nodes[0].process.argv)
        changes = {"--id": name, "--ready-file": self.directory / "run" / f"{name}.json",
                   **{flag: f"{LOOPBACK}:0" for flag in NODE_ADDRESSES.values()}}
        for flag, value in changes.items():
            argv[argv.index(flag) + 1] = value
        part = self.new_part("node", region, name, argv)
        self.launch(part)
        self._await_ready_file(part, deadline)
        self._wait_ring(region, deadline)
        return part

    def drain(self, part, timeout):
        """SIGTERM: the node gives its slots away and ends. Then it is no part of the cluster."""
        deadline = time.monotonic() + timeout
        if part.kind != "node":
            raise Problem(f"{part.name} is no node: only nodes have slots to give away")
        if len([node for node in self.nodes(part.region) if node.pid]) == 1:
            raise Problem(f"{part.name} is the last node of {part.region} that runs")
        self._end(part, deadline)
        self.parts.remove(part)
        self.save()
        self._wait_ring(part.region, deadline)

    def restart_rolling(self, region, timeout, progress):
        """Each node of the region in turn: asks for its ticket and ends as `drain` does, starts, is
        ready and in the ring."""
        for part in self.nodes(region):
            deadline = time.monotonic() + timeout
            self._end(part, deadline)
            self.restart(part, max(0, deadline - time.monotonic()))
            self._wait_ring(region, deadline)
            progress(f"{part.name}: restarted, pid {part.process.pid}")

    def _end(self, part, deadline):
        part.process.signal(signal.SIGTERM)
        part.process.signal(signal.SIGCONT)
        if not part.process.wait_dead(max(0, deadline - time.monotonic())):
            raise Problem(f"{part.name} did not end in time after SIGTERM. The end of its log:\n"
                          f"{part.process.log_tail()}")

    def _wait_ring(self, region, deadline):
        running = [part for part in self.nodes(region) if part.process.state() == "running"]
        for part in running:
            self.wait_serving(part, len(running), deadline)

    def restart(self, part, timeout):
        """Starts a process that is dead, with the addresses that it had."""
        deadline = time.monotonic() + timeout
        argv = part.process.argv
        for field, flag in ADDRESS_FLAGS.get(part.kind, {}).items():
            argv[argv.index(flag) + 1] = part.addresses[field]
        self.launch(part)
        if part.kind in SERVERS:
            wait_until("starting", part.process, deadline, part.is_ready)
        else:
            self._await_ready_file(part, deadline)
        if part.kind == "node":
            wait_until("becoming ready", part.process, deadline, part.is_ready)
        self.save()

    def set_faults(self, part, words):
        """Changes what a proxy does, also when it is started again later; all of it in its words."""
        if part.kind != "proxy":
            raise Problem(f"{part.name} is no fault proxy: " + self._proxy_names())
        fault_proxies.ask(part.name, part.addresses["control"], "set " + words)
        argv = part.process.argv
        argv[argv.index("--set") + 1] = faults = part.faults() or ""
        self.save()
        return faults

    def set_cut(self, region, cut):
        """Cuts a region off from all others, or no longer. Links between two cut regions stay cut
        until both are healed. False when it is so already."""
        regions = sorted({part.region for part in self.parts if part.kind == "node"})
        if region not in regions:
            raise Problem(f"no region is called {region}: {', '.join(regions) or 'no cluster runs'}")
        links = [part for part in self.parts if part.kind == "proxy" and part.region != part.to]
        if not links:
            raise Problem("this cluster has no proxies between its regions; start it with\n"
                          "  scripts/local-cluster up --fault-proxies links\n"
                          "or with --wan-delay")
        changed = (region in self.cut_regions) != cut
        self.cut_regions = [name for name in self.cut_regions if name != region] + [region] * cut
        for link in links:
            if region in (link.region, link.to):
                other = link.to if link.region == region else link.region
                self.set_faults(link, "cut=on" if cut or other in self.cut_regions else "cut=off")
        return changed

    def _proxy_names(self):
        names = [part.name for part in self.parts if part.kind == "proxy"]
        return ", ".join(names) or "none was started (up --fault-proxies links,redis)"

    def stop(self):
        """Ends what was recorded and nothing else: who asks before who is asked, Redis last; but
        coordinators before nodes, which else would wait for their turn, one after the other."""
        with Interrupts.held():
            for kind in ("origin", "coordinator", "node", "proxy", "sentinel", "redis"):
                stop_all([part.process for part in self.parts if part.kind == kind])
            self.parts = []
            self.cut_regions = []
            self.complete = False
            for name in ("state.json", "cluster.json"):
                (self.directory / name).unlink(missing_ok=True)


def positive(text):
    """For argparse: a whole number from 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def region_names(text):
    """For argparse: the different names of a comma-separated list."""
    names = text.split(",")
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
            raise argparse.ArgumentTypeError(
                f"region {name!r}: a name is a-z, then up to 31 of a-z 0-9 and -")
        if names.count(name) > 1:
            raise argparse.ArgumentTypeError(f"region {name!r} is named twice")
    return names
