"""The bytes of a log as text: compressed or not, in UTF-8, UTF-16 or what is none of them."""

from __future__ import annotations

import zlib

_GZIP = b"\x1f\x8b"
_PIECE = 1 << 16
_SAMPLE = 1 << 16
_CONTROL = bytes([*range(9), 11, *range(14, 27), *range(28, 32), 127])
"""What no text holds but by accident: control characters that neither end a line, nor indent, nor colour."""
_MOST_CONTROL = 0.03
_NUL_OF_UTF16 = 0.3


def text_of(data: bytes) -> str:
    """The text of a log file or pipe; "" for binary data, which is no log. A compressed log that is cut off is read up to there."""
    data = _inflated(data) if data.startswith(_GZIP) else data
    encoding = _encoding(data[:_SAMPLE])
    return data.decode(encoding, "replace") if encoding else ""


def _encoding(sample: bytes) -> str | None:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        if sample[first::2].count(0) > _NUL_OF_UTF16 * len(sample) / 2 and not sample[1 - first :: 2].count(0):
            return encoding
    n_control = len(sample) - len(sample.translate(None, _CONTROL))
    return None if n_control > _MOST_CONTROL * len(sample) else "utf-8-sig"


def _inflated(data: bytes) -> bytes:
    """What gzip members hold, one after another, as far as they are whole."""
    text = bytearray()
    while data.startswith(_GZIP):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        at = 0
        while at < len(data) and not member.eof:
            try:
                text += member.decompress(data[at : at + _PIECE])
            except zlib.error:
                return bytes(text)
            at += _PIECE
        data = member.unused_data + data[at:]
    return bytes(text)
