"""``python -m project prepare``, ``capture``, or a management command of a library.

``capture`` reads lines ``VARIANT TIMES`` and answers each with the seconds it took.
"""

from __future__ import annotations

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from django.core.management import call_command, execute_from_command_line  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402
from project import ordered, outbox, plain  # noqa: E402
from project.models import Business  # noqa: E402
from project.sending import event  # noqa: E402

CAPTURE = {
    "bare": lambda: None,
    "plain": lambda: plain.post.delay(event()),
    "outbox": lambda: outbox.post.delay(event()),
    "ordered": lambda: ordered.post(event()),
}


def prepare() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Business)


def capture() -> None:
    """Capture so many times, each in a transaction with a business row."""
    for line in sys.stdin:
        variant, times = line.split()
        keep = CAPTURE[variant]
        failed = 0
        began = time.perf_counter()
        for _ in range(int(times)):
            with transaction.atomic():
                Business.objects.create(a=1, b="x")
                try:
                    keep()
                except OperationalError:
                    failed += 1
        print(time.perf_counter() - began, failed, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    elif sys.argv[1] == "capture":
        capture()
    else:
        execute_from_command_line(sys.argv)
