from __future__ import annotations

import gzip
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "static/js"
TRACKER = (SCRIPTS / "tracker.js").read_text()


def test_no_script_of_ours_sends_cookies_or_keeps_anything():
    for path in SCRIPTS.glob("*.js"):
        text = path.read_text()
        for word in (
            "sendBeacon",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            "indexedDB",
        ):
            assert word not in text, (path.name, word)


def test_the_tracker_reads_nothing_that_tells_about_person_or_machine():
    for word in (
        "navigator",
        "screen",
        "location",
        "referrer;",
        "document.title",
        "language",
        "value}",
    ):
        assert word not in TRACKER, word


def test_the_tracker_sends_without_cookies_and_without_referrer():
    for words in (
        "credentials: 'omit'",
        "referrerPolicy: 'no-referrer'",
        "mode: 'no-cors'",
        "keepalive: true",
    ):
        assert words in TRACKER


def test_the_tracker_is_about_one_kilobyte():
    assert len(gzip.compress(TRACKER.encode(), 9)) <= 1200
