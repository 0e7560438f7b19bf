"""Ways to damage a file: bytes of any kind, values of JSON, tensors of safetensors."""

from __future__ import annotations

import json
import struct
from collections import Counter, defaultdict
from typing import Any

from hypothesis import strategies as st

TRIED: defaultdict[str, Counter] = defaultdict(Counter)  # by reader, how it went

_NUMBERS = [-1, 0, 1, 2, 2**31, 2**63, 10**30, -(10**25), 0.5, -1.5, 1e308, float("nan"), float("inf")]
_TEXTS = ["", "x", "1", "é\0\n", "../../x", "a" * 5000, "\ud800"]
_TREES = [[], {}, [[]], [0], [None], {"": 0}, {"x": {"x": []}}, [1, [2, [3]]]]
_NASTY = st.sampled_from([None, True, False, *_NUMBERS, *_TEXTS, *_TREES])
_BINARY = [b"", b"\0", b"\x80", b"\xff" * 8, b"\n", b"9" * 400]
_JSON = [b"{", b"]]]]", b"[" * 3000, b": ", b"NaN", b"1e999"]
_YAML = [b"a: 1\na: 1\n", b"- ", b"&a *a", b"!!int x"]
_WORDS = st.sampled_from([*_BINARY, *_JSON, *_YAML]) | st.binary(max_size=8)


def damaged_bytes(data: st.DataObject, content: bytes) -> bytes:
    """One to three places flipped, cut, doubled, taken out or written over."""
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, max(0, len(content) - 1)))
        # Never to the end: two whole archives, one after the other, are an archive.
        stop = min(max(1, len(content) - 1), start + data.draw(st.sampled_from([1, 2, 4, 16, 512, 4096])))
        kind = data.draw(st.sampled_from(["flip", "cut", "double", "out", "over", "in"]))
        word = data.draw(_WORDS)
        middle = {
            "flip": bytes([content[start] ^ 1 << data.draw(st.integers(0, 7))]) + content[start + 1 : stop] if content else b"\1",
            "cut": b"",
            "double": content[start:stop] * 2,
            "out": b"",
            "over": word,
            "in": word + content[start:stop],
        }[kind]
        content = content[:start] + middle + (b"" if kind == "cut" else content[start + len(word) if kind == "over" else stop :])
    return content


def damaged_json(data: st.DataObject, content: bytes) -> bytes:
    """A value replaced, taken out or added, or the text damaged."""
    if data.draw(st.integers(0, 3)) == 0:
        return damaged_bytes(data, content)
    tree = json.loads(content)
    for _ in range(data.draw(st.integers(1, 2))):
        tree = _edited(data, tree)
    return json.dumps(tree).encode()


def _edited(data: st.DataObject, tree: Any) -> Any:
    if not isinstance(tree, dict | list) or not tree or data.draw(st.integers(0, 9)) == 0:
        return data.draw(_NASTY)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key, copy = data.draw(st.sampled_from(keys)), tree.copy()
    what = data.draw(st.sampled_from(["in", "in", "in", "out", "add"]))
    if what == "in":
        copy[key] = _edited(data, tree[key])
    elif what == "out":
        del copy[key]
    elif isinstance(tree, dict):
        copy[data.draw(st.sampled_from(["x", "", "path", "rows"]))] = data.draw(_NASTY)
    else:
        copy.append(data.draw(_NASTY))
    return copy


def damaged_tensors(data: st.DataObject, content: bytes) -> bytes:
    """Safetensors: names, shapes, kinds and metadata of the head, numbers of the rest, or any bytes."""
    if data.draw(st.integers(0, 3)) == 0:
        return damaged_bytes(data, content)
    length = struct.unpack("<Q", content[:8])[0]
    head, rest = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    kind = data.draw(st.sampled_from(["numbers", "metadata", "kind", "name", "gone", "shape"]))
    name = data.draw(st.sampled_from(sorted(head.keys() - {"__metadata__"})))
    first, last = head[name]["data_offsets"]
    size = (last - first) // 8 * 8
    if kind == "numbers" and size:
        at = first + 8 * data.draw(st.integers(0, size // 8 - 1))
        rest[at : at + 8] = data.draw(
            st.sampled_from([b"\xff" * 8, b"\0\0\xc0\x7f" * 2, b"\0" * 6 + b"\xf8\x7f", b"\0\0\x80\x7f" * 2, b"\x7f" * 8])
        )
    elif kind == "metadata" and "__metadata__" in head:
        key = data.draw(st.sampled_from(sorted(head["__metadata__"])))
        change = damaged_json if head["__metadata__"][key].startswith("{") else damaged_bytes
        head["__metadata__"][key] = change(data, head["__metadata__"][key].encode()).decode(errors="replace")
    elif kind == "kind":
        head[name]["dtype"] = data.draw(
            st.sampled_from(["F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "U16", "X"])
        )
        if data.draw(st.booleans()):  # as many bytes as before
            width = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U16": 2}.get(head[name]["dtype"], 1)
            head[name]["shape"] = [(last - first) // width]
    elif kind == "name":
        new = data.draw(
            st.sampled_from(["", "x", "online.blocks.2000000.norm1.weight", "ema.x", name.replace("0", "7"), "1.tokens", "9" * 30])
        )
        head = {new if key == name else key: value for key, value in head.items()}
    elif kind == "gone":
        head[name]["shape"] = data.draw(st.sampled_from([[], [0], [1], [2**40], [-1], [1] * 70]))
    else:
        shape = head[name]["shape"]
        head[name]["shape"] = data.draw(st.sampled_from([shape[::-1], [1, *shape], shape[:-1], [0, *shape], [*shape, 2**20]]))
    packed = json.dumps(head).encode()
    return struct.pack("<Q", len(packed)) + packed + bytes(rest)
