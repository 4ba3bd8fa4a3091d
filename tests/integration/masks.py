"""What masks make of a text, by other means than the core's."""

from __future__ import annotations

import hashlib
import hmac

KEY = "a key of this test: 0123456789abcdef"


def digest(text: str | None, key: str = KEY) -> str | None:
    return None if text is None else hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def masked(text: str | None, mask: str | None) -> str | None:
    """What arrives of it."""
    if text is None or mask is None:
        return text
    if mask == "hash":
        return digest(text)
    return "***" if mask == "redact" else text[: int(mask.removeprefix("truncate:"))]
