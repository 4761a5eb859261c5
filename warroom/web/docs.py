"""The OpenAPI document as a page: plain HTML without scripts, so that it needs nobody else's server and no exception from the policy."""

from __future__ import annotations

import json
from html import escape
from typing import Any


def docs_page(document: dict[str, Any]) -> str:
    """The page."""
    info = document["info"]
    parts = [f"<h1>{escape(info['title'])}</h1>", *(f"<p>{escape(line)}</p>" for line in info["description"].split("\n\n"))]
    for path, operations in document["paths"].items():
        parts += [_operation(path, method, operation) for method, operation in operations.items()]
    parts.append("<h2>Schemas</h2>")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts.append(f'<h3 id="{escape(name)}">{escape(name)}</h3>{_json(schema)}')
    body = "\n".join(parts)
    head = f'<head><meta charset="utf-8"><title>{escape(info["title"])}</title></head>'
    return f'<!doctype html>\n<html lang="en">{head}\n<body>{body}</body></html>\n'


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    role = operation.get("x-role")
    said = [f"<h2>{escape(method.upper())} <code>{escape(path)}</code></h2>", f"<p>{escape(operation.get('description', ''))}</p>"]
    said.append(f"<p>Role: {escape(role)}</p>" if role else "<p>For everybody.</p>")
    if operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}{', required' if p.get('required') else ''}</td>"
            f"<td>{escape(p.get('description', ''))}</td></tr>"
            for p in operation["parameters"]
        )
        said.append(f"<table><tr><th>parameter</th><th>in</th><th></th></tr>{rows}</table>")
    if "requestBody" in operation:
        said += [f"<p>Body, {escape(media)}:</p>{_json(told)}" for media, told in operation["requestBody"]["content"].items()]
    for status, response in sorted(operation["responses"].items()):
        said.append(f"<p>{escape(status)}: {escape(response['description'])}</p>")
        for media, told in response.get("content", {}).items():
            if "example" in told:
                said.append(f"<p>{escape(media)}, for example:</p>{_json(told['example'])}")
    return "".join(said)


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
