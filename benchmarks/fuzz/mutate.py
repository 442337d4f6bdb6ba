"""Mutations: of bytes, of protobuf by its fields, of JSON by its structure, of text by words."""

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

EXTREMES = (0, 1, 2, 127, 128, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    "",
    "\x00",
    "\x1b[2J",
    "\u202e\u2028",
    "<script>alert(1)</script>",
    "a\nb",
    "../../etc/passwd",
    "/dev/zero",
    "x" * 5000,
    "%s{0}$x",
    "nan",
    "[red]",
    "::error::x",
    "\U0001f600",
    "NaN",
    "1e308",
    "-1",
    "0",
    "1e-320",
    "=",
    '"',
    "'",
    "\\",
)
_NUMBERS = (
    *(0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64, 10**30),
    *(0.0, -0.0, 1e-308, 5e-324, 1e308, -1e308, 0.5, 1e6, 1e18, -1.0),
)
_DEEPEST = 12
"""Of the fields that are looked into."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def of_bytes(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return the bytes with some flipped, cut out, repeated, or replaced by a piece of others."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(out) + 1)
        length = min(len(out) - at, rng.choice((1, 1, 2, 4, 8, 64, 1024)))
        match rng.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(out):
                out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = out[at : at + length]
            case 4:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                out[at : at + length] = other[start : start + rng.choice((4, 32, 256))]
            case 5:
                del out[at:]
            case 6:
                out[at:at] = rng.choice(WORDS).encode("utf-8", "surrogateescape")
    return bytes(out)


class Field(NamedTuple):
    """A field of a protobuf message as it stands on the wire."""

    number: int
    kind: int
    value: "int | bytes | list[Field]"


def parse(data: bytes, depth: int = 0) -> list[Field] | None:
    """Return the fields of a message, what may be messages in them likewise; None: it is none."""
    fields, at = list[Field](), 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if at < 0 or not 0 < number < 1000:
            return None
        if kind == _VARINT:
            value, at = _varint(data, at)
            fields.append(Field(number, kind, value))
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at < 0 or at + length > len(data):
                return None
            inner = data[at : at + length]
            at += length
            children = parse(inner, depth + 1) if inner and depth < _DEEPEST else None
            fields.append(Field(number, kind, inner if children is None else children))
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
            if at + size > len(data):
                return None
            fields.append(Field(number, kind, data[at : at + size]))
            at += size
        else:
            return None
        if at < 0:
            return None
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(10):
        if at >= len(data):
            return 0, -1
        number |= (data[at] & 0x7F) << (7 * place)
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    return 0, -1


def _encoded(number: int) -> bytes:
    out = bytearray()
    number &= 2**64 - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def serialized(fields: Sequence[Field]) -> bytes:
    """Return the message."""
    out = bytearray()
    for number, kind, value in fields:
        out += _encoded(number << 3 | kind)
        if isinstance(value, int):
            out += _encoded(value)
            continue
        body = serialized(value) if isinstance(value, list) else value
        out += (_encoded(len(body)) if kind == _BYTES else b"") + body
    return bytes(out)


def of_protobuf(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return the message with some of its fields changed, dropped, doubled or taken from others."""
    fields = parse(data)
    donors = parse(rng.choice(others))
    if not fields or not donors:
        return of_bytes(data, others, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(_somewhere(fields, rng), _somewhere(donors, rng), rng)
    return serialized(fields)


def _somewhere(fields: list[Field], rng: random.Random) -> list[Field]:
    """Return a list of fields at any depth."""
    while inner := [one.value for one in fields if isinstance(one.value, list) and one.value]:
        if rng.random() < 0.15:
            break
        fields = rng.choice(inner)
    return fields


def _change(fields: list[Field], donors: list[Field], rng: random.Random) -> None:
    if not fields:
        return
    at = rng.randrange(len(fields))
    one = fields[at]
    match rng.randrange(8):
        case 0:
            del fields[at]
        case 1:
            fields.insert(at, one)
        case 2:
            fields[at] = one._replace(number=rng.randrange(1, 30))
        case 3 if donors:
            donor = rng.choice(donors)
            fields[at] = donor._replace(number=one.number) if rng.random() < 0.5 else donor
        case 4:
            rng.shuffle(fields)
        case 5:
            fields.extend([one] * rng.choice((2, 50, 2000)))
        case _ if isinstance(one.value, int):
            value = rng.choice((*EXTREMES, one.value + 1, one.value - 1, rng.randrange(40)))
            fields[at] = one._replace(value=value)
        case _ if isinstance(one.value, bytes) and one.kind == _BYTES:
            text = rng.choice(WORDS).encode() if rng.random() < 0.5 else bytes(rng.randbytes(8))
            fields[at] = one._replace(value=text)


def of_json(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return the document with some values replaced, dropped, moved, nested or grown."""
    root = [json.loads(data)]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holder, key = _place(root, rng)
        if rng.random() < 0.6:
            holder[key] = _alike(holder[key], rng)
        elif rng.random() < 0.5:
            holder[key] = _unlike(root, rng)
        elif isinstance(holder, dict):
            value = holder.pop(key)
            holder |= {rng.choice(WORDS): value} if rng.random() < 0.5 else {}
        else:
            for _ in range(rng.choice((1, 20, 100))):
                holder[key] = [holder[key]]
    return json.dumps(root[0] if root else None).encode()


def _alike(value: Any, rng: random.Random) -> Any:
    """Return another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return rng.choice([one for one in _NUMBERS if isinstance(one, int)])
        case float():
            return rng.choice([value * 1e9, -value, *(float(one) for one in _NUMBERS)])
        case str():
            return rng.choice(WORDS)
        case list():
            return rng.choice((value[:-1], value[1:], value * 2, value * 50, []))
    return value


def _unlike(root: list[Any], rng: random.Random) -> Any:
    """Return anything, or another part of the document."""
    if rng.random() < 0.3:
        holder, key = _place(root, rng)
        return json.loads(json.dumps(holder[key]))
    values: tuple[Any, ...] = (*_NUMBERS, *WORDS, None, True, False, [], {}, [[]], [None], {"a": 1})
    return rng.choice(values)


def _place(root: list[Any], rng: random.Random) -> tuple[Any, Any]:
    """Return a list or dict of the document, and a key in it."""
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.9:
        holder = holder[key]
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    return holder, key


def of_text(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a text with some of its words or lines replaced, dropped, doubled or swapped."""
    if rng.random() < 0.3:
        return of_bytes(data, others, rng)
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                lines.insert(at, rng.choice(lines))
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                other = rng.choice(others).decode("utf-8", "replace").split("\n")
                lines[at] = rng.choice(other)
            case _:
                words = lines[at].replace("=", " = ").replace(",", " , ").split(" ")
                words[rng.randrange(len(words))] = rng.choice((*WORDS, *map(str, _NUMBERS)))
                lines[at] = "".join(words)
    return "\n".join(lines).encode("utf-8", "replace")
