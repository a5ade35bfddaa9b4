"""Cut out of Stripe's published OpenAPI what billing reads and sends: ``stripe_spec.py spec3.json fixtures3.json``.

Writes the file that billing's tests hold their fixtures to.  The two come from github.com/stripe/openapi (MIT), which
stripe-mock embeds too.  References that can be expanded are cut to the id that stands there unless somebody asks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs

ROOT = Path(__file__).parents[1]
WRITTEN = ROOT / "services/billing_webhooks/tests/stripe_openapi.json"
READ = (
    "event",
    "subscription",
    "customer",
    "invoice",
    "charge",
    "dispute",
    "checkout.session",
    "billing_portal.session",
    "billing.meter_event",
    "entitlements.active_entitlement",
)
#: Only ever in events; the document has no schema of it.
ONLY_FIXTURE = ("entitlements.active_entitlement_summary",)
SENT = (
    ("get", "/v1/subscriptions"),
    ("get", "/v1/events"),
    ("get", "/v1/invoices"),
    ("get", "/v1/entitlements/active_entitlements"),
    ("post", "/v1/customers"),
    ("post", "/v1/checkout/sessions"),
    ("post", "/v1/billing_portal/sessions"),
    ("post", "/v1/billing/meter_events"),
)
#: Would bring in half of Stripe; none of it is ever in what billing reads.
NOT_FOLLOWED = frozenset({"api_errors", "payment_method_details", "payment_method"})
_KEPT = {"type", "enum", "required", "properties", "items", "anyOf", "additionalProperties"}
Schema = dict[str, Any]


def cut(schema: Schema, wanted: set[str]) -> Schema:
    """Give JSON Schema for OpenAPI 3.0's dialect, without words; names what it refers to in ``wanted``."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in NOT_FOLLOWED:
            return {"type": "object"}
        wanted.add(name)
        return {"$ref": f"#/schemas/{name}"}
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    if "x-expansionResources" in schema:
        kept = {"type": "string"}
    if "properties" in kept:
        kept["properties"] = {k: cut(v, wanted) for k, v in kept["properties"].items()}
        # Stripe may add fields; a fixture must not make them up.
        kept.setdefault("additionalProperties", False)
    if "anyOf" in kept:
        kept["anyOf"] = [cut(each, wanted) for each in kept["anyOf"]]
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = cut(kept[key], wanted)
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") else kept


def schemas(spec: Schema) -> Schema:
    done: Schema = {}
    left = set(READ)
    while left:
        name = left.pop()
        done[name] = cut(spec["components"]["schemas"][name], left)
        left -= set(done)
    return dict(sorted(done.items()))


def pruned(value: Any, schema: Schema, known: Schema) -> Any:  # noqa: ANN401 -- JSON
    """Bring a fixture to the schema: Stripe's own keep fields of older versions, and expand what is an id."""
    if "$ref" in schema:
        return pruned(value, known[schema["$ref"].rsplit("/", 1)[1]], known)
    if "anyOf" in schema:
        return _pruned_choice(value, schema, known)
    if schema.get("type") == "string" and isinstance(value, dict):
        return value["id"]
    if isinstance(value, list) and "items" in schema:
        return [pruned(each, schema["items"], known) for each in value]
    if isinstance(value, dict) and schema.get("additionalProperties") is False:
        names = schema["properties"]
        return {k: pruned(v, names[k], known) for k, v in value.items() if k in names}
    return value


def _pruned_choice(value: Any, schema: Schema, known: Schema) -> Any:  # noqa: ANN401 -- JSON
    for branch in schema["anyOf"]:
        made = pruned(value, branch, known)
        if is_valid(made, branch, known):
            return made
    return None


def is_valid(value: Any, schema: Schema, known: Schema) -> bool:  # noqa: ANN401 -- JSON
    return jsonschema_rs.validator_for({**schema, "schemas": known}).is_valid(value)


def parameters(spec: Schema, method: str, path: str) -> Schema:
    operation = spec["paths"][path][method]
    if method == "get":
        found = operation["parameters"]
        return {
            "names": sorted(p["name"] for p in found if p["in"] == "query"),
            "required": sorted(p["name"] for p in found if p["in"] == "query" and p["required"]),
        }
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return {"names": sorted(form["properties"]), "required": sorted(form.get("required", []))}


def main(spec_path: str, fixtures_path: str) -> None:
    spec = json.loads(Path(spec_path).read_text())
    fixtures = json.loads(Path(fixtures_path).read_text())["resources"]
    known = schemas(spec)
    written = {
        "source": f"github.com/stripe/openapi, API {spec['info']['version']}, MIT, Copyright (c) 2011- Stripe, Inc.",
        "schemas": known,
        "fixtures": {
            **{name: pruned(fixtures[name], known[name], known) for name in READ},
            **{name: fixtures[name] for name in ONLY_FIXTURE},
        },
        "requests": {f"{m} {path}": parameters(spec, m, path) for m, path in SENT},
    }
    # A line for each schema and fixture, so that a change of one shows as one.
    lines = [
        f"  {json.dumps(part)}: {{\n"
        + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in held.items())
        + "\n  }"
        for part, held in written.items()
        if isinstance(held, dict)
    ]
    source = f'  "source": {json.dumps(written["source"])}'
    WRITTEN.write_text("{\n" + ",\n".join([source, *lines]) + "\n}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
