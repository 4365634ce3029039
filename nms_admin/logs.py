"""Logs: one JSON object a line on stderr, with what looks like a secret taken out."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog
from django.db.utils import InterfaceError, OperationalError

from common import repeats

_SECRETS = re.compile(
    r"eyJ[\w-]{8,}(?:\.[\w-]*){1,2}"  # tokens
    r"|(?i:\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}"  # Authorization headers
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in addresses
    r"|(?<=/welcome/)[^\s'\"/>]+"  # one-time links
)


def without_secrets(text: str) -> str:
    """Return ``text`` with tokens, Authorization values, URL passwords, links masked.

    Example:
        >>> without_secrets("proxy http://ada:pw@proxy.example refused")
        'proxy http://[removed]@proxy.example refused'
    """
    return _SECRETS.sub("[removed]", text)


def _mask(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _masked(value)
    return event


def _masked(value: Any) -> Any:
    """Return a value as it may stand in a line; objects as their masked ``repr``."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {without_secrets(str(key)): _masked(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_masked(one) for one in value]
    return without_secrets(value if isinstance(value, str) else repr(value))


def sums_up(record: logging.LogRecord) -> bool:
    """Let tasks that find no database say so at first, and then ever more rarely.

    They are asked for every few seconds: each would leave a page of traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, InterfaceError | OperationalError):
        return True
    record.exc_info = record.exc_text = None
    record.__dict__.pop("data", None)  # Celery's: the traceback once more
    record.__dict__["times"] = repeats.again("database")
    return bool(record.__dict__["times"])


def config(level: str) -> dict[str, Any]:
    """Return Django's LOGGING for ``level`` and set structlog up the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *shared],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _mask,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "filters": {"sums up": {"()": lambda: sums_up}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "celery": {"level": "WARNING"},  # not a line for every task
            "celery.app.trace": {"filters": ["sums up"]},
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
        },
    }
