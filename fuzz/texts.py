"""JSON as nobody should write it: text, so that it may say what no value can."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from fuzz.choosing import Choices, pick

ODD_NUMBERS = [
    *("0", "-0", "1", "-1", "1.0", "1.5", "1e9", "-1e-9", "1700000000", "1700000000.0"),
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "32503680000"),
    *("32503679999", "9223372036854775807", "9223372036854775808", "1" + "0" * 30),
    *("9" * 4300, "9" * 4301, "1." + "9" * 2000, "01", "+1", "0x1", "1_0", ".5", "5."),
]
ODD_TEXTS = [
    *('""', '" "', '" a"', '"a "', r'"a\u0000b"', r'"a\nb"', r'"\ud800"', r'"\udfff"'),
    *(r'"\ud83d\ude00"', '"\u202e"', '"\ufeff"', '"é"', '"契約"', '"1"', '"true"'),
    *('"' + "x" * 200 + '"', '"' + "x" * 201 + '"', '"' + "x" * 9000 + '"', r'"\x"'),
    *('"../../etc/passwd"', '"http://127.0.0.1:9/"', '"\x00"', "'a'", '"', r'"\ud8"'),
]
ODD_VALUES = [
    *("null", "true", "false", "[]", "{}", "[[]]", "[{}]", "[null]", "", ",", "]", "}"),
    *("[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "[" * 5000, "/**/1"),
    *("[" + "1," * 3000 + "1]", "[" + "[]," * 3000 + "[]]", '{"a":1,"a":2}', "nul"),
    *('{"' + '":1,"'.join(map(str, range(1200))) + '":1}',),
]
NEAR: list[Callable[[str], str]] = [
    lambda usual: f"[{usual}]",
    lambda usual: f"[{usual},{usual}]",
    lambda usual: f'{{"a":{usual}}}',
    lambda usual: f'{usual[:-1]}/"',
    lambda usual: f'{usual[:-1]} "',
    lambda usual: f'" {usual[1:]}',
    lambda usual: f'{usual[:-2]}"',
    lambda usual: f'"{usual}"',
    lambda usual: f"{usual}.0",
    lambda usual: f"-{usual}",
    str.upper,
    str.swapcase,
]


def _written(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


ENCODINGS: list[Callable[[str], bytes]] = [
    _written,
    lambda text: b"\xef\xbb\xbf" + _written(text),
    lambda text: text.encode("utf-16", "surrogatepass"),
    lambda text: text.encode("utf-16-le", "surrogatepass"),
    lambda text: text.encode("utf-32", "surrogatepass"),
    lambda text: text.encode("latin-1", "replace"),
    lambda text: _written(f" \r\n\t{text}\n"),
    lambda text: _written(f"{text} {text}"),
    lambda text: _written(f"[{text}]"),
    lambda text: _written(text) + b"\0",
    lambda text: _written(text) + b"\xed\xa0\x80",
    lambda text: _written(text[:-1]),
]


def value(choices: Choices, usual: str = "null") -> str:
    """Return the text of a value: the usual one, an odd one or one made up."""
    kind = choices.number(9)
    if kind == 0:
        return usual
    if kind > 6:
        return pick(choices, NEAR)(usual)
    if kind == 1:
        return pick(choices, ODD_NUMBERS)
    if kind == 2:
        return pick(choices, ODD_TEXTS)
    if kind == 3:
        return pick(choices, ODD_VALUES)
    if kind == 4:
        return str(choices.number(2**36) - 2**12)
    if kind == 5:
        return json.dumps(choices.raw(300).decode("utf-8", "replace"))
    return choices.raw(12_000).decode("utf-8", "surrogateescape")


def an_object(
    choices: Choices, usual: Mapping[str, object], others: list[str]
) -> bytes:
    """Return an object with up to four members changed, doubled, added or left out.

    Args:
        choices: The decisions; when all are 0, the usual object comes out.
        usual: Its members.
        others: Names of members it does not have and might be given.
    """
    members = [(name, json.dumps(said)) for name, said in usual.items()]
    names = [*usual, *usual, *usual, *others]
    for _ in range(pick(choices, [0, 0, 0, 0, 1, 1, 2, 4])):
        name = pick(choices, names)
        at = next((i for i, one in enumerate(members) if one[0] == name), None)
        change = pick(choices, [0, 0, 0, 1, 2, 3])
        if change == 0:
            said = value(choices, json.dumps(usual.get(name)))
            if at is None:
                members.append((name, said))
            else:
                members[at] = (name, said)
        elif change == 1 and at is not None:
            del members[at]
        elif change == 2:
            members.append((name, value(choices, json.dumps(usual.get(name)))))
        else:
            odd = choices.raw(40).decode("utf-8", "replace")
            members.append((odd, value(choices)))
    text = ",".join(f"{json.dumps(name)}:{said}" for name, said in members)
    encode = pick(choices, ENCODINGS) if choices.number(7) == 7 else _written
    return encode(f"{{{text}}}")


def spliced(choices: Choices, content: bytes) -> bytes:
    """Return the content with up to three places cut, doubled or written over."""
    for _ in range(choices.number(3)):
        start = choices.number(min(len(content), 2**16 - 1))
        end = min(len(content), start + choices.number(255))
        piece = choices.raw(400)
        if choices.number(7) == 7:
            piece = content[start:end] * (1 + choices.number(7))
        content = content[:start] + piece + content[end:]
    return content
