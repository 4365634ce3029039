"""Every kind of interaction data a browser may send; what is not here cannot be sent.

Names are those of Snowplow's tp2 payload (schema 1-0-4), which admits no others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from common.dictionary import DataPoint, Field, digest


def _envelope(kind: str, meaning: str) -> tuple[Field, ...]:
    return (
        Field(name="e", type="string", example=kind, purpose=meaning),
        Field(name="p", type="string", example="web", purpose="Always web: a browser"),
        Field(
            name="tv",
            type="string",
            example="nms-1",
            purpose="The version of the format, not of the product",
        ),
        Field(
            name="aid",
            type="string",
            example="nms-admin",
            purpose="The product, the same for every installation",
        ),
        Field(
            name="eid",
            type="uuid",
            example="0b4f6a1e-94f5-4f0a-9d8b-1f7f2f1b7a55",
            purpose="Random, new for every event, so that a repeat is counted once",
        ),
        Field(
            name="dtm",
            type="integer",
            example="1795415412000",
            purpose="When it happened, in milliseconds",
        ),
    )


PAGE_VIEW = DataPoint(
    name="page_view",
    label="Page view",
    trigger="Somebody opens a page of this console",
    purpose="Which pages are used, and in which order",
    since="0.1.0",
    fields=(
        *_envelope("pv", "A page view"),
        Field(
            name="page",
            type="string",
            example="ui-web-analytics",
            purpose="The name of the page gone to, never its address",
        ),
        Field(
            name="refr",
            type="string",
            example="ui-license",
            purpose="The name of the page come from; left out when there is none",
        ),
    ),
)
CLICK = DataPoint(
    name="click",
    label="Click",
    trigger="Somebody selects a link or button that bears a fixed name",
    purpose="Which controls are used",
    since="0.1.0",
    fields=(
        *_envelope("se", "An event on a page"),
        Field(name="se_ca", type="string", example="click", purpose="Always click"),
        Field(
            name="se_ac",
            type="string",
            example="nav:web-analytics",
            purpose="The fixed name of the control",
        ),
        Field(
            name="se_la",
            type="string",
            example="ui-license",
            purpose="The name of the page it is on",
        ),
    ),
)
POINTS = (PAGE_VIEW, CLICK)
DIGEST = digest(POINTS)
CONSTANT = ("e", "p", "tv", "aid", "se_ca")  # always what their example says
PATH = "/com.snowplowanalytics.snowplow/tp2"
SCHEMA = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


def names() -> list[str]:
    """Return every field as ``point.field``, in the order of the catalogue."""
    return [f"{point.name}.{field.name}" for point, field in _fields()]


def allowed(accepted: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what a browser may send: each point with its accepted fields.

    Args:
        accepted: ``point.field`` names; those no longer in the catalogue are ignored.

    Returns:
        ``{point: {field: value}}``; the value of a field that is always the same,
        else an empty text. A point without an accepted field is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for point, field in _fields():
        if f"{point.name}.{field.name}" in accepted:
            value = field.example if field.name in CONSTANT else ""
            found.setdefault(point.name, {})[field.name] = value
    return found


def new_fields(accepted: Collection[str]) -> list[str]:
    """Return the ``point.field`` names nobody has accepted yet."""
    return [name for name in names() if name not in accepted]


def sample(point: DataPoint) -> dict[str, str]:
    """Return an event as a browser would send it, made of the examples."""
    return {field.name: field.example for field in point.fields}


def _fields() -> Iterator[tuple[DataPoint, Field]]:
    return ((point, field) for point in POINTS for field in point.fields)
