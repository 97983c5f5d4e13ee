"""Text as people see it: one Unicode form, nothing invisible, single spaces; and a folded form to compare by."""

import json
import re
from unicodedata import category, is_normalized, normalize

# Controls, soft hyphen, zero-width and bidi marks, interlinear and tag characters. White space is not among them, nor
# are the variation selectors that tell Japanese place names apart.
_INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"\s+")
_NOT_ALPHANUMERIC = re.compile("[^0-9a-z]+")
_LATIN_MARKS = re.compile("[\u0300-\u036f]+")
# Letters that Unicode does not decompose into a base letter and a mark.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe"})


def is_clean(text: str) -> bool:
    """Whether `clean` would leave this text as it is, but for white space around it. Errs to False."""
    return text.isprintable() and "  " not in text and (text.isascii() or is_normalized("NFC", text))


def clean(text: str) -> str:
    """NFC, without control, zero-width and bidi characters, white space collapsed and trimmed."""
    text = text.strip()
    if is_clean(text):
        return text
    return normalize("NFC", _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip())


def fold(text: str) -> str:
    """For comparing names: without case, accents of Latin, Greek and Cyrillic letters, punctuation and spaces.

    Marks of other scripts stay, there they make the word."""
    text = text.casefold().replace("&", " and ")
    if text.isascii():
        return _NOT_ALPHANUMERIC.sub("", text)
    bare = _LATIN_MARKS.sub("", normalize("NFKD", text)).casefold().translate(_LETTERS)
    return "".join([sign for sign in bare if sign.isalnum() or category(sign)[0] == "M"])


def quote(text: str) -> str:
    """The text as a JSON string in ASCII."""
    return json.dumps(text)


def note(field: str, raw: str | None, method: str, confidence: float) -> str:
    """One member of an item's `derived`: what was given, how the value came from it, how sure that is from 0 to 1."""
    given = "null" if raw is None else quote(raw)
    return f'"{field}":[{given},"{method}",{confidence}]'
