"""What an administrator should look at, each with where to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from audit import checking
from common.access import may
from common.roles import Role
from egress import destinations
from egress.models import Pause
from licensing import connection, keys, stories
from licensing import services as licensing
from licensing.keys import Held
from licensing.models import License
from nms_admin import health_hosts, health_processes, license_keys, notices
from nms_admin.health_processes import ALIVE_FOR, NEEDED
from nms_admin.models import User
from telemetry.delivery import DESTINATION
from telemetry.models import Batch, ProcessRun
from usage import delivery as usage
from usage import ledger
from usage.models import Report


@dataclass(frozen=True)
class Note:
    """One thing to look at: what happened, what still works, where to go."""

    kind: str  # "info", "warn" or "bad"
    title: str
    body: str
    url: str
    label: str
    stage: str = ""  # of a staged notice: administrators only, and they may hide it


def notes(
    standing: licensing.Standing, now: datetime, user: User | None = None
) -> list[Note]:
    """Return what needs attention now, the gravest first; empty when nothing does.

    Args:
        standing: The license and how it stands.
        now: The moment.
        user: Who looks; staged notices are for administrators who did not hide them.
    """
    found = [
        *(n for n in _license(standing, now) if _wanted(n.stage, user, now)),
        *(n for n in _due(standing, now) if _wanted(n.stage, user, now)),
        *_restored(),
        *_delivery(),
        *_hosts(standing, now),
        *_reports(),
        *_processes(now),
        *_chain(),
    ]
    grave = ("bad", "warn", "info")
    return sorted(found, key=lambda note: grave.index(note.kind))


def alive(now: datetime) -> set[str]:
    """Return the named processes that were seen in the last three minutes."""
    running = ProcessRun.objects.filter(stopped_at=None, seen_at__gt=now - ALIVE_FOR)
    return set(running.values_list("name", flat=True))


def license_story(
    standing: licensing.Standing, held: Held, now: datetime
) -> stories.Story | None:
    """Return what is to be said about the license; None when all is well."""
    found = standing.license
    if known := licensing.clock_ran_back(found, now):
        return stories.clock_story(known, now)
    if found and found.kind == License.Kind.SMIME:
        return stories.smime_story(found.subscription_id)
    wrong = found.check_error if found else ""
    missing = held.key_set.problem
    said = stories.story(
        standing.state,
        check_error=wrong,
        no_keys=missing,
        now=now,
        refreshed=standing.connected and destinations.find("entitlements") is not None,
    )
    return said or (license_keys.story(held, now) if found else None)


def _license(standing: licensing.Standing, now: datetime) -> list[Note]:
    url = reverse("ui-license")
    if standing.license is None:
        title, body = (
            "No license yet",
            "Events are held on this server until one is added.",
        )
        return [Note("info", title, body, url, "Add a license")]
    story = license_story(standing, keys.held(), now)
    if story is None:
        return []
    stage = notices.license_stage(standing.state)
    return [Note(story.kind, story.title, story.body, url, "View license", stage)]


def _due(standing: licensing.Standing, now: datetime) -> list[Note]:
    due = ledger.report_by(ledger.last_accepted(), standing)
    said = notices.report_notice(due, now, by_hand=not standing.connected)
    if said is None:
        return []
    url = reverse("ui-license")
    return [Note(said.kind, said.title, said.body, url, "View license", said.stage)]


def _wanted(stage: str, user: User | None, now: datetime) -> bool:
    if not stage or user is None:
        return True
    return may(user, Role.ADMINISTRATOR) and stage not in notices.snoozed(user, now)


def restored() -> bool:
    """Return whether Continuous Connection waits for an answer since a restore."""
    return connection.restored(connection.choice())


def _restored() -> list[Note]:
    if not restored():
        return []
    title = "Continuous Connection is off: the database was restored"
    body = "Nothing is recorded or sent until an administrator chooses."
    return [Note("warn", title, body, reverse("ui-license"), "View license")]


def _delivery() -> list[Note]:
    found = []
    dead = Batch.objects.filter(dead_at__isnull=False, discarded_at=None).count()
    if dead:
        title = f"{dead} batch{'es' if dead > 1 else ''} of events was refused"
        body = "The receiver said no for good. Look at its answer, then send again."
        url = reverse("ui-telemetry") + "?status=refused"
        found.append(Note("bad", title, body, url, "Review"))
    if Pause.objects.filter(pk=DESTINATION).exists() or usage.stopped():
        title, body = (
            "Sending is paused",
            "The receiver refused the license. Nothing is lost.",
        )
        found.append(Note("bad", title, body, reverse("ui-license"), "View license"))
    return found


def _hosts(standing: licensing.Standing, now: datetime) -> list[Note]:
    """Return the hosts that do not answer; System health says the same of them."""
    return [
        Note(
            "warn",
            host.trouble(now),
            f"{why_silent(host)} Nothing is lost; it is tried again by itself.",
            reverse("ui-connectivity"),
            "Open Connectivity",
        )
        for host in health_hosts.hosts(now, connected=standing.connected)
        if host.trouble(now)
    ]


def why_silent(host: health_hosts.Host) -> str:
    """Return what the last call met, or what one that hangs is about."""
    if host.closed:
        return host.closed.sentence
    what = destinations.label_of(host.hanging.destination) if host.hanging else ""
    return f"A call about {what.lower()} waits for its answer, at most 80 seconds."


def _reports() -> list[Note]:
    last = Report.objects.first()
    if last is None:
        return []
    url = reverse("ui-usage-report", args=[last.pk])
    if last.left_out:
        files = last.files.count()
        title = "The usage report was accepted in part"
        body = f"{files - last.left_out} of {files} files. The rest goes into the next."
        return [Note("warn", title, body, url, "View report")]
    if last.dead_at is None or last.replaced:
        return []
    body = f"{last.dead_reason} Its usage goes into the next report."
    return [Note("bad", "The usage report was refused", body, url, "View report")]


def _processes(now: datetime) -> list[Note]:
    silent = set(NEEDED) - alive(now)
    if not silent:
        return []
    url, body = reverse("ui-health"), "Events are recorded and wait."
    starts = {one.name for one in health_processes.lines(now) if one.kind == "info"}
    found = []
    if down := sorted(silent - starts):
        title = f"Not running: {', '.join(down)}"
        todo = f"{body} Start the process, or look at its log."
        found.append(Note("bad", title, todo, url, "Open System health"))
    if coming := sorted(silent & starts):
        title = f"Starting: {', '.join(coming)}"
        found.append(Note("info", title, body, url, "Open System health"))
    return found


def _chain() -> list[Note]:
    broken = checking.state().broken_at
    if broken is None:
        return []
    return [
        Note(
            "bad",
            f"The audit chain is broken at record {broken}",
            "Records are still added. Keep a copy of the database as it is.",
            reverse("ui-audit"),
            "Open Audit log",
        )
    ]


def _day(day: object) -> str:
    return f"{day:%d %b %Y}".lstrip("0") if day else ""


def license_stat(standing: licensing.Standing) -> dict[str, str]:
    """Return kind, value and note of the license's number on Overview."""
    found, state = standing.license, standing.state
    if found is None:
        return {
            "kind": "warn",
            "value": "None yet",
            "note": "Events are held until one is added",
        }
    kinds = {"valid": "ok", "grace": "warn", "waiting": "held", "not_yet_valid": "held"}
    left = f"{state.days_left} days" if state.days_left is not None else "Active"
    values = {
        "waiting": "Waiting",
        "not_yet_valid": "Not yet",
        "expired": "Ended",
        "grace": "In grace",
    }
    until = f"ends {_day(state.ends_on)}" if state.ends_on else "no end stated"
    if state.grace_ends_on and state.phase == "grace":
        until = f"ended {_day(state.ends_on)}, grace until {_day(state.grace_ends_on)}"
    name = licensing.name_of(found)
    return {
        "kind": kinds.get(state.phase, "bad"),
        "value": values.get(state.phase, left),
        "note": f"{name}, {until}",
    }
