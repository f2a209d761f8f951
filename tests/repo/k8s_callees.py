"""Rules for who calls whom: whom the configuration names is let out to, and is let in.

Of a callee in the same manifest both policies count (a Service has the ports of its pods, says
check_selectors). Of one elsewhere only the way out is ours, except for coordinators of another
region, whose manifest check_regions is given: they are called by addresses, labels are of one cluster.
"""

import re
import urllib.parse

import yaml

from k8s_policy import of_kind, ports_of, selects, title, workloads
from k8s_settings import config_files, our_containers

PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
NAMESPACE = "kubernetes.io/metadata.name"


def addresses(text):
    """(host, port) of HOST:PORT, of a URL, of a URL with several hosts."""
    url = urllib.parse.urlsplit(text if "://" in text else f"//{text}")
    scheme = url.scheme.partition("+")[0]
    for part in url.netloc.rpartition("@")[2].split(","):
        host, _, port = part.partition(":")
        yield host, int(port or PORTS[scheme])


def redis_urls(objects, container):
    """Those that stand in Secrets of the manifest."""
    secrets = {item["metadata"]["name"]: item["stringData"] for item in of_kind(objects, "Secret")}
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef", {})
        if reference.get("name") in secrets:
            yield secrets[reference["name"]][reference["key"]]


def callees(objects):
    """(workload, region or None, host, port) of everybody whom our programs' files name."""
    for item, spec, container, _ in our_containers(objects):
        files = config_files(objects, spec, container)
        config = yaml.safe_load(files["--config"])
        policies = yaml.safe_load(files.get("--policies", "{}")) or {}
        named = [(None, text) for text in redis_urls(objects, container)]
        named += [(None, text) for text in config.get("coordinators", [])]
        named += [(None, config.get("alerts", {}).get("webhook"))]
        named += [(None, settings.get("origin", {}).get("address"))
                  for section in policies.values() for settings in section.values()]
        named += [(region, text) for region, _, text in
                  (entry.partition("=")
                   for entry in config.get("cluster", {}).get("other_coordinators", []))]
        for region, text in named:
            for host, port in addresses(text) if text else []:
                yield item, region, host, port


def labels_of_pods(item):
    return item["spec"]["template"]["metadata"]["labels"]


def policy_of(objects, labels):
    return next((policy["spec"] for policy in of_kind(objects, "NetworkPolicy")
                 if selects(policy["spec"]["podSelector"].get("matchLabels"), labels)), None)


def service_of(objects, host):
    """The workload behind a Service of the manifest."""
    for service in of_kind(objects, "Service"):
        meta = service["metadata"]
        if host in (meta["name"], f"{meta['name']}.{meta['namespace']}.svc.cluster.local"):
            return next((entry for entry in workloads(objects)
                         if selects(service["spec"]["selector"], entry[1])), None)
    return None


def has_port(rule, number, names=()):
    """No list of ports: all of them."""
    return any(port.get("port") in (number, *names) for port in rule.get("ports", [{"port": number}]))


def to_pods(peer, labels):
    return "namespaceSelector" not in peer and "podSelector" in peer and (
        peer["podSelector"] == {} or selects(peer["podSelector"].get("matchLabels"), labels))


def to_namespace(peer, name):
    return peer.get("namespaceSelector", {}).get("matchLabels") == {NAMESPACE: name}


def check_callees(objects):
    """The policies let our programs out to whom their files name, and let them in there."""
    for item, _, host, port in callees(objects):
        what = f"{title(item)}: calls {host}:{port}"
        caller = labels_of_pods(item)
        target = service_of(objects, host)
        other = re.fullmatch(r"[^.]+\.([^.]+)\.svc\.cluster\.local", host)
        if target is not None:
            def leads(peer):
                return to_pods(peer, target[1])
        elif other:
            def leads(peer):
                return to_namespace(peer, other.group(1))
        else:
            def leads(peer):
                return "ipBlock" in peer
        rules = [rule for rule in policy_of(objects, caller)["egress"] if has_port(rule, port)]
        # A rule without `to` leads anywhere.
        if not any("to" not in rule or any(map(leads, rule["to"])) for rule in rules):
            yield f"{what}, and is not let out"
        if target is not None and not lets_in(policy_of(objects, target[1]), port,
                                              ports_of(target[2]),
                                              lambda peer: to_pods(peer, caller)):
            yield f"{what}, and is not let in"


def lets_in(policy, port, ports, is_caller):
    names = [name for name, number in ports.items() if number == port]
    return any(has_port(rule, port, names) and any(map(is_caller, rule.get("from", [])))
               for rule in policy["ingress"])


def coordinator_of(objects):
    return next(entry for entry in our_containers(objects) if entry[3] == "meridian-coordinator")


def check_standbys(objects):
    """A coordinator that does not lead asks the one that does what it is asked over HTTP."""
    item, spec, _, _ = coordinator_of(objects)
    own = labels_of_pods(item)
    ports = ports_of(spec)
    policy = policy_of(objects, own)
    what = f"{title(item)}: a standby asks the leader at port {ports['http-metrics']}"
    if not any(has_port(rule, ports["http-metrics"]) and
               any(to_pods(peer, own) for peer in rule.get("to", [])) for rule in policy["egress"]):
        yield f"{what}, and is not let out"
    if not lets_in(policy, ports["http-metrics"], ports, lambda peer: to_pods(peer, own)):
        yield f"{what}, and is not let in"


def check_page(objects):
    """Where people are told to look for the page, somebody is let in who is no Prometheus, and no
    coordinator."""
    item, spec, container, _ = coordinator_of(objects)
    config = yaml.safe_load(config_files(objects, spec, container)["--config"])
    url = config.get("alerts", {}).get("external_url")
    ports = ports_of(spec)
    readers = [peer for rule in policy_of(objects, pods_of_nodes(objects))["ingress"]
               if {"port": "http-metrics"} in rule["ports"] for peer in rule["from"]]
    if url and not lets_in(policy_of(objects, labels_of_pods(item)), ports["http-metrics"], ports,
                           lambda peer: peer not in readers and
                           not to_pods(peer, labels_of_pods(item))):
        yield f"{title(item)}: its page is at {url}, and nobody is let in to it"


def pods_of_nodes(objects):
    return next(labels_of_pods(item) for item, _, _, program in our_containers(objects)
                if program == "meridian-node")


def check_regions(manifests):
    """`manifests`: by region. Coordinators that call another region's are let in there."""
    for region, objects in manifests.items():
        others = {name for _, name, _, _ in callees(objects) if name is not None}
        if others != set(manifests) - {region}:
            yield f"{region}: its page shows {sorted(others)} beside its own region"
        for item, name, host, port in callees(objects):
            if name not in manifests:
                continue
            called, spec, _, _ = coordinator_of(manifests[name])
            ports = ports_of(spec)
            if ports["http-metrics"] != port:
                yield f"{region}: {title(item)}: calls {host}:{port}, which answers no HTTP"
            elif not lets_in(policy_of(manifests[name], labels_of_pods(called)), port, ports,
                             lambda peer: "ipBlock" in peer):
                yield f"{region}: {title(item)}: calls {host}:{port}, and is not let in"
