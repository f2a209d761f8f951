"""Processes that outlive the script that started them, and that are never mistaken for others.

A process is known by its pid, its start time and its program together, because pids are used again.
Nothing here signals a process whose three do not match what was recorded. (The command line would
say more, but redis-server rewrites its own while it starts.)
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

POLL_SECONDS = 0.02


class Problem(Exception):
    """Something that the user must know and can act on; shown without a traceback."""


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt, but not in the middle of a step.

    A process that was started and not yet written down would be lost.
    """

    _held = 0
    _pending = None

    @classmethod
    def install(cls):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, cls._handle)

    @classmethod
    def _handle(cls, number, _):
        if cls._held:
            cls._pending = number
        else:
            raise KeyboardInterrupt(signal.Signals(number).name)

    @classmethod
    @contextlib.contextmanager
    def held(cls):
        cls._held += 1
        try:
            yield
        finally:
            cls._held -= 1
        if not cls._held and cls._pending is not None:
            number, cls._pending = cls._pending, None
            raise KeyboardInterrupt(signal.Signals(number).name)


@dataclasses.dataclass
class Process:
    """One process of ours: what to run, and which run of it is the current one."""

    name: str
    argv: list
    log: str
    pid: int = 0
    start_ticks: int = 0

    def state(self):
        """'running', 'stopped' (SIGSTOP) or 'dead'."""
        stat = read_stat(self.pid) if self.pid else None
        if stat is None or stat["start_ticks"] != self.start_ticks or stat["state"] in "ZX":
            return "dead"
        if not self._is_ours():
            return "dead"
        return "stopped" if stat["state"] in "Tt" else "running"

    def _is_ours(self):
        program = os.path.realpath(shutil.which(self.argv[0]) or self.argv[0])
        return read_program(self.pid) == os.path.basename(program)

    def spawn(self):
        """Starts it in a session of its own, so that Ctrl-C at our terminal is not for it."""
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        # The pid is the child's own until somebody reaps it, so its start time can be read now.
        stat = read_stat(child.pid)
        self.pid = child.pid
        self.start_ticks = stat["start_ticks"] if stat else 0
        child.returncode = 0  # subprocess forgets it; reap() takes the exit status.

    def signal(self, number):
        """Sends a signal if the process is still the recorded one."""
        if self.state() == "dead":
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_dead(self, seconds):
        """True when it is gone, also when it is a zombie of somebody else's."""
        deadline = time.monotonic() + seconds
        while True:
            reap(self.pid)
            if self.state() == "dead":
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        if self.signal(signal.SIGKILL) and not self.wait_dead(10):
            raise Problem(f"{self.name} (pid {self.pid}) does not die after SIGKILL")

    def log_tail(self, lines=15):
        try:
            text = pathlib.Path(self.log).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join("    " + line for line in text.splitlines()[-lines:])


def stop_all(processes, grace_seconds=10.0):
    """SIGTERM to all, then SIGKILL to those that are still there after the grace time."""
    for process in processes:
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # A stopped process cannot end.
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        if not process.wait_dead(max(0.0, deadline - time.monotonic())):
            process.kill()


def read_stat(pid):
    """State letter and start time of a pid, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # The name before it may hold anything.
    return {"state": fields[0], "start_ticks": int(fields[19])}


def read_program(pid):
    """Name of the file that a pid executes, also when it was replaced by a newer build; or None."""
    try:
        path = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None
    return os.path.basename(path.removesuffix(" (deleted)"))


def resident_bytes(pid):
    """Resident memory of a pid, 0 when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def reap(pid):
    """Takes the exit status of a child of ours, so that it is no zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        pass


def free_port():
    """A port that was free a moment ago. Whoever uses it must retry when it is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def held_ports(count):
    """Ports that nobody is given meanwhile; a server that reuses addresses may listen on them."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            ports.append(held.getsockname()[1])
        yield ports


def wait_until(what, process, deadline, check):
    """Polls `check` until it returns something true, and returns that.

    Raises Problem with the log's end when the process dies or the deadline passes.
    """
    while True:
        result = check()
        if result:
            return result
        reap(process.pid)
        if process.state() == "dead":
            raise Problem(f"{process.name} died while {what}. The end of its log:\n"
                          f"{process.log_tail()}")
        if time.monotonic() > deadline:
            raise Problem(f"{process.name}: gave up {what}. The end of its log:\n"
                          f"{process.log_tail()}")
        time.sleep(POLL_SECONDS)


def read_ready_file(path, pid):
    """The JSON that a process wrote when it served, if it is this run's; else None."""
    try:
        ready = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError):
        return None  # Not there, or half written: asked again.
    return ready if ready.get("pid") == pid else None


def redis_info(port, section, ca=""):
    """A section of INFO of the redis-server on this port, over TLS with the authority `ca`; or ''."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            if ca:
                connection = ssl.create_default_context(cafile=ca).wrap_socket(
                    connection, server_hostname="127.0.0.1")
            with connection, connection.makefile("rwb") as stream:
                stream.write(f"INFO {section}\r\n".encode())
                stream.flush()
                header = stream.readline()  # "$<size>".
                return stream.read(int(header[1:])).decode() if header[:1] == b"$" else ""
    except (OSError, ValueError):
        return ""


def redis_answers(port, pid, ca=""):
    """True when the redis-server with this pid answers on this port: not a stranger's."""
    return f"process_id:{pid}\r\n" in redis_info(port, "server", ca)


def http_get(address, path, timeout=2.0):
    """(status, body) of a GET; (0, '') when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as reply:
            return reply.status, reply.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError):
        return 0, ""


SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def metric_samples(text, name):
    """Samples of one metric in the Prometheus text format: [(labels, value)]."""
    samples = []
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match and match.group(1) == name:
            samples.append((dict(LABEL.findall(match.group(2) or "")), float(match.group(3))))
    return samples


def histogram_quantile(buckets, quantile):
    """Upper bound of the bucket that holds the quantile, of [(bound, cumulative count)]; or None.

    Several histograms of the same bounds may be given together: their counts are added.
    """
    counts = {}
    for bound, count in buckets:
        counts[bound] = counts.get(bound, 0.0) + count
    total = max(counts.values(), default=0.0)
    if not total:
        return None
    return min(bound for bound, count in counts.items() if count >= quantile * total)
