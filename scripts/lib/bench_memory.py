"""scripts/bench memory: what an entry takes beyond its key and value, beside Redis and memcached.

The same entries (keys of 16 bytes, values of 100 bytes; see the options) go into the engine, in a process of
its own that holds nothing else, into a redis-server and into a memcached. The engine is full, and four times as
many keys were asked for, so that what its eviction policy remembers is counted too. What each takes is the growth of
its resident memory (anonymous pages, from /proc) while it is filled. Redis and memcached store no version
and, without an expiry, no time of expiry; the engine's entries have both, and the other two are given an
expiry too. Ends with one line of JSON.
"""

import json
import pathlib
import shutil
import socket
import tempfile
import time

from bench_tools import BINARIES_HELP, build, output_of, warn_when_busy, whole_number
from cluster import LOOPBACK
from processes import Interrupts, Problem, Process, free_port, redis_answers, wait_until

NAME = "memory"
SUMMARY = "memory of an entry beside Redis and memcached"
BINARY = "meridian-engine-memory"
KEY_BYTES = 16
PIPELINE = 1000
EXPIRY_SECONDS = 3600


def add_arguments(parser):
    parser.add_argument("--entries", type=whole_number(1, 10**9), default=1000000, help="default 1,000,000")
    parser.add_argument("--value-size", type=whole_number(0, 8 << 20), default=100,
                        help="in bytes, default 100")
    parser.add_argument("--policy", default="adaptive", help="eviction policy of the engine, default adaptive")
    parser.add_argument("--bin", type=pathlib.Path, help=BINARIES_HELP)


def resident_bytes(pid):
    """Anonymous resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise Problem(f"/proc/{pid}/status has no RssAnon")


def key_of(number):
    return b"user:%011d" % number


def expiry_of(number):
    return 60 + number % EXPIRY_SECONDS


class Connection:
    """Sends commands in batches and reads as many answers."""

    def __init__(self, port):
        self._socket = socket.create_connection((LOOPBACK, port), timeout=60)
        self._answers = self._socket.makefile("rb")

    def send(self, commands, wanted):
        self._socket.sendall(b"".join(commands))
        for _ in commands:
            answer = self._answers.readline()
            if answer != wanted:
                raise Problem(f"a server that is filled said {answer[:200]!r}")

    def ask(self, command, last=None):
        """The lines of one answer: one, or all up to the one that is `last`."""
        self._socket.sendall(command)
        lines = [self._answers.readline()]
        while last is not None and lines[-1] not in (last, b""):
            lines.append(self._answers.readline())
        return lines

    def close(self):
        self._answers.close()
        self._socket.close()


def fill(connection, options, command, wanted):
    value = b"v" * options.value_size
    for first in range(0, options.entries, PIPELINE):
        numbers = range(first, min(first + PIPELINE, options.entries))
        connection.send([command(number, value) for number in numbers], wanted)


def redis_command(number, value):
    return b"*5\r\n$3\r\nSET\r\n$16\r\n%b\r\n$%d\r\n%b\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (
        key_of(number), len(value), value, len(b"%d" % expiry_of(number)), expiry_of(number))


def memcached_command(number, value):
    return b"set %b 0 %d %d\r\n%b\r\n" % (key_of(number), expiry_of(number), len(value), value)


def measure_server(process, port, answers, options, command, wanted, count):
    """Growth of the memory of a server while it is filled."""
    try:
        with Interrupts.held():
            process.spawn()
        wait_until("starting", process, time.monotonic() + 10, lambda: answers(port, process.pid))
        before = resident_bytes(process.pid)
        connection = Connection(port)
        fill(connection, options, command, wanted)
        stored = count(connection)
        connection.close()
        if stored != options.entries:
            raise Problem(f"{process.name} holds {stored} entries instead of {options.entries}")
        return resident_bytes(process.pid) - before
    finally:
        process.kill()


def port_answers(port, _pid):
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    except OSError:
        return False


def redis_count(connection):
    return int(connection.ask(b"DBSIZE\r\n")[0][1:])


def memcached_count(connection):
    lines = connection.ask(b"stats\r\n", b"END\r\n")
    return next(int(line.split()[2]) for line in lines if line.startswith(b"STAT curr_items "))


def run(options):
    warn_when_busy()
    binaries = options.bin.resolve() if options.bin else build(BINARY)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="meridian-bench-"))
    data = options.entries * (KEY_BYTES + options.value_size)
    taken = {}
    try:
        engine = json.loads(output_of(binaries / BINARY, options.entries, options.value_size,
                                      options.policy, measures=True))
        if engine["data_bytes"] != data:
            raise Problem(f"the engine was filled with other data: {engine}")
        taken["meridian"] = engine["rss_bytes"]
        port = free_port()
        redis = Process("redis", [shutil.which("redis-server") or "redis-server", "--port",
                                  str(port), "--bind", LOOPBACK, "--save", "", "--appendonly",
                                  "no", "--dir", str(folder)], str(folder / "redis.log"))
        taken["redis"] = measure_server(redis, port, redis_answers, options, redis_command,
                                        b"+OK\r\n", redis_count)
        port = free_port()
        memcached = Process("memcached", [shutil.which("memcached") or "memcached", "-l", LOOPBACK,
                                          "-p", str(port), "-m", "16384", "-t", "1", "-u", "nobody"],
                            str(folder / "memcached.log"))
        taken["memcached"] = measure_server(memcached, port, port_answers, options,
                                            memcached_command, b"STORED\r\n", memcached_count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    overhead = {name: round((size - data) / options.entries, 1) for name, size in taken.items()}
    print(f"\n{'':<12}{'resident MB':>12}{'bytes an entry':>16}{'beyond key and value':>22}")
    for name, size in taken.items():
        print(f"{name:<12}{size / 1e6:>12.1f}{size / options.entries:>16.1f}{overhead[name]:>22.1f}")
    print(f"\n{options.entries:,} entries, keys of {KEY_BYTES} bytes, values of {options.value_size}; "
          f"charged by the engine: {engine['charged_bytes'] / 1e6:.1f} MB.")
    print(json.dumps({"bench": "memory", "entries": options.entries, "key_bytes": KEY_BYTES,
                      "value_bytes": options.value_size, "policy": options.policy,
                      "overhead_bytes": overhead,
                      "rss_per_charged": engine["rss_per_charged"]}))
