"""`/api/docs`.

The REST interface as one plain page made from the OpenAPI document. No script, no request to the outside.
"""

import json
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--get:#2563eb;--post:#15803d;--patch:#b45309;--delete:#b91c1c}
body{font:15px/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line);padding-bottom:.3rem;text-transform:capitalize}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0}summary{cursor:pointer;padding:.5rem .8rem}
details>div{padding:.2rem 1rem 1rem}code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:var(--soft);
padding:.8rem;border-radius:.4rem;overflow:auto}.verb{display:inline-block;min-width:4.2rem;font-weight:700}
.get{color:var(--get)}.post{color:var(--post)}.patch{color:var(--patch)}.delete{color:var(--delete)}
td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
"""


def page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            group = (operation.get("tags") or ["other"])[0]
            groups.setdefault(group, []).append(_operation(document, verb, path, operation))
    sections = "".join(f"<h2>{escape(group)}</h2>{''.join(items)}" for group, items in sorted(groups.items()))
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title} API</title><style>{STYLE}</style><h1>{title} API</h1>"
        f"<p>Send <code>x-api-key: …</code> or <code>Authorization: Bearer …</code>. The machine-readable form is "
        f'<a href="/api/v1/openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _operation(document: dict[str, Any], verb: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [
        answer["content"]["application/json"].get("schema")
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
    ]
    parts = [f"<p>{escape(operation.get('description', ''))}</p>", _parameters(operation.get("parameters", []))]
    if body:
        parts.append(f"<h4>Body</h4><pre>{_shown(document, body)}</pre>")
    if answers and answers[0]:
        parts.append(f"<h4>Answer</h4><pre>{_shown(document, answers[0])}</pre>")
    return (
        f'<details><summary><span class="verb {verb}">{verb.upper()}</span><code>{escape(path)}</code> '
        f"{escape(operation.get('summary', ''))}</summary><div>{''.join(parts)}</div></details>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{item['in']}{' *' if item.get('required') else ''}</td>"
        f"<td>{escape(item.get('description', ''))}</td></tr>"
        for item in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _shown(document: dict[str, Any], schema: dict[str, Any]) -> str:
    return escape(json.dumps(_example(document, schema, 0), indent=2, ensure_ascii=False))


def _example(document: dict[str, Any], schema: dict[str, Any], depth: int) -> Any:
    """A schema as a value that says its types: what a reader wants to see."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if depth > 4:
        return "…"
    if "anyOf" in schema:
        chosen = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return _example(document, chosen[0], depth) if chosen else None
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "properties" in schema:
        return {name: _example(document, inner, depth + 1) for name, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_example(document, schema.get("items", {}), depth + 1)]
    return (schema.get("examples") or [schema.get("format") or schema.get("type", "any")])[0]
