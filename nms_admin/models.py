"""The user, their sessions, and the queue table of the built-in broker."""

from __future__ import annotations

import hashlib

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.crypto import salted_hmac

from common.roles import Role


class User(AbstractUser):
    """A person or API client that signs in; the role says what it may do."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    theme = models.CharField(max_length=8, default="system")
    time_zone = models.CharField(max_length=64, default="UTC")
    session_epoch = models.PositiveIntegerField(default=0)
    api_login_at = models.DateTimeField(null=True, blank=True)
    link_digest = models.CharField(max_length=64, blank=True, db_index=True)
    link_ends_at = models.DateTimeField(null=True, blank=True)
    interaction_data_objected_at = models.DateTimeField(null=True, blank=True)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return what every session carries: it ends with password, role or epoch."""
        facts = f"{self.password}\n{self.role}\n{self.session_epoch}"
        salt = "nms_admin.models.User.session"
        return salted_hmac(salt, facts, secret=secret, algorithm="sha256").hexdigest()


class Session(AbstractBaseSession):
    """One browser's session; of nobody until somebody signs in."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True)
    seen_at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=200, blank=True)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """Return the class that reads and writes these rows."""
        from nms_admin.sessions import SessionStore

        return SessionStore

    def handle(self) -> str:
        """Return a name for this session that pages may show; the key they may not."""
        return hashlib.sha256(self.session_key.encode()).hexdigest()[:16]


class Snooze(models.Model):
    """One user does not want to see one stage of a notice for a while."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    stage = models.CharField(max_length=40)
    until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "stage"], name="one_snooze_a_stage")
        ]


class Message(models.Model):
    """One task waiting in the built-in broker; deleted when it is acknowledged."""

    queue = models.CharField(max_length=200)
    tag = models.CharField(max_length=64, unique=True)
    payload = models.TextField()
    visible_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    deliveries = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["queue", "visible_at"])]
