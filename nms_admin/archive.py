"""The file of a backup: a ZIP with the database, the keys and a manifest of digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = "nms-admin-backup"
LAYOUT = 1  # counts up when an older version could not read it any more
MANIFEST = "manifest.json"
DATABASE = "database"
SEAL_KEYS = "seal.keys"
SECRET_KEY = "secret.key"  # noqa: S105  (the name of a file)
NAMES = (DATABASE, SEAL_KEYS, SECRET_KEY)
MOST = 16 * 1024 * 1024  # bytes of a manifest
CHUNK = 1024 * 1024


class Refused(Exception):
    """A backup cannot be made or restored; the text says why and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        version: The version of the product that made it, as ``0.3.0``.
        mode: ``sandbox`` or ``live``.
        engine: ``sqlite`` or ``postgresql``.
        made_at: When, in ISO 8601 with its zone.
        running: Whether a console ran meanwhile.
        installation: Tells installations apart; made from the signing key.
        migrations: Those applied, as ``telemetry.0001_initial``.
        known: Number of the newest decision by choice, ``batches``, ``reports``.
        files: For each file its ``size`` in bytes and its ``sha256``.
    """

    version: str
    mode: str
    engine: str
    made_at: str
    running: bool
    installation: str
    migrations: list[str]
    known: dict[str, int]
    files: dict[str, dict[str, Any]]


def write(target: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write the archive (0600, on disk when this returns); ``target`` must be new."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            said = {"format": FORMAT, "layout": LAYOUT, **asdict(manifest)}
            archive.writestr(MANIFEST, json.dumps(said, indent=1, sort_keys=True))
            for name, path in files.items():
                archive.write(path, name)
        file.flush()
        os.fsync(file.fileno())


def described(path: Path) -> dict[str, Any]:
    """Return size and digest of a file, as a manifest holds them."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """Open an archive and read its manifest; the files are not checked yet.

    Raises:
        Refused: It cannot be read, is damaged, of a newer version or of another program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _manifest(archive, path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}.") from error
    except zipfile.BadZipFile as error:
        raise Refused(f"{path} is no backup, or a damaged one: {error}.") from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    foreign = Refused(
        f"{path} is no backup of this product: it has no {MANIFEST} of it."
    )
    try:
        if archive.getinfo(MANIFEST).file_size > MOST:
            raise foreign
        said = json.loads(archive.read(MANIFEST))
    except (KeyError, ValueError, zlib.error, RuntimeError, EOFError) as error:
        raise foreign from error
    if not isinstance(said, dict) or said.pop("format", None) != FORMAT:
        raise foreign
    layout = said.pop("layout", None)
    if not isinstance(layout, int) or layout > LAYOUT:
        raise Refused(
            f"{path} was made by version {said.get('version')}, which writes backups"
            " in another way. Restore it with that version."
        )
    try:
        manifest = Manifest(**said)
        complete = {DATABASE, SEAL_KEYS} <= set(manifest.files) <= set(NAMES)
    except TypeError as error:
        raise foreign from error
    if not complete or not isinstance(manifest.known, dict):
        raise Refused(f"{path} is damaged: its manifest does not name what is needed.")
    return manifest


def unpack(archive: zipfile.ZipFile, manifest: Manifest, folder: Path) -> None:
    """Write every file of an archive into a folder (0600) and check its digest.

    Raises:
        Refused: A file is missing or is not the one that was backed up.
    """
    for name, said in manifest.files.items():
        target = folder / name
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file, archive.open(name) as packed:
                left = int(said["size"]) + 1  # one more shows that it is too long
                while left and (chunk := packed.read(min(CHUNK, left))):
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(file.fileno())
            if described(target) == said:
                continue
            why = "its digest is another one"
        except (
            *(KeyError, TypeError, ValueError, EOFError, RuntimeError),
            *(zlib.error, zipfile.BadZipFile),
        ) as error:
            why = str(error)
        raise Refused(
            f"The backup is damaged: {name} is not what was backed up ({why})."
            " Nothing was changed. Use another copy of it."
        )


def installation(key: str) -> str:
    """Return a name for the installation with this signing key; it tells nothing of it."""
    return hmac.digest(key.encode(), FORMAT.encode(), "sha256").hex()


def keep(path: Path, text: str) -> None:
    """Write a new file that only this user can read; on disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def swap(path: Path, text: str, like: os.stat_result | None = None) -> None:
    """Put a text in the place of a file at once, readable by this user alone.

    It outlasts a power cut when this returns.

    Args:
        like: Whose owner and group it gets, and what they may do; others may nothing.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    keep(draft, text)
    if like:
        os.chown(draft, like.st_uid, like.st_gid)
        draft.chmod(like.st_mode & 0o660)
    draft.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have on disk which files a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
