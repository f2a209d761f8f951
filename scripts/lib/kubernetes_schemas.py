#!/usr/bin/env python3
"""Makes JSON schemas for kubeconform out of what Kubernetes and operators publish for Go.

  kubernetes_schemas.py FOLDER SOURCE...

SOURCE: swagger.json of Kubernetes, or a file of CustomResourceDefinitions (YAML). One file a kind comes
into FOLDER, named as {{.ResourceKind}}{{.KindSuffix}}.json. A field that the schema does not have is
an error, as for kubectl's strict validation.
"""

import json
import pathlib
import sys

# What swagger calls text, and takes as a number, too.
NUMBERS = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
           "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]}}


def strict(schema):
    """A copy that takes no fields but its own."""
    result = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in schema:
        result["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = strict(schema[key])
    return result


def references(schema):
    """The definitions that it names."""
    if isinstance(schema, list):
        return {name for item in schema for name in references(item)}
    if not isinstance(schema, dict):
        return set()
    names = {name for value in schema.values() for name in references(value)}
    if isinstance(schema.get("$ref"), str):
        names.add(schema["$ref"].removeprefix("#/definitions/"))
    return names


def of_swagger(swagger):
    """(group, version, kind) -> schema, of everything that can be created."""
    definitions = {name: NUMBERS.get(name) or strict(schema)
                   for name, schema in swagger["definitions"].items()}
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            if "metadata" not in schema.get("properties", {}):
                continue
            used, new = set(), {name}
            while new:
                used |= new
                new = {found for one in new for found in references(definitions[one])} - used
            yield ((kind["group"], kind["version"], kind["kind"]),
                   {**schema, "definitions": {one: definitions[one] for one in sorted(used)}})


def of_custom_resources(documents):
    for document in filter(None, documents):
        spec = document["spec"]
        for version in spec["versions"]:
            yield ((spec["group"], version["name"], spec["names"]["kind"]),
                   strict(version["schema"]["openAPIV3Schema"]))


def schemas_of(path):
    if path.suffix == ".json":
        return of_swagger(json.loads(path.read_text(encoding="utf-8")))
    import yaml  # Kubernetes' own needs none.
    return of_custom_resources(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def main(folder, *sources):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        for (group, version, kind), schema in schemas_of(pathlib.Path(source)):
            words = [kind, *group.split(".")[:1], version] if group else [kind, version]
            (folder / f"{'-'.join(words).lower()}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
