"""What a user may do."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """What a user may do; each may also do what those after it may."""

    ADMINISTRATOR = "administrator", "Administrator"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"


RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMINISTRATOR: 3}
