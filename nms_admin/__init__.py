"""The composition root: settings, pages of several apps, processes."""

from __future__ import annotations
