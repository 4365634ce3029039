"""What a new password must be, said so that a person can do it."""

from __future__ import annotations

from pathlib import Path

from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    UserAttributeSimilarityValidator,
)
from django.core.exceptions import ValidationError

LEAST, MOST = 12, 4096


class Length:
    """Refuse passwords under 12 characters, and what nobody types."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ``ValidationError`` naming the limit and what was given."""
        _ = user
        if len(password) < LEAST:
            raise ValidationError(
                f"Use at least {LEAST} characters. This has {len(password)}."
            )
        if len(password) > MOST:
            raise ValidationError(f"Use at most {MOST} characters.")

    def get_help_text(self) -> str:
        """Return the rule in one sentence."""
        return f"At least {LEAST} characters; a few words are easy to remember."


class Leaked(CommonPasswordValidator):
    """Refuse the 20 000 passwords found most often in leaks."""

    def get_error_message(self) -> str:
        """Return what is wrong and what to do."""
        return "This password is in a list of leaked passwords. Choose another."


class Resembling(UserAttributeSimilarityValidator):
    """Refuse a password that is nearly the user name or the e-mail address."""

    def get_error_message(self) -> str:
        """Return what is wrong and what to do."""
        return "This password is too much like the user name or email. Choose another."


def read_file(name: str) -> str:
    """Return the password in a file: its text without the last line end.

    Raises:
        ValueError: The file cannot be read or is empty; the sentence says which.
    """
    try:
        password = Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"The password file cannot be read: {reason}.") from error
    if not password:
        raise ValueError("The password file is empty.")
    return password
