"""The example's source of truth in a local cluster: `local-cluster up --origin`."""

import socket

PROGRAM = "meridian-example-origin"
NAME = "origin"
ADDRESSES = {"origin": "--listen"}

# The sources' namespaces, as in config/, each with its origin. The ids are those of
# docs/requirements.md.
POLICIES = """\
namespaces:
  persona: {{ttl: 5m, origin: {origin}}}                              # 0-07
  assessment:                                                         # 4-02
    ttl: 300s
    ttl_by_state: {{in_progress: 60s}}
    origin: {origin}
  dashboard: {{ttl: 60s, origin: {origin}}}                           # 4-03
  recommendations:                                                    # 4-04
    ttl: 300s
    bypass_parameters: [agent_filter, confidence_min, category_filter]
    origin: {origin}
  context: {{ttl: 20m, origin: {origin}}}                             # 2-05
  project: {{ttl: 30m, origin: {origin}}}                             # 2-05
  git_branch: {{ttl: 30m, origin: {origin}}}                          # 2-05
  task: {{ttl: 10m, origin: {origin}}}                                # 2-05
"""


def free_address(host):
    """Of a port that was free a moment ago: the nodes want it before the origin can start, which
    wants to know the nodes."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def write_policies(path, address):
    path.write_text(POLICIES.format(origin=f'{{address: "{address}"}}'), encoding="utf-8")


def command(binaries, address, caches, ready_file):
    words = [binaries / PROGRAM, "--id", NAME, "--listen", address, "--ready-file", ready_file]
    for cache in caches:
        words += ["--cache", cache]
    return words
