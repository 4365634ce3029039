from __future__ import annotations

import json

import pytest

from licensing.jwks import MOST_BYTES
from licensing.keys import file_set
from tests import make


def test_a_new_file_counts_at_once():
    make.keys_file()
    assert file_set().jwks == make.jwks()
    newer = make.jwks(kid="v2")
    make.keys_file(newer)
    assert file_set().jwks == newer
    assert file_set().problem == ""


def test_without_the_setting_there_are_no_keys(settings):
    settings.NMS_JWKS_FILE = ""
    assert file_set().problem == "NMS_JWKS_FILE is not set"


def test_a_missing_file_is_named_with_the_reason():
    found = file_set()
    assert found.jwks is None
    assert found.problem == (
        "the file of NMS_JWKS_FILE cannot be read: No such file or directory"
    )


def test_a_folder_is_no_file(settings, tmp_path):
    settings.NMS_JWKS_FILE = str(tmp_path)
    assert file_set().jwks is None


GOOD = make.jwks()["keys"][0]
BAD = {
    "nothing": b"",
    "no JSON": b"keys",
    "UTF-16 half": b"\xff\xfe{",
    "deep": b"[" * 60_000,
    "a list": json.dumps([GOOD]).encode(),
    "no keys": b'{"keys": []}',
    "keys as object": json.dumps({"keys": GOOD}).encode(),
    "a key that is none": json.dumps({"keys": [GOOD, 1]}).encode(),
    "a key without a name": json.dumps({"keys": [GOOD | {"kid": None}]}).encode(),
    "a shared secret": json.dumps({"keys": [GOOD | {"kty": "oct"}]}).encode(),
    "two of one name": json.dumps({"keys": [GOOD, GOOD]}).encode(),
    "a member twice": json.dumps({"keys": [GOOD]})
    .replace("{", '{"keys": [],', 1)
    .encode(),
    "a key with two names": json.dumps({"keys": [GOOD]})
    .replace('"kid"', '"kid": "v0", "kid"')
    .encode(),
    "NaN in it": json.dumps({"keys": [GOOD], "x": float("nan")}).encode(),
    "a lone surrogate": json.dumps({"keys": [GOOD | {"kid": "\ud800"}]}).encode(),
    "text after it": json.dumps({"keys": [GOOD]}).encode() + b"{}",
    "17 keys": json.dumps(
        {"keys": [GOOD | {"kid": str(i)} for i in range(17)]}
    ).encode(),
    "too much": json.dumps({"keys": [GOOD], "x": "y" * MOST_BYTES}).encode(),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_file_that_is_no_key_set_gives_no_keys(folder, content):
    (folder / "jwks.json").write_bytes(content)
    assert file_set().jwks is None
    assert file_set().problem.startswith("the file of NMS_JWKS_FILE holds no key set")


def test_16_keys_are_taken():
    keys = {"keys": [GOOD | {"kid": str(i)} for i in range(16)]}
    make.keys_file(keys)
    assert file_set().jwks == keys


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_an_editor_saved_in_another_encoding_is_taken(folder, encoding):
    (folder / "jwks.json").write_bytes(json.dumps(make.jwks()).encode(encoding))
    assert file_set().jwks == make.jwks()
