"""The one-time code that lets whoever runs this server claim it in the browser."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db.models import Q

from common import setup
from common.models import Setup
from nms_admin import lockout

LASTS = timedelta(minutes=60)
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that looks like something else
GROUPS, LENGTH = 4, 4  # about 79 bits
COUNTED_AS = "set-up code"  # no user name: it holds a space


def new_code(now: datetime) -> str | None:
    """Make a code that is good for 60 minutes; an older one ends.

    Returns:
        Four groups of four letters and digits; only their digest is stored. None
        when set-up has its administrator already and no code is of use.
    """
    setup.current()
    groups = [
        "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(GROUPS)
    ]
    code = "-".join(groups)
    made = Setup.objects.filter(pk=1, claimed_at=None).update(
        code_digest=digest(code), code_made_at=now
    )
    if not made:
        return None
    lockout.forgive(COUNTED_AS)
    return code


def digest(code: str) -> str:
    """Return what is stored of a code; case, spaces and dashes do not matter."""
    letters = "".join(filter(str.isalnum, code.upper()))
    return hashlib.sha256(letters.encode()).hexdigest()


def claim(code: str, *, now: datetime) -> bool:
    """Use up the code and claim this installation; true for exactly one caller.

    Call it in the transaction that makes the administrator.
    """
    right = Q(code_digest=digest(code), code_made_at__gt=now - LASTS)
    unclaimed = Setup.objects.filter(right, pk=1, claimed_at=None)
    return bool(unclaimed.update(claimed_at=now, code_digest="", code_made_at=None))
