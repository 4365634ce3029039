"""Show moments, sizes, identifiers, icons, fields and plots the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TypedDict

from django import template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

PLOT_HEIGHT = 148
PLOT_STEP = 100
PLOT_BAR = 48


@register.simple_tag
def icon(name: str, size: str = "", **extra: str) -> SafeString:
    """Draw one icon of the sprite; it is hidden from screen readers.

    Args:
        name: A name of the sprite; the build collects those that templates use.
        size: ``sm`` (16 px), ``lg`` (24 px), or empty for 18 px.
        extra: ``class`` adds classes, as in ``{% icon "check" class="n-good" %}``.
    """
    return _icon(name, size, extra.get("class", ""))


@register.simple_tag
def control(field: BoundField, **attrs: str) -> SafeString:
    """Draw the input of a form field with our classes and its ARIA attributes."""
    kind = input_type(field)
    classes = {"select": "form-select", "checkbox": "", "radio": ""}
    given: dict[str, str | bool] = {**attrs}
    if own := classes.get(kind, "form-control"):
        given["class"] = f"{own} {attrs.get('class', '')}".strip()
    return field.as_widget(attrs=given)


@register.filter
def input_type(field: BoundField) -> str:
    """Return the kind of input a form field has: ``password``, ``checkbox``, …"""
    return str(getattr(field.field.widget, "input_type", "textarea"))


@register.filter
def utc(value: datetime | None) -> str:
    """Show a moment as ``23 Nov 2026, 06:31 UTC``; empty for None.

    Who has chosen another time zone finds the moment in it in the title.
    """
    if value is None:
        return ""
    text = f"{utc_day_text(value)}, {value.astimezone(UTC):%H:%M} UTC"
    zone, local = timezone.get_current_timezone_name(), timezone.localtime(value)
    if zone == "UTC":
        return _time(value.astimezone(UTC), text)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        _stamp(value.astimezone(UTC)),
        f"{local.day} {local:%b %Y, %H:%M} {zone}",
        text,
    )


@register.filter
def utc_day(value: date | None) -> str:
    """Show a day, or the UTC day of a moment, as ``23 Nov 2026``; empty for None."""
    if value is None:
        return ""
    day = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return _time(day, utc_day_text(day))


@register.filter
def utc_time(value: datetime | None) -> str:
    """Show the time of a moment as ``06:31 UTC``, the whole moment in its title."""
    if value is None:
        return ""
    at = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{} UTC</time>',
        _stamp(at),
        utc_day_text(at),
        f"{at:%H:%M}",
    )


@register.filter
def next_try(value: datetime | None, form: str = "") -> str:
    """Show when something is tried again: ``at 23 Nov 2026, 06:31 UTC``, or ``now``.

    A moment that passed is never announced: a worker tries it, or the next sweep does.

    Args:
        form: ``time`` leaves the day to the title.
    """
    if value is None or value <= timezone.now():
        return "now"
    return format_html("at {}", utc_time(value) if form == "time" else utc(value))


@register.filter
def ago(value: datetime | None) -> str:
    """Show how far a moment lies from now: ``18 h ago``, ``in 6 min``, ``just now``.

    The exact moment is in the title; a page shows it beside this as well.
    """
    if value is None:
        return ""
    at = value.astimezone(UTC)
    away = timezone.now() - at
    near = _span(abs(away))
    text = (
        "just now"
        if not near
        else f"{near} ago"
        if away > timedelta()
        else f"in {near}"
    )
    title = f"{utc_day_text(at)}, {at:%H:%M} UTC"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', _stamp(at), title, text
    )


@register.filter
def days_left(value: date | None) -> str:
    """Show what remains until a day: ``312 days left``, ``ends today``, ``ended 3 days ago``."""
    if value is None:
        return ""
    day = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    days = (day - timezone.now().astimezone(UTC).date()).days
    if days == 0:
        return "ends today"
    count = f"{abs(days)} day{'' if abs(days) == 1 else 's'}"
    return f"{count} left" if days > 0 else f"ended {count} ago"


@register.filter(name="bytes")
def byte_size(value: int | None) -> str:
    """Show a number of bytes as ``283 bytes``, ``1.9 KB``, ``31 KB``; a KB is 1024 bytes."""
    if value is None:
        return ""
    if value < 1024:
        return f"{value} byte{'' if value == 1 else 's'}"
    size = float(value)
    for unit in ("KB", "MB", "GB", "TB"):
        size /= 1024
        if round(size) < 1024 or unit == "TB":
            break
    return f"{size:.0f} {unit}" if size >= 10 else f"{round(size, 1):g} {unit}"


@register.filter
def short_id(value: object) -> str:
    """Show the first eight characters of an identifier or digest, all of it in the title."""
    text = "" if value is None else str(value)
    return format_html('<code title="{}">{}</code>', text, text[:8]) if text else ""


@register.filter
def number(value: int | None) -> str:
    """Show a whole number with thin spaces between thousands: ``1 204``."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


class Series(TypedDict):
    """One colour of a plot: its kind (``ok``, ``held``, ``bad``, ``info``), name, counts."""

    kind: str
    name: str
    counts: Sequence[int]


FEATURES = {
    "NGINX_INSTANCES": "NGINX instances",
    "NGINX_NAP": "F5 WAF for NGINX",
    "NGINX_NAP_DOS": "F5 DoS for NGINX",
    "IM_INSTANCES": "Instance Manager instances",
    "IC_PODS": "Ingress Controller pods",
    "IC_K8S_NODES": "Kubernetes nodes",
    "SUCCESSFUL_API_CALLS_MILLIONS": "Successful API calls (millions)",
    "DATA_PER_HOUR_GB": "Data per hour (GB)",
}


@register.filter
def feature_name(code: str) -> str:
    """Return what people call an entitlement; nothing when only its code is known."""
    return FEATURES.get(code, "")


@register.inclusion_tag("components/_bars.html")
def bars(
    label: str, days: Sequence[date], series: Sequence[Series]
) -> dict[str, object]:
    """Draw counts per day as stacked bars, with the same numbers as a table.

    Args:
        label: The whole picture in one sentence, for those who cannot see it.
        days: In order, without gaps; at least one.
        series: From the bottom up; each has one count per day.
    """
    sums = [sum(counts) for counts in zip(*(s["counts"] for s in series), strict=True)]
    top = round_top(max(sums, default=0))
    rects: list[dict[str, object]] = []
    for at in range(len(days)):
        below = 0
        for one in series:
            if count := one["counts"][at]:
                below += count
                rects.append(_rect(at, count, below, top, one["kind"]))
    steps = sorted({round(part * (len(days) - 1) / 3) for part in range(4)})
    return {
        "label": label,
        "width": len(days) * PLOT_STEP,
        "rects": rects,
        "axis": [top, top // 2, 0],
        "marks": [f"{days[at].day} {days[at]:%b}" for at in steps],
        "series": series,
        "rows": [
            {"day": day, "counts": [one["counts"][at] for one in series]}
            for at, day in enumerate(days)
        ],
    }


def round_top(largest: int) -> int:
    """Return the even, round number a plot's scale ends at; at least 4.

    Example:
        >>> [round_top(n) for n in (0, 3, 7, 34, 150)]
        [4, 4, 8, 40, 200]
    """
    if largest <= 4:
        return 4
    power = int("1".ljust(len(str(largest)), "0"))
    steps = (1, 2, 4, 6, 8, 10) if power > 1 else (6, 8, 10)
    return next(step * power for step in steps if step * power >= largest)


def utc_day_text(value: date) -> str:
    """Return a day as plain text, ``3 Nov 2026``; a moment's day is the UTC one."""
    day = value.astimezone(UTC) if isinstance(value, datetime) else value
    return f"{day.day} {day:%b %Y}"


@lru_cache(maxsize=512)
def _icon(name: str, size: str, more: str) -> SafeString:
    """Return the same icon again: its sprite has one address for each release."""
    classes = ["n-ic", f"n-ic-{size}" if size else "", more]
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false">'
        '<use href="{}#{}"/></svg>',
        " ".join(filter(None, classes)),
        static("build/icons.svg"),
        name,
    )


def _rect(at: int, count: int, below: int, top: int, kind: str) -> dict[str, object]:
    """Return the box of one part of a bar; ``below`` includes the part itself."""
    return {
        "kind": kind,
        "x": at * PLOT_STEP + (PLOT_STEP - PLOT_BAR) // 2,
        "width": PLOT_BAR,
        "y": f"{PLOT_HEIGHT * (1 - below / top):.1f}",
        "height": f"{PLOT_HEIGHT * count / top:.1f}",
    }


def _span(length: timedelta) -> str:
    """Return the length in its largest whole unit, or nothing below a minute."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return ""
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h"
    return f"{hours // 24} days"


def _stamp(value: date) -> str:
    """Return a day or moment for a ``datetime`` attribute."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.isoformat()


def _time(value: date, text: str) -> SafeString:
    """Return a ``<time>`` element."""
    return format_html('<time datetime="{}">{}</time>', _stamp(value), text)
