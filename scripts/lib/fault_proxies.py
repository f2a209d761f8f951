"""Fault proxies of a cluster: which there are, how one is asked, and what people may say about them.

`links`: one for every region and server of another region's Redis (Sentinels too), between the nodes
of the one and that server. `redis`: one for every server of a region's Redis, between its nodes and
that server. Where a Redis is a single server, names say the region instead of the server.
"""

import argparse
import json
import re
import socket

from processes import Problem

KINDS = ("links", "redis")
PROGRAM = "meridian-fault-proxy"
# Ready-file field -> the flag that gives the same address to a restarted proxy.
ADDRESSES = {"listen": "--listen", "control": "--control"}
ANSWER_SECONDS = 10


def name_of(source, target, server):
    """Of the proxy through which nodes of `source` reach a server, as `eu-redis-1`, of `target`."""
    if source == target:
        return f"{server}-proxy"
    return f"{source}-to-{target if server == f'{target}-redis' else server}-proxy"


def proxy_kinds(text):
    """For argparse: some of KINDS, comma separated."""
    kinds = text.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is neither links nor redis")
    return kinds


def wan_delays(text, regions):
    """{(region, other): delay}, both ways, of "us-eu=40ms,us-asia=80ms"; a ValueError says why not."""
    delays = {}
    for word in text.split(","):
        pair, equals, delay = word.partition("=")
        if not equals or not re.fullmatch(r"[0-9]+(ms|s)", delay):
            raise ValueError(f"{word!r} is not REGION-REGION=DELAY with a delay such as 40ms")
        # Names may hold dashes, so the dash between two of them is found by trying.
        pairs = [(a, b) for a in regions for b in regions if a != b and pair == f"{a}-{b}"]
        if len(pairs) != 1:
            raise ValueError(f"{pair!r} is not one pair of the regions {', '.join(regions)}")
        source, target = pairs[0]
        if (source, target) in delays:
            raise ValueError(f"the delay between {source} and {target} is said twice")
        delays[source, target] = delays[target, source] = delay
    return delays


def ask(name, control, line):
    """A control line and its answer; a Problem when the proxy does not answer, or refuses."""
    host, port = control.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                chunk = connection.recv(4096)
                if not chunk:
                    raise OSError("it hung up")
                answer += chunk
    except OSError as error:
        raise Problem(f"{name} does not answer ({error})") from None
    text = answer.decode().strip()
    if text.startswith("error: "):
        raise Problem(f"{name}: {text.removeprefix('error: ')}")
    return text


def status(name, control):
    """What `status` of the program says, as a dict."""
    return json.loads(ask(name, control, "status"))
