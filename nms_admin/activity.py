"""Records of the audit chain as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit.models import Record
from common.models import Via
from nms_admin.lockout import VIA_SIGN_IN

SENTENCES = {
    "audit.exported": "{actor} exported the audit log",
    "agent_token.issued": "{actor} issued the agent token {subject}",
    "agent_token.revoked": "{actor} revoked the agent token {subject}",
    "backup.made": "{actor} made a backup with the keys",
    "backup.restored": "{actor} restored the backup {subject}",
    "connection.off": "{actor} turned Continuous Connection off",
    "connection.on": "{actor} turned Continuous Connection on",
    "connectivity.checked": "{actor} ran the connectivity checks",
    "data_plane.removed": "{actor} removed the data plane {subject}",
    "delivery.sent": "This server began {what}",
    "interaction-data.off": "{actor} turned interaction data off for all users",
    "interaction-data.on": "{actor} turned interaction data on for all users",
    "keys.changed": "Other license keys came from {subject}",
    "license.applied": "{actor} added the license {subject}",
    "license.entitlements_changed": "The license {subject} entitles to something else now",
    "license.replaced": "{actor} replaced the license with {subject}",
    "license.terminated": "{actor} terminated the license {subject}",
    "license.verified": "The license {subject} was checked with new keys",
    "own_keys.dropped": "{actor} dropped the old keys of this server",
    "own_keys.rotated": "{actor} put new keys of this server in force",
    "policy.changed": "The policy file changed what it says about {subject}",
    "setup.claimed": "{actor} began the set-up",
    "setup.finished": "{actor} finished the set-up",
    "setup.operation_mode": "{actor} set the operation mode",
    "support.bundle_downloaded": "{actor} downloaded the support bundle",
    "telemetry.batch_discarded": "{actor} discarded a refused batch",
    "telemetry.batch_retried": "{actor} asked to send a refused batch again",
    "telemetry.held_deleted": "{actor} deleted the held events",
    "telemetry.ledger_exported": "{actor} exported the delivery ledger",
    "usage.acknowledgement_downloaded": "{actor} downloaded an acknowledgement",
    "usage.acknowledged": "{actor} uploaded the acknowledgement of a usage report",
    "usage.credentials_downloaded": "{actor} downloaded a usage report with the license",
    "usage.report_built": "A usage report was built",
    "usage.report_downloaded": "{actor} downloaded a usage report",
    "usage.report_selected": "{actor} selected Send Usage to F5",
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
# The kind of a call -> what began; how it ended stands in the ledger.
CALLS = {
    "batch": "to send a batch of events",
    "entitlements": "to ask for the entitlements",
    "keys": "to ask for the license keys",
    "report": "a call about a usage report",
}
# The key of a group in the filter -> what people call it, and the areas in it.
GROUPS = {
    "license": ("License", ("license", "keys")),
    "choices": ("Choices", ("connection", "interaction-data", "policy")),
    "users": ("Users and sign-ins", ("user",)),
    "deliveries": ("Deliveries and checks", ("delivery", "telemetry", "connectivity")),
    "reports": ("Usage reports", ("usage",)),
    "exports": ("Exports and backups", ("audit", "backup")),
    "data-planes": ("Data planes", ("data_plane", "agent_token")),
    "setup": ("Set-up and keys", ("setup", "own_keys")),
}
FROM = {
    Via.WIZARD: "Set-up",
    Via.NOTICE: "Privacy notice",
    Via.USER_MENU: "User menu",
    Via.SETTINGS: "Settings",
    Via.API: "API",
    Via.COMMAND: "Command",
    Via.SYSTEM: "System",
    VIA_SIGN_IN: "Sign-in page",
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
        actor=record.actor,
        subject=record.subject,
        action=record.action,
        what=CALLS.get(record.subject.partition(" ")[0], "a call"),
    )
    return Line(record.at, sentence.strip())


def deed(record: Record) -> str:
    """Return the sentence without who did it: ``Turned Continuous Connection off``."""
    said = line(record).sentence
    rest = said.removeprefix(f"{record.actor} ")
    return said if rest == said else rest[:1].upper() + rest[1:]


def origin(record: Record) -> str:
    """Return through what it was done, for people."""
    return FROM.get(record.via, record.via)


def group_of(action: str) -> str:
    """Return the key of the group an action belongs to; empty when it has none."""
    if action.endswith(("exported", "downloaded")):
        return "exports"
    area = action.partition(".")[0]
    return next((key for key, (_, areas) in GROUPS.items() if area in areas), "")


def actions_in(group: str) -> tuple[str, ...]:
    """Return the actions of a group."""
    return tuple(action for action in SENTENCES if group_of(action) == group)
