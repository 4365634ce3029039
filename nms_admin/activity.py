"""Records of the audit chain as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit.models import Record

SENTENCES = {
    "agent_token.issued": "{actor} issued the agent token {subject}",
    "agent_token.revoked": "{actor} revoked the agent token {subject}",
    "connection.off": "{actor} turned Continuous Connection off",
    "connection.on": "{actor} turned Continuous Connection on",
    "connectivity.checked": "{actor} ran the connectivity checks",
    "data_plane.removed": "{actor} removed the data plane {subject}",
    "delivery.sent": "This server sent something out",
    "interaction-data.off": "{actor} turned interaction data off for all users",
    "interaction-data.on": "{actor} turned interaction data on for all users",
    "license.applied": "{actor} added the license {subject}",
    "license.replaced": "{actor} replaced the license with {subject}",
    "license.terminated": "{actor} terminated the license {subject}",
    "license.verified": "The license {subject} was checked with new keys",
    "setup.claimed": "{actor} began the set-up",
    "setup.finished": "{actor} finished the set-up",
    "setup.operation_mode": "{actor} set the operation mode",
    "telemetry.batch_discarded": "{actor} discarded a refused batch",
    "telemetry.batch_retried": "{actor} asked to send a refused batch again",
    "telemetry.held_deleted": "{actor} deleted the held events",
    "usage.report_built": "A usage report was built",
    "usage.report_downloaded": "{actor} downloaded a usage report",
    "usage.report_selected": "{actor} sent usage to F5",
    "user.activated": "{actor} activated {subject}",
    "user.added": "{actor} added the user {subject}",
    "user.deactivated": "{actor} deactivated {subject}",
    "user.link_made": "{actor} made a one-time link for {subject}",
    "user.locked": "{subject} is locked after too many tries",
    "user.password_set": "{subject} has a new password",
    "user.role_changed": "{actor} changed the role of {subject}",
    "user.sessions_ended": "{actor} ended the sessions of {subject}",
    "user.sign_in_failed": "A sign-in as {subject} failed",
    "user.signed_in": "{actor} signed in",
    "user.signed_out": "{actor} signed out",
    "user.unlocked": "{actor} unlocked {subject}",
}


@dataclass(frozen=True)
class Line:
    """One thing that was done, for people."""

    at: datetime
    sentence: str


def line(record: Record) -> Line:
    """Return a record as a sentence; unknown actions show their code."""
    form = SENTENCES.get(record.action, "{actor}: {action} {subject}")
    sentence = form.format(
        actor=record.actor, subject=record.subject, action=record.action
    )
    return Line(record.at, sentence.strip())
