"""Hostile licenses and acknowledgements, made by the thousand: ``python -m fuzz``."""

from __future__ import annotations
