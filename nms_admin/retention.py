"""How long every table keeps what it holds, what bounds it, and who deletes it.

``TABLES`` is the one place that says so: a model that is not in it fails the tests, and
docs/operations.md shows the same table. ``prune`` deletes what no app deletes itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.db.models import Model

from common.pruning import delete_some
from nms_admin import sessions

PERIOD = "NMS_RETENTION_DAYS (400)"
PERSON = "until a person removes it"
ALWAYS = "always"


@dataclass(frozen=True)
class Kept:
    """How long rows stay and what bounds their number.

    ``field`` is set when ``prune`` deletes the rows: it names the day or moment from
    which their time counts; ``at_once`` deletes as soon as that moment has passed.
    """

    how_long: str
    bound: str
    field: str = ""
    at_once: bool = False


def _count(field: str = "day") -> Kept:
    return Kept(PERIOD, "one row a day and reason", field)


TABLES = {
    "analytics.Acknowledgement": Kept(ALWAYS, "one row a version"),
    "analytics.Blocked": _count(),
    "analytics.Choice": Kept(ALWAYS, "one row an answer"),
    "analytics.NoticeShown": Kept(ALWAYS, "one row a notice and version"),
    "audit.Check": Kept(ALWAYS, "one row"),
    "audit.Head": Kept(ALWAYS, "one row"),
    "audit.Record": Kept(
        ALWAYS, "one row a decision or try; failed sign-ins one a name and minute"
    ),
    "auth.Group": Kept(ALWAYS, "not used"),
    "auth.Group_permissions": Kept(ALWAYS, "not used"),
    "auth.Permission": Kept(ALWAYS, "four rows a model"),
    "axes.AccessAttempt": Kept("15 minutes", "one row a name and address"),
    "axes.AccessAttemptExpiration": Kept("with its AccessAttempt", "one row each"),
    "axes.AccessFailureLog": Kept(PERIOD, "one row a lock", "attempt_time"),
    "axes.AccessLog": Kept(PERIOD, "one row a sign-in", "attempt_time"),
    "common.Setup": Kept(ALWAYS, "one row"),
    "contenttypes.ContentType": Kept(ALWAYS, "one row a model"),
    "dataplanes.AgentToken": Kept(PERSON, "one row a token"),
    "dataplanes.DataPlane": Kept(PERSON, "one row an NGINX instance"),
    "dataplanes.Refusals": _count(),
    "egress.Attempt": Kept(PERIOD, "about 40 a day and host in an outage"),
    "egress.CheckRun": Kept("the newest runs", "a fixed number of rows"),
    "egress.Gate": Kept(ALWAYS, "one row a host of the settings"),
    "egress.Pause": Kept("until it is lifted", "one row a destination"),
    "licensing.ConnectionChoice": Kept(ALWAYS, "one row an answer"),
    "licensing.Entitlement": Kept("with its license", "at most what the license names"),
    "licensing.FetchedKeys": Kept(ALWAYS, "one row"),
    "licensing.License": Kept(ALWAYS, "one row a license that was added"),
    "licensing.TerminateNotice": Kept("with its license", "one row a license"),
    "nms_admin.Message": Kept(
        "until acknowledged or expired", "one row a task", "expires_at", at_once=True
    ),
    "nms_admin.Session": Kept("12 hours, 30 minutes idle", "one row a browser"),
    "nms_admin.Snooze": Kept(
        "7 days", "one row a user and stage", "until", at_once=True
    ),
    "nms_admin.User": Kept(ALWAYS, "one row a person; they are deactivated"),
    "nms_admin.User_groups": Kept(ALWAYS, "not used"),
    "nms_admin.User_user_permissions": Kept(ALWAYS, "not used"),
    "telemetry.Batch": Kept(
        f"unsent until its newest event is 30 days old, settled {PERIOD}",
        "500 events of 24 hours a row where they fit",
    ),
    "telemetry.DailyCount": Kept(ALWAYS, "one row a day, data point and outcome"),
    "telemetry.Event": Kept("30 days", "one row an event"),
    "telemetry.Installation": Kept(ALWAYS, "one row"),
    "telemetry.ProcessRun": Kept(PERIOD, "one row a start", "seen_at"),
    "usage.Cluster": Kept(ALWAYS, "one row a cluster"),
    "usage.ClusterDay": Kept(PERIOD, "one row a day and cluster"),
    "usage.CountedDay": Kept(ALWAYS, "one row a day"),
    "usage.Period": Kept(PERIOD, "one row an instance and period it reports"),
    "usage.Rejections": Kept(PERIOD, "one row a day and reason"),
    "usage.Report": Kept(ALWAYS, "one row a report; its answer's bytes not"),
    "usage.ReportFile": Kept(ALWAYS, "a few rows a report"),
    "usage.ReportPart": Kept(PERIOD, "the bytes of a report"),
    "usage.Reporter": Kept(ALWAYS, "one row an instance, at most 10,000"),
    "usage.Schedule": Kept(ALWAYS, "one row"),
    "usage.Total": Kept(ALWAYS, "one row a day, feature and report"),
}


def prune(now: datetime) -> int:
    """Delete what is past its time and deleted by nobody else; return how many rows.

    A portion of each table, so that no run holds a lock for long.
    """
    dated = ((label, kept) for label, kept in TABLES.items() if kept.field)
    return sessions.prune(now=now) + sum(_prune(*one, now) for one in dated)


def table() -> str:
    """Return the table of docs/operations.md."""
    lines = [f"| `{name}` | {k.how_long} | {k.bound} |" for name, k in TABLES.items()]
    return "\n".join(["| table | kept | bounded by |", "|---|---|---|", *lines])


def _prune(label: str, kept: Kept, now: datetime) -> int:
    model: type[Model] = apps.get_model(label)
    days = 0 if kept.at_once else settings.NMS_RETENTION_DAYS
    limit = now - timedelta(days=days)
    dated = model._meta.get_field(kept.field).get_internal_type() == "DateField"
    before = limit.date() if dated else limit
    rows = model._default_manager.filter(**{f"{kept.field}__lt": before})
    return delete_some(rows)
