"""scripts/bench baselines: what the cache brings with memory only, with Redis, and without its Redis.

Requirement 3-13. One node, and the example's origin, which takes --delay-ms for every load. *memory
only*: the node has no Redis. *with Redis*: it has. *fallback*: it had one, which was killed before the
first read. Of each: the hit rate of the example's traffic (meridian-example-load, without the delay,
which checks every answer), and the times of reads from the origin and of hits in pairs
(meridianctl perf). Beside them stands what source 003 says. Goals, which decide the exit code: the
hit rates and speed-ups of the source at least, and hits no slower. Ends with one line of JSON.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import time

from bench_cluster import BenchCluster, say
from bench_tools import BINARIES_HELP, measuring, output_of, whole_number
from cluster import LOOPBACK
from example_origin import free_address
from processes import Interrupts, Problem, http_get

NAME = "baselines"
SUMMARY = "hit rates and speed-ups with memory only, with Redis, and when that is away"
BINARIES = ("meridian-node", "meridian-coordinator", "meridian-example-origin",
            "meridian-example-load", "meridianctl")
REGION = "bench"
SPACES = ("persona", "assessment", "dashboard", "recommendations", "context", "project",
          "git_branch", "task")
# What the source has: hit rate and hits in ms and speed-up, from and to.
SOURCE = {"memory only": ((60, 80), (40, 60), (4, 10)),
          "with Redis": ((75, 95), (50, 100), (3, 8)),
          "fallback": (None, (40, 60), (3, 8))}


def policies(origin):
    """Writes are accepted without Redis, too: the origin's changes are to be seen."""
    rows = "".join(f"  {name}: {{ttl: 10m, write_without_redis: accept, "
                   f"origin: {{address: \"{origin}\", timeout: 5s}}}}\n" for name in SPACES)
    return "namespaces:\n" + rows


@contextlib.contextmanager
def program(*words, ready):
    """A child until the end of the `with`; `ready()` says when it serves."""
    with Interrupts.held():
        child = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not ready():
            if child.poll() is not None:
                raise Problem(f"{words[0]} has ended: {child.stderr.read()[-1000:]}")
            if time.monotonic() > end:
                raise Problem(f"{words[0]} does not serve")
            time.sleep(0.05)
        yield
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


@contextlib.contextmanager
def memory_only(binaries, file, _):
    flags = {name: free_address(LOOPBACK) for name in ("data", "peer", "admin", "http")}
    words = [word for name, address in flags.items() for word in (f"--{name}-address", address)]
    with program(binaries / "meridian-node", "--id", "solo", "--region", REGION, "--policies", file,
                 "--log-level", "error", *words,
                 ready=lambda: http_get(flags["http"], "/readyz")[0] == 200):
        yield flags


@contextlib.contextmanager
def with_redis(binaries, file, folder):
    with BenchCluster(folder, binaries, [REGION], f"--node-flag=--policies={file}") as cluster:
        yield cluster.addresses[REGION]


@contextlib.contextmanager
def fallback(binaries, file, folder):
    with BenchCluster(folder, binaries, [REGION], f"--node-flag=--policies={file}") as cluster:
        cluster.command("kill", f"{REGION}-redis")
        end = time.monotonic() + 30
        while not re.search(r"^meridian_l2_up\{[^}]*\} 0$", cluster.metrics(REGION), re.MULTILINE):
            if time.monotonic() > end:
                raise Problem("the node has not noticed that its Redis is gone")
            time.sleep(0.1)
        yield cluster.addresses[REGION]


SHAPES = {"memory only": memory_only, "with Redis": with_redis, "fallback": fallback}


def origin(binaries, address, cache, delay_ms, folder):
    file = folder / f"origin-{time.monotonic_ns()}.ready"
    return program(binaries / "meridian-example-origin", "--listen", address, "--cache", cache,
                   "--delay-ms", delay_ms, "--ready-file", file, ready=file.exists)


def hit_rate(binaries, address, node, requests):
    """In percent, of the example's traffic from an empty cache on."""
    text = output_of(binaries / "meridian-example-load", "--origin", address, "--target", node,
                     "--requests", requests)
    found = re.search(r"database load with the cache: ([0-9.]+) %", text)
    if found is None:
        raise Problem(f"meridian-example-load said: {text}")
    return 100 - float(found[1])


def pairs(binaries, node, count):
    keys = [f"assessment:{i}:details" for i in range(1, count + 1)]
    return json.loads(output_of(
        binaries / "meridianctl", "--target", node["data"], "--admin", node["admin"], "perf",
        "--namespace", "assessment", "--tests", "pairs", "--iterations", count, "--no-report",
        "--json", *keys))["pairs"]


def measure(binaries, shape, folder, options):
    address = free_address(LOOPBACK)
    file = folder / "policies.yaml"
    file.write_text(policies(address))
    with SHAPES[shape](binaries, file, folder / shape.replace(" ", "-")) as node:
        with origin(binaries, address, node["data"], 0, folder):
            rate = hit_rate(binaries, address, node["data"], options.requests)
        with origin(binaries, address, node["data"], options.delay_ms, folder):
            paired = pairs(binaries, node, options.pairs)
    if paired["failed"]["count"]:
        raise Problem(f"{shape}: {paired['failed']}")
    return {"hit_rate_percent": round(rate, 1), "hit_ms": round(paired["cached"]["mean_ms"], 3),
            "miss_ms": round(paired["uncached"]["mean_ms"], 1),
            "speed_up": round(paired["speed_up"], 1)}


def span(pair, unit=""):
    return "–" if pair is None else f"{pair[0]} to {pair[1]}{unit}"


def report(options, results):
    missed = []
    print(f"{'':<14}{'hit rate':>10}{'source':>12}{'hit':>12}{'source':>14}{'miss':>12}"
          f"{'speed-up':>10}{'source':>9}")
    for shape, found in results.items():
        rates, hits, gains = SOURCE[shape]
        print(f"{shape:<14}{found['hit_rate_percent']:>8} %{span(rates, ' %'):>12}"
              f"{found['hit_ms']:>9} ms{span(hits, ' ms'):>14}{found['miss_ms']:>9} ms"
              f"{found['speed_up']:>9}x{span(gains, 'x'):>9}")
        if rates is not None and found["hit_rate_percent"] < rates[0]:
            missed.append(f"{shape}: hit rate {found['hit_rate_percent']} %, goal {rates[0]} %")
        if found["hit_ms"] > hits[1] or found["speed_up"] < gains[0]:
            missed.append(f"{shape}: hits take {found['hit_ms']} ms, {found['speed_up']}x as fast")
    print(json.dumps({"bench": NAME, "delay_ms": options.delay_ms, "requests": options.requests,
                      "pairs": options.pairs, "shapes": results}), flush=True)
    if missed:
        raise Problem("; ".join(missed))


def add_arguments(parser):
    parser.add_argument("--delay-ms", type=whole_number(0, 5000), default=300,
                        help="of every load in the pairs, default 300")
    parser.add_argument("--requests", type=whole_number(100, 10_000_000), default=20000,
                        help="of the example's traffic, default 20000")
    parser.add_argument("--pairs", type=whole_number(1, 300), default=30,
                        help="keys that are read twice, default 30")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def run(options):
    with measuring(options, BINARIES) as (binaries, folder):
        results = {}
        for shape in SHAPES:
            results[shape] = measure(binaries, shape, folder, options)
            say(f"{shape}: {results[shape]}")
        report(options, results)
