"""Write docs/data-points.md and docs/data-points.lock from the catalogues."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics import catalog as analytics
from common import dictionary
from telemetry import catalog as telemetry
from usage import catalog as usage

TITLES = (
    (
        "From this server to the receiver",
        "Sent only while Continuous Connection is on. One document carries up to 500 "
        "records.",
        telemetry,
    ),
    (
        "In a usage report to the receiver",
        "Sent once a day while Continuous Connection is on, and when somebody selects "
        "Send Usage to F5. One report is a ZIP of a manifest and files of records.",
        usage,
    ),
    (
        "From browsers to the collector",
        "Sent only while interaction data is collected.",
        analytics,
    ),
)


def render() -> dict[Path, str]:
    """Return the content of both files, by path."""
    parts = [
        "# Data points",
        "Everything that may leave, from the three catalogues. This page is written by "
        "`manage.py data_points --write`; `data-points.lock` holds the digest of each "
        "catalogue, so that no change goes unseen.",
    ]
    digests = {}
    for title, when, module in TITLES:
        parts += [f"## {title}", when, *dictionary.as_markdown(module.POINTS)]
        if envelope := getattr(module, "ENVELOPE", ()):
            parts += ["### Around the records", dictionary.fields_table(envelope)]
        digests[module.__name__.split(".")[0]] = {
            "version": max(point.since for point in module.POINTS),
            "sha256": dictionary.digest(module.POINTS),
        }
    docs = Path(settings.BASE_DIR) / "docs"
    return {
        docs / "data-points.md": "\n\n".join(parts) + "\n",
        docs / "data-points.lock": json.dumps(digests, indent=2) + "\n",
    }


class Command(BaseCommand):
    help = "Compare docs/data-points.* with the catalogues, or write them (--write)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        for path, text in render().items():
            if options["write"]:
                path.write_text(text)
            elif not path.exists() or path.read_text() != text:
                raise CommandError(
                    f"{path.name} is not what the catalogues say: look at the change, "
                    "then run manage.py data_points --write."
                )
