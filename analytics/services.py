"""The choice for all users, the notice, and what one browser may send."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.http import HttpRequest

from analytics import catalog
from analytics.errors import AnsweredMeanwhile, ChoiceLocked
from analytics.models import Acknowledgement, Blocked, Choice, NoticeShown
from analytics.states import Facts, Origins, Verdict, verdict, why
from audit import services as audit
from common import choices, locks, setup
from common.models import Setup, Via
from common.reasons import Reason
from common.roles import Role

RESTORED = "database restored"
_SAW_NO_NOTICE = (Via.API, Via.COMMAND, Via.SYSTEM)


@dataclass(frozen=True)
class Banner:
    """What the privacy banner has to say to administrators.

    ``new`` fields stay off until somebody answers; ``gone`` ones are sent no more.
    """

    state: str  # "first", "ask", "restored", "kept" or "changed"
    choice: Choice | None
    version: str
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it wants an answer; else it only tells, and goes when it was read."""
        if self.choice is None or self.state == "restored":
            return True
        return self.choice.value and bool(self.new)


def choice() -> Choice | None:
    """Return the decision in force; None when nobody has decided."""
    newest = Choice.objects.first()
    if newest:
        choices.remember(choices.INTERACTION_DATA, newest.pk, newest.value)
    return newest


def choice_of(request: HttpRequest) -> Choice | None:
    """Return the decision in force, read from the database once for a request."""
    if not hasattr(request, "interaction_choice_row"):
        request.interaction_choice_row = choice()  # type: ignore[attr-defined]
    row: Choice | None = request.interaction_choice_row  # type: ignore[attr-defined]
    return row


def is_on() -> bool | None:
    """Return the choice for all users as shown; None when nobody has chosen yet."""
    return shown_as(choice())


def shown_as(newest: Choice | None) -> bool | None:
    """Return how a decision is shown; None when nobody has chosen yet.

    Unanswered counts as on in opt-out mode, though nothing is sent before an
    administrator has seen the notice.
    """
    if locks.against(locks.INTERACTION_DATA, True):
        return False
    if newest:
        return newest.value
    return True if settings.NMS_ANALYTICS_MODE == "opt-out" else None


def accepted_fields(newest: Choice | None) -> list[str]:
    """Return the ``point.field`` names accepted: by the decision, else first shown."""
    if newest:
        return list(newest.accepted)
    return list(NoticeShown.objects.values_list("fields", flat=True).first() or [])


def is_collecting(request: HttpRequest) -> Verdict:
    """Return whether this request's browser may send, with the reason that decides.

    Read from the database once for a request; true only for a page of the console
    that a signed-in user has open.
    """
    if not hasattr(request, "interaction_verdict"):
        request.interaction_verdict = verdict(_facts(request))  # type: ignore[attr-defined]
    known: Verdict = request.interaction_verdict  # type: ignore[attr-defined]
    return known


def verdict_for_person(request: HttpRequest) -> Verdict:
    """Return what applies to this person's browser on the pages of the console."""
    return verdict(_facts(request, console_page=True))


def why_for_person(request: HttpRequest) -> list[Reason]:
    """Return everything that has a say about this person's browser; one decides."""
    return why(_facts(request, console_page=True), _origins(choice_of(request)))


def why_for_all() -> list[Reason]:
    """Return everything that has a say about all browsers: none objects, all sign in."""
    newest = choice()
    facts = Facts(
        **_facts_for_all(newest, None),
        gpc=False,
        dnt=False,
        objected=False,
        signed_in=True,
        console_page=True,
    )
    own = ("This browser", "You", "This page")
    return [one for one in why(facts, _origins(newest)) if one.name not in own]


def allowed_fields(newest: Choice | None) -> dict[str, dict[str, str]]:
    """Return what a browser may send: ``{point: {field: fixed value or ""}}``."""
    return catalog.allowed(accepted_fields(newest))


def set_choice(
    *,
    collect: bool,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
    expected: int | None = None,
    reason: str = "",
) -> Choice:
    """Decide for all users; the audit record is written in the same transaction.

    The same answer again adds nothing, unless it answers something new: a restored
    database, or fields nobody has accepted yet.

    Args:
        collect: Whether browsers may send interaction data.
        by: User name of the administrator.
        via: One of ``common.models.Via``.
        now: The moment of the decision.
        address: The administrator's IP address, for the audit record only.
        expected: Number of the decision the page showed (0: none); None: any.
        reason: What made this server decide; empty for a person.

    Returns:
        The decision in force.

    Raises:
        AnsweredMeanwhile: Another one than ``expected`` is in force and differs.
        ChoiceLocked: DO_NOT_TRACK or the policy file says otherwise.
    """
    if lock := locks.against(locks.INTERACTION_DATA, collect):
        state = "on" if lock.on else "off"
        raise ChoiceLocked(f"{lock.sentence}, so interaction data stays {state}.")
    newest = choice()
    if newest and newest.value == collect and not _open_question(newest):
        return newest
    if expected is not None and expected != (newest.pk if newest else 0):
        raise AnsweredMeanwhile("Somebody else has answered meanwhile.")
    return _append(
        newest.pk + 1 if newest else 1,
        value=collect,
        decided_at=now,
        decided_by=by,
        via=via,
        reason=reason,
        accepted=catalog.names(),
        version="" if collect and via in _SAW_NO_NOTICE else settings.VERSION,
        address=address,
    )


def check_restore(now: datetime) -> bool:
    """Turn interaction data off when the database is older than choices.json.

    Called at start. Every host that remembers a newer decision obeys it, and
    administrators see a banner until one of them answers.

    Returns:
        Whether the database was older.
    """
    newest = Choice.objects.first()
    number = newest.pk if newest else 0
    value = newest.value if newest else None
    if not choices.is_older(choices.INTERACTION_DATA, number, value):
        choices.remember(choices.INTERACTION_DATA, number, bool(value))
        return False
    _append(
        choices.next_number(choices.INTERACTION_DATA, number),
        value=False,
        decided_at=now,
        decided_by=audit.NOBODY,
        via=Via.SYSTEM,
        reason=RESTORED,
        accepted=newest.accepted if newest else [],
        version=newest.version if newest else "",
    )
    return True


def banner(newest: Choice | None) -> Banner | None:
    """Return what administrators have to be told now; None when nothing.

    Args:
        newest: The decision in force; None when nobody has decided.
    """
    version = settings.VERSION
    if locks.against(locks.INTERACTION_DATA, True):
        return None
    if newest is None and settings.NMS_ANALYTICS_MODE == "opt-in":
        return Banner("ask", None, version)
    if newest is None:
        accepted = accepted_fields(None)
        return Banner("first", None, version, *_difference(accepted or catalog.names()))
    if _restored(newest):
        return Banner("restored", newest, version)
    if newest.version == version or _is_acknowledged(version):
        return None
    new, gone = _difference(newest.accepted)
    same = newest.notice == catalog.DIGEST and not new
    return Banner("kept" if same else "changed", newest, version, new, gone)


def notice_rendered(*, to: str, now: datetime) -> None:
    """Keep that the notice was rendered to an administrator; only the first counts."""
    version = settings.VERSION
    if not NoticeShown.objects.filter(notice=catalog.DIGEST, version=version).exists():
        NoticeShown.objects.get_or_create(
            notice=catalog.DIGEST,
            version=version,
            defaults={"fields": catalog.names(), "shown_at": now, "shown_to": to},
        )


def acknowledge(*, by: str, now: datetime) -> None:
    """Keep that the notice of this version was read; the choice stays as it is."""
    Acknowledgement.objects.get_or_create(
        version=settings.VERSION,
        defaults={"acknowledged_at": now, "acknowledged_by": by},
    )


def count_blocked(directive: str, *, now: datetime) -> None:
    """Count one thing a browser refused to load or send because of our policy."""
    day = now.date()
    Blocked.objects.get_or_create(day=day, directive=directive)
    Blocked.objects.filter(day=day, directive=directive).update(count=F("count") + 1)


def set_objection(user_id: int, leave_out: bool, *, now: datetime) -> None:
    """Leave one user's browsers out, or no longer; it never turns anything on.

    A person's own wish is no decision for the installation: nothing about it is
    written into the audit log, where an employer could list who objected.
    """
    at = now if leave_out else None
    get_user_model().objects.filter(pk=user_id).update(interaction_data_objected_at=at)


def has_objected(request: HttpRequest) -> bool:
    """Return whether the user of this request asked to be left out."""
    return bool(getattr(request.user, "interaction_data_objected_at", None))


def administrators() -> list[str]:
    """Return the user names of those who may change the choice, in order."""
    users = get_user_model().objects.filter(is_active=True, role=Role.ADMINISTRATOR)
    return list(users.order_by("username").values_list("username", flat=True))


def changes() -> list[Choice]:
    """Return the newest decisions, at most twenty, the newest first."""
    return list(Choice.objects.all()[:20])


def blocked_count(since: datetime) -> int:
    """Return how much browsers refused because of our policy since a moment's day."""
    total = Blocked.objects.filter(day__gte=since.date()).aggregate(sum=Sum("count"))
    return total["sum"] or 0


def _append(number: int, *, address: str = "", **values: object) -> Choice:
    """Add the decision with this number, or say that somebody else has it."""
    try:
        with transaction.atomic():
            added = Choice.objects.create(pk=number, notice=catalog.DIGEST, **values)
            audit.record(
                f"interaction-data.{'on' if added.value else 'off'}",
                now=added.decided_at,
                actor=added.decided_by,
                via=added.via,
                address=address,
                details={
                    "number": number,
                    "notice": added.notice,
                    "version": settings.VERSION,
                    **({"reason": added.reason} if added.reason else {}),
                },
            )
            transaction.on_commit(
                lambda: choices.remember(choices.INTERACTION_DATA, number, added.value)
            )
    except IntegrityError as error:
        raise AnsweredMeanwhile("Somebody else has answered meanwhile.") from error
    return added


def _is_acknowledged(version: str) -> bool:
    return Acknowledgement.objects.filter(version=version).exists()


def _restored(newest: Choice) -> bool:
    return newest.via == Via.SYSTEM and newest.reason == RESTORED


def _difference(accepted: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields nobody accepted yet, and those no longer in the catalogue."""
    names = catalog.names()
    gone = (name for name in accepted if name not in names)
    return tuple(catalog.new_fields(accepted)), tuple(gone)


def _open_question(newest: Choice) -> bool:
    return _restored(newest) or bool(catalog.new_fields(newest.accepted))


def _facts(request: HttpRequest, *, console_page: bool | None = None) -> Facts:
    page = request.path.startswith("/ui/") and request.resolver_match is not None
    return Facts(
        **_facts_for_all(choice_of(request), getattr(request, "set_up", None)),
        gpc=request.headers.get("Sec-GPC") == "1",
        dnt=request.headers.get("DNT") == "1",
        objected=has_objected(request),
        signed_in=request.user.is_authenticated,
        console_page=page if console_page is None else console_page,
    )


def _facts_for_all(newest: Choice | None, set_up: Setup | None) -> dict[str, Any]:
    """Return what does not depend on who asks; ``set_up`` when it was read already."""
    row = setup.read() if set_up is None else set_up
    shown = NoticeShown.objects.values_list("fields", flat=True).first()
    accepted = newest.accepted if newest else shown or []
    return {
        "do_not_track": settings.DO_NOT_TRACK,
        "policy": locks.against(locks.INTERACTION_DATA, True) is not None,
        "finished": row.finished_at is not None,
        "collector": bool(settings.NMS_COLLECTOR_URL),
        "mode": settings.NMS_ANALYTICS_MODE,
        "choice": newest.value if newest else None,
        "notice_shown": shown is not None,
        "accepted": bool(catalog.allowed(list(accepted))),
    }


def _origins(newest: Choice | None) -> Origins:
    lock = locks.of_file(locks.INTERACTION_DATA)
    return Origins(
        policy=lock.on if lock else None,
        policy_says=lock.says if lock else "says nothing",
        policy_origin=locks.origin(lock),
        choice_origin=choices.origin(newest),
    )
