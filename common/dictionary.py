"""The one form of both catalogues: what may leave, when, and what for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Field:
    """One member of a document that leaves."""

    name: str
    type: str  # one of _SCHEMAS
    example: str
    purpose: str


_SCHEMAS: dict[str, dict[str, str]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "uuid": {"type": "string", "format": "uuid"},
    "timestamp": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "array": {"type": "array"},
}


@dataclass(frozen=True, kw_only=True)
class DataPoint:
    """One kind of fact that may leave this installation."""

    name: str  # as written on the wire
    label: str  # as shown to people
    trigger: str
    purpose: str
    fields: tuple[Field, ...]
    since: str  # the product version that brought it


def digest(points: Iterable[DataPoint]) -> str:
    """Return the SHA-256 of a catalogue, equal whenever its content is equal."""
    content = json.dumps([asdict(point) for point in points], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def as_markdown(points: Iterable[DataPoint]) -> list[str]:
    """Return a section per data point: when, what for, since when, its fields."""
    parts: list[str] = []
    for point in points:
        parts += [
            f"### {point.label} (`{point.name}`)",
            f"- **When**: {point.trigger}\n- **What for**: {point.purpose}\n"
            f"- **Since**: {point.since}",
            fields_table(point.fields),
        ]
    return parts


def fields_table(fields: Iterable[Field]) -> str:
    """Return the fields as a Markdown table."""
    lines = ["| field | type | example | what for |", "|---|---|---|---|"]
    lines += [
        f"| `{field.name}` | {field.type} | `{field.example}` | {field.purpose} |"
        for field in fields
    ]
    return "\n".join(lines)


def json_schema(fields: Iterable[Field], **more: Any) -> dict[str, Any]:
    """Return the JSON Schema of an object with exactly these fields.

    Args:
        more: Further required properties, each with its schema.
    """
    properties = {field.name: _SCHEMAS[field.type] for field in fields} | more
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
