"""Rules for every Kubernetes object that the chart renders. Each function yields findings.

Objects are dictionaries, as YAML gives them. k8s_manifests_test.py applies all of CHECKS to every
manifest, and breaks one thing at a time to see each of them find it.
"""

import re

WORKLOADS = {"StatefulSet", "Deployment"}
# Pod Security "restricted", volume types.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
         "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
# Of grpc.health.v1: that a process answers, whatever it waits for.
LIVE = "meridian.live"
# Name of the port of probes where the others speak TLS: the kubelet comes past every policy.
HEALTH = "grpc-health"
# What a node takes beside L1, mirrors and hints: logs for what-if, connections, the program.
REST_OF_THE_NODE = 192 << 20


def title(item):
    return f"{item['kind']} {item['metadata']['name']}"


def of_kind(objects, *kinds):
    return [item for item in objects if item["kind"] in kinds]


def pods(objects):
    """(object, labels, pod spec) of everything that makes pods."""
    for item in of_kind(objects, *WORKLOADS):
        template = item["spec"]["template"]
        yield item, template["metadata"]["labels"], template["spec"]
    for item in of_kind(objects, "Pod"):
        yield item, item["metadata"]["labels"], item["spec"]


def workloads(objects):
    return [entry for entry in pods(objects) if entry[0]["kind"] in WORKLOADS]


def selects(selector, labels):
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def size(text):
    """Bytes of 768Mi, 5GiB, 64MB, 0."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()
    return int(float(number) * UNITS[unit.removesuffix("B")])


def seconds(text):
    factors = {"s": 1, "m": 60, "h": 3600}
    return sum(int(number) * factors[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


def check_restricted(objects):
    """Pod Security Standards, level restricted, and a root file system that nobody writes to."""
    for item, _, spec in pods(objects):
        security = spec.get("securityContext", {})
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{title(item)}: seccompProfile is not RuntimeDefault"
        if not security.get("runAsNonRoot") or not security.get("runAsUser", 0) > 0:
            yield f"{title(item)}: may run as root"
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(name):
                yield f"{title(item)}: {name}"
        for name in ("automountServiceAccountToken", "enableServiceLinks"):
            if spec.get(name) is not False:
                yield f"{title(item)}: {name} is not false"
        for volume in spec.get("volumes", []):
            if not VOLUMES.issuperset(set(volume) - {"name"}):
                yield f"{title(item)}: volume {volume['name']} is of a kind that is not allowed"
        for container in spec["containers"] + spec.get("initContainers", []):
            where = f"{title(item)}, container {container['name']}"
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{where}: allows privilege escalation"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{where}: keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{where}: writes to its root file system"
            if own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
                yield f"{where}: runs as root"
            if any("hostPort" in port for port in container.get("ports", [])):
                yield f"{where}: takes a port of the machine"


def check_images(objects):
    """No host of a registry is in the chart, and every image says which one it is."""
    for item, _, spec in pods(objects):
        for container in spec["containers"]:
            name, _, tag = container["image"].partition("@")
            if not tag:
                name, _, tag = name.rpartition(":")
            if not name or tag in ("", "latest"):
                yield f"{title(item)}: image {container['image']} has no fixed tag"
            if re.match(r"[^/]*[.:][^/]*/|localhost/", name + "/"):
                yield f"{title(item)}: image {container['image']} names the host of a registry"


def ports_of(spec):
    return {port["name"]: port["containerPort"]
            for container in spec["containers"] for port in container.get("ports", [])}


def check_probes(objects):
    for item, _, spec in workloads(objects):
        ports = ports_of(spec)
        for container in spec["containers"]:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if probe is None:
                    yield f"{title(item)}: no {kind}"
                    continue
                action = next((probe[name] for name in ("httpGet", "grpc", "tcpSocket")
                               if name in probe), None)
                port = None if action is None else action["port"]
                if port is not None and port not in (*ports, *ports.values()):
                    yield f"{title(item)}: {kind} asks port {port}, which is not there"
                if "grpc" in probe and port not in [number for name, number in ports.items()
                                                    if name.startswith("grpc")]:
                    yield f"{title(item)}: {kind} speaks gRPC to port {port}"
                # Whoever holds the few threads of HTTP must not get a healthy process restarted.
                live = kind in ("startupProbe", "livenessProbe")
                if "httpGet" in probe:
                    yield f"{title(item)}: {kind} asks over HTTP"
                elif "grpc" in probe and probe["grpc"].get("service", "") != LIVE * live:
                    yield f"{title(item)}: {kind} asks for another service of grpc.health.v1"


def check_resources(objects):
    for item, _, spec in pods(objects):
        for container in spec["containers"]:
            requests = container.get("resources", {}).get("requests", {})
            limits = container.get("resources", {}).get("limits", {})
            if "cpu" not in requests or "memory" not in requests:
                yield f"{title(item)}: requests no CPU or no memory"
            elif limits.get("memory") != requests["memory"]:
                yield f"{title(item)}: the limit of its memory is not what it requests"


def check_selectors(objects):
    """Labels lead where they are meant to, and named ports exist there."""
    for item, labels, spec in workloads(objects):
        if not selects(item["spec"]["selector"]["matchLabels"], labels):
            yield f"{title(item)}: does not select its own pods"
        others = [title(other) for other, theirs, _ in workloads(objects) if other is not item
                  and selects(item["spec"]["selector"]["matchLabels"], theirs)]
        if others:
            yield f"{title(item)}: selects the pods of {', '.join(others)}"
        for constraint in spec.get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"]["matchLabels"], labels):
                yield f"{title(item)}: spreads other pods than its own"
        if item["kind"] == "StatefulSet":
            governing = [service for service in of_kind(objects, "Service")
                         if service["metadata"]["name"] == item["spec"]["serviceName"]]
            if not governing or governing[0]["spec"].get("clusterIP") != "None":
                yield f"{title(item)}: its serviceName is no headless Service"
    for service in of_kind(objects, "Service"):
        found = [spec for _, labels, spec in workloads(objects)
                 if selects(service["spec"]["selector"], labels)]
        if len(found) != 1:
            yield f"{title(service)}: selects the pods of {len(found)} workloads"
        for port in service["spec"]["ports"] if len(found) == 1 else []:
            if ports_of(found[0]).get(port["targetPort"]) != port["port"]:
                yield f"{title(service)}: port {port['name']} leads to none of that number"
    for monitor in of_kind(objects, "ServiceMonitor"):
        found = [service for service in of_kind(objects, "Service")
                 if selects(monitor["spec"]["selector"]["matchLabels"],
                            service["metadata"]["labels"])]
        for endpoint in monitor["spec"]["endpoints"]:
            named = [service for service in found
                     if endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]]
            if len(named) != 1:
                yield f"{title(monitor)}: reads {endpoint['port']} of {len(named)} Services"


def check_disruption(objects):
    budgets = of_kind(objects, "PodDisruptionBudget")
    for item, labels, _ in workloads(objects):
        replicas = item["spec"]["replicas"]
        own = [budget for budget in budgets
               if selects(budget["spec"]["selector"]["matchLabels"], labels)]
        if replicas > 1 and len(own) != 1:
            yield f"{title(item)}: {replicas} pods and {len(own)} disruption budgets"
        for budget in own:
            if not 0 < budget["spec"]["maxUnavailable"] < replicas:
                yield f"{title(budget)}: allows to evict all of {replicas} pods, or none"
    for budget in budgets:
        if not any(selects(budget["spec"]["selector"]["matchLabels"], labels)
                   for _, labels, _ in workloads(objects)):
            yield f"{title(budget)}: selects nothing"


def check_network(objects):
    """Every pod has a policy, every port of it a rule, and what it calls lets it in."""
    policies = of_kind(objects, "NetworkPolicy")
    for item, labels, spec in workloads(objects):
        own = [policy for policy in policies
               if selects(policy["spec"]["podSelector"].get("matchLabels"), labels)]
        if len(own) != 1 or own[0]["spec"]["policyTypes"] != ["Ingress", "Egress"]:
            yield f"{title(item)}: not one NetworkPolicy for both ways"
            continue
        ruled = {port["port"] for rule in own[0]["spec"]["ingress"] for port in rule["ports"]}
        if ruled != set(ports_of(spec)) - {HEALTH}:
            yield f"{title(item)}: ports {sorted(ports_of(spec))}, rules for {sorted(ruled)}"
        for rule in own[0]["spec"]["ingress"]:
            if not rule.get("from"):
                yield f"{title(own[0])}: anybody may call {rule['ports'][0]['port']}"
        for rule in own[0]["spec"]["egress"]:
            yield from check_egress(objects, policies, own[0], labels, rule)


def check_egress(objects, policies, policy, caller, rule):
    """What may be called by the rule is there, and its own policy lets the caller in."""
    for peer in rule.get("to", []):
        wanted = peer.get("podSelector", {}).get("matchLabels")
        if wanted is None:
            continue
        called = [entry for entry in workloads(objects) if selects(wanted, entry[1])]
        if not called:
            yield f"{title(policy)}: lets out to pods that are not there"
        for _, labels, spec in called:
            names = {number: name for name, number in ports_of(spec).items()}
            theirs = [other for other in policies
                      if selects(other["spec"]["podSelector"].get("matchLabels"), labels)]
            for port in rule["ports"]:
                name = names.get(port["port"])
                if not any(selects(source.get("podSelector", {}).get("matchLabels"), caller)
                           for other in theirs for entry in other["spec"]["ingress"]
                           if {"port": name} in entry["ports"]
                           for source in entry.get("from", [])):
                    yield f"{title(policy)}: lets out to port {port['port']}, which does not let in"


def check_references(objects):
    """What pods mount and read is in the manifest, or in a Secret that the manifest leaves to others."""
    known = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    makes_secrets = bool(of_kind(objects, "Secret"))
    for item, _, spec in pods(objects):
        if item["kind"] != "Pod" and ("ServiceAccount", spec["serviceAccountName"]) not in known:
            yield f"{title(item)}: there is no ServiceAccount {spec['serviceAccountName']}"
        files = {}
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                made = known.get(("ConfigMap", volume["configMap"]["name"]))
                if made is None:
                    yield f"{title(item)}: there is no ConfigMap {volume['configMap']['name']}"
                else:
                    files[volume["name"]] = made["data"]
        for container in spec["containers"]:
            mounted = {}
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in [volume["name"] for volume in spec.get("volumes", [])]:
                    yield f"{title(item)}: mounts {mount['name']}, which is no volume of it"
                mounted.update({f"{mount['mountPath']}/{name}": text
                                for name, text in files.get(mount["name"], {}).items()})
            for word in container.get("args", []):
                path = re.match(r"--(?:config|policies)=(.*)", word)
                if path and path.group(1) not in mounted:
                    yield f"{title(item)}: {word}: nothing is mounted there"
            for variable in container.get("env", []):
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                made = None if secret is None else known.get(("Secret", secret["name"]))
                if secret and makes_secrets and (
                        made is None or secret["key"] not in made["stringData"]):
                    yield f"{title(item)}: no Secret {secret['name']} with {secret['key']}"


def check_secrets(objects):
    """URLs of a Redis may hold passwords: they are in Secrets alone."""
    for item in objects:
        if item["kind"] != "Secret" and re.search(r"\b(redis|rediss)(\+\w+)?://", str(item)):
            yield f"{title(item)}: holds the URL of a Redis"


def check_names(objects):
    seen = set()
    for item in objects:
        key = (item["kind"], item["metadata"]["name"])
        if key in seen:
            yield f"{title(item)}: is there twice"
        seen.add(key)
        if item["metadata"].get("namespace") != "meridian":
            yield f"{title(item)}: is not in the namespace of the release"
        labels = item["metadata"].get("labels", {})
        for name, value in labels.items():
            if not LABEL.fullmatch(value):
                yield f"{title(item)}: {name}: {value!r} cannot be the value of a label"
        for name in ("name", "instance", "component"):
            if f"app.kubernetes.io/{name}" not in labels:
                yield f"{title(item)}: has no label app.kubernetes.io/{name}"


def check_port_names(objects):
    """At most 15 characters, one of them a letter: longer ones are refused by the API server."""
    for item, _, spec in pods(objects):
        for name in ports_of(spec):
            if len(name) > 15 or not re.fullmatch(r"[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
                yield f"{title(item)}: {name} cannot be the name of a port"


CHECKS = [check_restricted, check_images, check_probes, check_resources, check_selectors,
          check_disruption, check_network, check_references, check_secrets, check_names,
          check_port_names]
