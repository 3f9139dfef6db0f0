"""`check.py objects`: YAML on stdin, checked against schemas. `check.py promql`: a JSON list of PromQL, parsed. JSON on stdout."""

import json
import sys
from pathlib import Path

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = ("1.31", "1.37")  # The oldest that the chart admits, and the newest that the validator knows.


def strict(schema):
    """A CRD's schema as the API server reads it with strict validation: what it does not name is refused."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: strict(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        out["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            out.setdefault("additionalProperties", False)
    return out


def problems_of(it):
    import jsonschema
    import kubernetes_validate

    group, _, version = it["apiVersion"].rpartition("/")
    file = SCHEMAS / f"{it['kind'].lower()}-{group}-{version}.json"
    if file.exists():
        schema = strict(json.loads(file.read_text()))
        schema["properties"]["metadata"] = {"type": "object"}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(it):
            yield f"{error.json_path}: {error.message}"
        return
    for release in KUBERNETES:
        try:
            kubernetes_validate.validate(it, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {release}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"Kubernetes {release}: {error.message}"


def documents(text):
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key given twice, of which YAML would take the last."""

        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = {key for key in keys if keys.count(key) > 1}
            if twice:
                raise yaml.constructor.ConstructorError(None, None, f"given twice: {twice}", node.start_mark)
            return super().construct_mapping(node, deep)

    return [it for it in yaml.load_all(text, Loader) if it is not None]


def objects(text):
    found = documents(text)
    problems = [
        f"{it['kind']} {it['metadata']['name']}: {problem}" for it in found for problem in problems_of(it)
    ]
    return {"objects": found, "problems": problems}


def promql(text):
    import promql_parser

    def read(expression):
        metrics = set()

        def visit(node):
            if isinstance(node, promql_parser.VectorSelector):
                metrics.add(node.name)

        try:
            promql_parser.walk(promql_parser.parse(expression), visit)
        except ValueError as error:
            return {"metrics": [], "error": f"{expression}: {error}"}
        return {"metrics": sorted(metrics)}

    return [read(each) for each in json.loads(text)]


print(json.dumps({"objects": objects, "promql": promql}[sys.argv[1]](sys.stdin.read())))
