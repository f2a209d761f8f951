"""Rules for what the manifests tell our programs: flags, variables, files, ports, metrics.

docs/config.md and docs/metrics.md are held to the programs by tests of their own; the rules here
hold the manifests to the two documents.
"""

import pathlib
import re

import yaml

from k8s_policy import HEALTH, REST_OF_THE_NODE, of_kind, ports_of, pods, seconds, size, title

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("meridian-node", "meridian-coordinator")
SETTING = re.compile(r"^\| `--([a-z0-9-]+)` \| `(MERIDIAN_[A-Z0-9_]+)`[^|]*\| `([a-z0-9_.]+)` \|",
                     re.MULTILINE)
METRIC_ROW = re.compile(r"^\| `([a-z_0-9]+)` \| (counter|gauge|histogram) \| ([^|]*)\|", re.MULTILINE)
# Read by somebody else than the table of settings.
SECTIONS = ("tiers", "namespaces", "regions", "warming.schedules", "warming.budgets",
            "warming.rules", "warming.startup")
# Labels that Prometheus and the ServiceMonitor give to everything.
GIVEN_LABELS = {"job", "instance", "pod", "service", "container", "meridian_region",
                "kubernetes_namespace", "le"}


def read_settings(root):
    """Program -> (flags, variables, paths in its file), from docs/config.md."""
    text = (root / "docs" / "config.md").read_text()
    found = {}
    for program in OURS:
        section = text.split(f"\n## {program}\n")[1].split("\n## ")[0]
        rows = SETTING.findall(section)
        found[program] = tuple(set(column) for column in zip(*rows))
    for flags, _, _ in found.values():
        flags.add("config")
    return found


def read_metrics(root):
    """Name -> (kind, labels), from docs/metrics.md."""
    text = (root / "docs" / "metrics.md").read_text()
    return {name: (kind, set(re.findall(r"`(\w+)`", labels)))
            for name, kind, labels in METRIC_ROW.findall(text)}


def leaves(value, path=""):
    if isinstance(value, dict) and path not in SECTIONS:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def our_containers(objects):
    """(object, pod spec, container, program) of what runs our programs for good."""
    for item, _, spec in pods(objects):
        for container in spec["containers"]:
            program = container.get("command", [""])[0]
            if program in OURS:
                yield item, spec, container, program


def config_files(objects, spec, container):
    """Flag -> the text of the file that it names."""
    maps = {item["metadata"]["name"]: item["data"] for item in of_kind(objects, "ConfigMap")}
    volumes = {volume["name"]: maps.get(volume.get("configMap", {}).get("name"), {})
               for volume in spec.get("volumes", [])}
    mounted = {f"{mount['mountPath']}/{name}": text
               for mount in container.get("volumeMounts", [])
               for name, text in volumes.get(mount["name"], {}).items()}
    words = [word.partition("=") for word in container["args"]]
    return {flag: mounted[path] for flag, _, path in words if path in mounted}


def check_settings(objects, settings):
    """Every flag, variable and key of a file is one that the program has."""
    for item, spec, container, program in our_containers(objects):
        flags, variables, paths = settings[program]
        for word in container["args"]:
            flag = word.partition("=")[0].removeprefix("--")
            if flag not in flags:
                yield f"{title(item)}: {program} has no --{flag}"
        if "--insecure=true" not in container["args"]:
            yield f"{title(item)}: does not say that its ports are plaintext"
        for variable in container.get("env", []):
            if variable["name"].startswith("MERIDIAN_") and variable["name"] not in variables:
                yield f"{title(item)}: {program} does not read {variable['name']}"
        files = config_files(objects, spec, container)
        for path in leaves(yaml.safe_load(files.get("--config", "{}"))):
            if path not in paths and path not in SECTIONS:
                yield f"{title(item)}: the file of {program} has no {path}"
        for section in yaml.safe_load(files.get("--policies", "{}")):
            if section not in ("tiers", "namespaces"):
                yield f"{title(item)}: a file of policies has no {section}"


def check_variables(objects):
    """$(NAME) in arguments and values is a variable that was defined before."""
    for item, _, container, _ in our_containers(objects):
        known = set()
        for variable in container.get("env", []):
            for name in re.findall(r"\$\((\w+)\)", variable.get("value", "")):
                if name not in known:
                    yield f"{title(item)}: {variable['name']} uses {name} before it is defined"
            known.add(variable["name"])
        for word in container["args"]:
            for name in set(re.findall(r"\$\((\w+)\)", word)) - known:
                yield f"{title(item)}: {word}: no variable {name}"


def check_listening(objects):
    """The ports of a pod are those that its program listens on, for everybody."""
    for item, spec, container, _ in our_containers(objects):
        config = yaml.safe_load(config_files(objects, spec, container).get("--config", "{}"))
        listening = {int(address.rpartition(":")[2]) for address in config["listen"].values()}
        if listening != set(ports_of(spec).values()):
            yield f"{title(item)}: listens on {sorted(listening)}, has {ports_of(spec)}"
        if not all(address.startswith("0.0.0.0:") for address in config["listen"].values()):
            yield f"{title(item)}: listens where the pod's address does not lead"


TLS_FILES = ("MERIDIAN_TLS_CERT", "MERIDIAN_TLS_KEY", "MERIDIAN_TLS_CA")


def check_tls(objects):
    """All of our programs speak TLS or none; their files arrive, and probes go past it."""
    speak = {}
    for item, spec, container, _ in our_containers(objects):
        values = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
        speak[title(item)] = any(name in values for name in TLS_FILES)
        probes = {container[kind]["grpc"]["port"] for kind in
                  ("startupProbe", "livenessProbe", "readinessProbe")}
        if not speak[title(item)]:
            if HEALTH in ports_of(spec):
                yield f"{title(item)}: has a port for health alone, without TLS"
            continue
        for name in (*TLS_FILES, "MERIDIAN_TLS_SERVER_NAME"):
            if not values.get(name):
                yield f"{title(item)}: TLS without {name}"
        if probes != {ports_of(spec).get(HEALTH)}:
            yield f"{title(item)}: probes of ports {sorted(probes)}, which speak TLS"
        yield from check_tls_files(title(item), spec, container,
                                   {values.get(name, "") for name in TLS_FILES})
    if len(set(speak.values())) > 1:
        yield f"{', '.join(name for name in speak if not speak[name])}: plaintext, the others speak TLS"
    for service in of_kind(objects, "Service"):
        if HEALTH in [port["targetPort"] for port in service["spec"]["ports"]]:
            yield f"{title(service)}: leads to the port of probes"


def check_tls_files(where, spec, container, paths):
    """They come from a Secret that only the pod's user reads, and that may be renewed."""
    volumes = {volume["name"]: volume.get("secret") for volume in spec["volumes"]}
    folders = {path.rpartition("/")[0] for path in paths}
    for mount in container["volumeMounts"]:
        if mount["mountPath"] not in folders:
            continue
        folders.discard(mount["mountPath"])
        secret = volumes[mount["name"]]
        if secret is None or secret.get("defaultMode", 0o644) & 0o337:
            yield f"{where}: {mount['mountPath']} is no Secret for its user alone"
        # Files of a Secret are root's, and of that group.
        if spec.get("securityContext", {}).get("fsGroup") is None:
            yield f"{where}: its user cannot read {mount['mountPath']}: no fsGroup"
        if "subPath" in mount or not mount.get("readOnly"):
            yield f"{where}: {mount['mountPath']} is not renewed, or can be written"
    if folders:
        yield f"{where}: nothing is mounted at {sorted(folders)}"


def check_coordinators(objects):
    """The nodes' coordinators are Services of the manifest, with that port."""
    known = {f"{item['metadata']['name']}.{item['metadata']['namespace']}.svc.cluster.local:"
             f"{port['port']}" for item in of_kind(objects, "Service")
             for port in item["spec"]["ports"]}
    for item, spec, container, program in our_containers(objects):
        if program == "meridian-node":
            config = yaml.safe_load(config_files(objects, spec, container)["--config"])
            if not config.get("coordinators"):
                yield f"{title(item)}: knows no coordinator"
            for address in config.get("coordinators", []):
                if address not in known:
                    yield f"{title(item)}: nobody is at {address}"


def check_room(objects):
    """Memory and time that a node needs are there."""
    for item, spec, container, program in our_containers(objects):
        if program != "meridian-node":
            continue
        config = yaml.safe_load(config_files(objects, spec, container)["--config"])
        l1, mirrors = (size(config["l1"][name]) for name in ("max_bytes", "mirror_max_bytes"))
        used = REST_OF_THE_NODE + size(config["redis"]["hints_max_bytes"]) + l1 + max(mirrors, l1 // 4)
        if used > size(container["resources"]["limits"]["memory"]):
            yield f"{title(item)}: needs {used >> 20} MiB, more than the limit of its memory"
        needs = seconds(config["rollout_wait"]) + seconds(config["drain_delay"]) + 15
        if spec["terminationGracePeriodSeconds"] < needs:
            yield f"{title(item)}: drains for up to {needs} s, longer than it may"


def check_rules(groups, metrics):
    """Alerts use metrics and labels that exist, and tell what to do."""
    names = set()
    for rule in (rule for group in groups for rule in group["rules"]):
        name = rule["alert"]
        if name in names:
            yield f"{name}: is there twice"
        names.add(name)
        if rule.get("labels", {}).get("severity") not in ("info", "warning", "critical"):
            yield f"{name}: has no severity"
        if not {"summary", "action"} <= set(rule.get("annotations", {})):
            yield f"{name}: has no summary or no action"
        page = rule.get("annotations", {}).get("runbook", "")
        if page != f"docs/runbooks/{name}.md" or not (ROOT / page).exists():
            yield f"{name}: has no page in docs/runbooks"
        texts = " ".join(rule.get("annotations", {}).values())
        yield from check_expression(name, rule["expr"], metrics,
                                    re.findall(r"\$labels\.(\w+)", texts))
        for metric in METRIC.findall(texts):
            if metric not in metrics and metric not in GIVEN_LABELS:
                yield f"{name}: there is no metric {metric}"


METRIC = re.compile(r"\b(?:meridian|process)_[a-z0-9_]+")


def labels_of(metric, metrics):
    base = re.sub("_(bucket|sum|count)$", "", metric)
    return metrics.get(metric, metrics.get(base, ("", set())))[1] | GIVEN_LABELS


def check_expression(name, expression, metrics, shown_labels=()):
    """A query uses metrics and labels that exist; `shown_labels` are of its legend or text."""
    used = [metric for metric in METRIC.findall(expression) if metric not in GIVEN_LABELS]
    for metric in used:
        base = re.sub("_(bucket|sum|count)$", "", metric)
        is_series = metric in metrics and metrics[metric][0] != "histogram"
        if not is_series and (base == metric or metrics.get(base, ("",))[0] != "histogram"):
            yield f"{name}: there is no metric {metric}"
    for metric, matchers in re.findall(r"\b(\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            if label not in labels_of(metric, metrics):
                yield f"{name}: {metric} has no label {label}"
    has = GIVEN_LABELS.union(*(labels_of(metric, metrics) for metric in used))
    kept = [label.strip() for text in re.findall(r"\bby \(([^)]*)\)", expression)
            for label in text.split(",")]
    for label in {*kept, *shown_labels} - has:
        yield f"{name}: none of its metrics has a label {label}"


def check_monitors(objects):
    """Labels of our metrics are not hidden by those that the operator gives to targets."""
    for monitor in of_kind(objects, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            dropped = "|".join(rule["regex"] for rule in endpoint.get("relabelings", [])
                               if rule.get("action") == "labeldrop")
            if not {"namespace", "endpoint"} <= set(dropped.split("|")):
                yield f"{title(monitor)}: the labels namespace or endpoint hide those of metrics"
