"""Secrets and personal data are taken out of everything that leaves the process: logs, rows, streams, messages.

Two ways at once. **By value**: the secrets of the settings, in every form they may have taken on the way (as in JSON,
SQL or a URL, in base64 at any offset, line by line). **By shape**: what looks like a secret though nobody configured it
here, such as a password in somebody else's URL or a token of a known service, and e-mail addresses.

Redaction comes before truncation, or half a secret stands at the cut; `text(..., limit=n)` does both in that order
without reading a 50 MB message whole. It is idempotent, so it may be applied at every sink. Too much is taken rather
than too little: a word of prose after `password:` is lost. An ordinary line costs some microseconds: nothing is matched
unless a fixed part of a secret or shape is found in it.

A configured secret shorter than four characters, and a password equal to the user or database beside it (`postgres`),
is taken out by shape only: by value it would make every log unreadable and protect nothing.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MARK: Final = "***"
EMAIL_MARK: Final = "[email]"
SHORTEST_SECRET: Final = 4
WHOLE_WORD_BELOW: Final = 8  # a shorter secret is matched as a word of its own: `test` is not taken out of `latest`
DEEPEST: Final = 12
# One of these tells the address of a database (libpq's `host=db user=app`) from a secret with a `=` in it.
_OF_ADDRESS: Final = frozenset({"host", "hostaddr", "port", "dbname", "user", "password", "sslpassword", "service"})
_WINDOW: Final = 4_096  # read beyond a limit, so that no secret is cut before it is seen

_SENSITIVE: Final = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|private[_-]?key"
    r"|credentials?|authorization|signature)"
)
_SENSITIVE_KEY: Final = re.compile(
    rf"(?:{_SENSITIVE}|cookie|pwd|dsn|database_url|smtp_url|slack_webhook_url)\Z", re.IGNORECASE
)
# In quotes of either kind, doubled or escaped ones within, closed or not; else up to the next space.
_VALUE: Final = r"""("(?:[^"\\\n]|\\.|"")*"?|'(?:[^'\\\n]|\\.|'')*'?|[^\s"']\S*)"""


def _keep_quotes(match: re.Match[str]) -> str:
    value = match[2]
    mark = f"{value[0]}{MARK}{value[0]}" if value[0] in "\"'" else MARK
    return match[1] + mark


def _first_group(match: re.Match[str]) -> str:
    return match[1] + MARK


class _Pattern:
    """A pattern compiled when it is first needed: most runs meet no secret, and compiling all costs 10 ms."""

    def __init__(self, source: str, flags: int = 0) -> None:
        self._source = source
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._source, self._flags)


Shape = tuple[tuple[str, ...], _Pattern, str | Callable[[re.Match[str]], str]]

# What must be in the lower-cased text for the pattern to be tried, the pattern, what stands in its place. No pattern
# may start with a repetition, or a long run of the repeated character takes quadratic time.
_SHAPES: Final[tuple[Shape, ...]] = (
    (
        ("private key-----",),
        _Pattern(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MARK,
    ),
    # Up to the last @ of the address, since people forget to encode one; a port and a path are no password.
    (("://",), _Pattern(r"(://[^\s:@/?#]*:)(?!\d{1,5}(?:[/?#,\s]|\Z))(?:(?!://)\S)*(?=@)"), _first_group),
    (("://",), _Pattern(r"(://)[^\s:@/?#]{20,}(?=@)"), _first_group),
    (("hooks.slack",), _Pattern(r"(hooks\.slack(?:-gov)?\.com/)[^\s\"'<>]+", re.IGNORECASE), _first_group),
    (
        ("cookie", "authorization"),
        _Pattern(r"((?:cookie|authorization)[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+", re.IGNORECASE),
        _first_group,
    ),
    (
        ("bearer", "basic"),
        _Pattern(r"(\b(?i:bearer|basic)\s+)(?=\S*(?:[0-9=+/~]|[a-z][A-Z]|[A-Z]{2}))[\w\-.~+/]{8,}=*"),
        _first_group,
    ),
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        _Pattern(r"(?<![A-Za-z0-9])(?:gh[oprsu]_[A-Za-z0-9]{10,}|github_pat_[A-Za-z0-9_]{10,})"),
        MARK,
    ),
    (("xox", "xapp-"), _Pattern(r"(?<![A-Za-z0-9])(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"), MARK),
    (("sg.",), _Pattern(r"(?<![A-Za-z0-9])SG\.[\w\-]{8,}(?:\.[\w\-]+)?"), MARK),
    (("re_",), _Pattern(r"(?<![A-Za-z0-9_])re_(?=[A-Za-z_]*[0-9])[A-Za-z0-9_]{12,}"), MARK),
    (
        ("akia", "asia", "abia", "acca", "aiza"),
        _Pattern(r"(?<![A-Za-z0-9])(?:A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}|AIza[\w\-]{30,})"),
        MARK,
    ),
    (("eyj",), _Pattern(r"(?<![A-Za-z0-9])eyJ[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)?"), MARK),
    (
        ("sk-", "sk_", "rk_", "glpat-", "npm_", "pypi-", "hf_"),
        _Pattern(r"(?<![A-Za-z0-9])(?:sk-|[sr]k_(?:live|test)_|glpat-|npm_|pypi-|hf_)[\w\-]{16,}"),
        MARK,
    ),
    (
        (
            *("passw", "passphrase", "secret", "token", "credential", "authorization", "signature", "apikey"),
            *(
                "api_key",
                "api-key",
                "accesskey",
                "access_key",
                "access-key",
                "privatekey",
                "private_key",
                "private-key",
            ),
        ),
        _Pattern(rf"({_SENSITIVE}[\"']?\s*(?:=|:(?!//))\s*){_VALUE}", re.IGNORECASE),
        _keep_quotes,
    ),
    (("password",), _Pattern(r"(\bpassword\s+)('(?:[^']|'')*'?)", re.IGNORECASE), _keep_quotes),
    (
        ("--",),
        _Pattern(r"((?<![a-z-])--[a-z-]*?(?:password|secret|token|api-key)\s+)([^\s-]\S*)", re.IGNORECASE),
        _first_group,
    ),
)
_NUMBERS_OF: Final = {
    part: [number for number, (fixed, _, _) in enumerate(_SHAPES) if part in fixed]
    for fixed, _, _ in _SHAPES
    for part in fixed
}
# Not the user of a URL, which is no person: the lookbehinds also keep a long word from being tried at each letter.
_EMAIL: Final = _Pattern(r"(?<![\w.%+\-*])(?<!//)[\w.%+\-]+(?:@|%40)[\w\-]+(?:\.[\w\-]+)*\.[^\W\d_]{2,}")


class Redactor:
    """Takes the given secrets, and whatever looks like one, out of text and structures."""

    def __init__(self, secrets: Iterable[str] = (), *, personal: bool = True) -> None:
        forms: set[str] = set()
        for secret in secrets:
            for part in secret_parts(secret):
                forms |= _forms(part)
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._personal = personal
        self._digits = frozenset(form for form in forms if form.isdecimal())
        self._longest = max((len(form) for form in forms), default=0)

    def text(self, text: str, *, limit: int | None = None) -> str:
        """`text` without secrets; with `limit`, at most so many characters of it."""
        if limit is None or len(text) <= limit:
            return self._clean(text)
        margin = max(_WINDOW, self._longest)
        if len(text) <= limit + margin:
            return _cut(self._clean(text), limit)
        return _cut(self._clean(self._window(text, limit, margin)), limit, always=True)

    def deep(self, value: object, *, limit: int | None = None) -> object:
        """The same structure of plain JSON types (dict, list, str, number, bool, None) without secrets.

        Whatever JSON cannot carry becomes text; what is nested too deep is left out."""
        return self._deep(value, limit, 0)

    def _window(self, text: str, limit: int, margin: int) -> str:
        """The beginning of a long text, ending where no secret is cut in two: redaction may shorten what stands before,
        and so bring the window's end into what is shown."""
        window = text[: limit + margin]
        space = max(window.rfind(character, limit) for character in " \n\t")
        window = window[: space if space >= 0 else limit]
        for _ in range(4):  # what ends a periodic secret also begins it
            begun = [
                next((length for length in range(len(form), 0, -1) if window.endswith(form[:length])), 0)
                for form in self._forms
            ]
            window = window[: len(window) - max(begun, default=0)]
        return window

    def _deep(self, value: object, limit: int | None, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(str(value), limit=limit)
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= DEEPEST:
                return "[nested too deep]"
            if isinstance(value, Mapping):
                return self._mapping(value, limit, depth)  # pyright: ignore[reportUnknownArgumentType]
            return self._list(value, limit, depth)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, bytes | bytearray):
            return self.text(bytes(value)[: (limit or 4096) + _WINDOW].decode("utf-8", "backslashreplace"), limit=limit)
        if isinstance(value, BaseException):
            value = f"{type(value).__name__}: {value}"
        if isinstance(value, date):
            return value.isoformat()
        try:
            return self.text(str(value), limit=limit)
        except Exception:  # noqa: BLE001 - whatever a foreign object's own code raises is not the caller's concern
            return f"[{type(value).__name__} that cannot be shown]"

    def _list(self, value: Iterable[object], limit: int | None, depth: int) -> list[object]:
        return [self._deep(item, limit, depth + 1) for item in value]

    def _mapping(self, value: Mapping[object, object], limit: int | None, depth: int) -> dict[str, object]:
        cleaned: dict[str, object] = {}
        for key, item in value.items():
            name = self.text(str(key), limit=limit)
            if _is_sensitive(str(key)):
                cleaned[name] = item if item is None or isinstance(item, bool) else MARK
            else:
                cleaned[name] = self._deep(item, limit, depth + 1)
        return cleaned

    def _integer(self, value: int) -> int | str:
        if value.bit_length() > 8_192:  # Python refuses to print some of these, JSON readers most
            return f"[integer of {value.bit_length()} bits]"
        return MARK if self._digits and str(value) in self._digits else value

    def _clean(self, text: str) -> str:
        """Until nothing changes: what one replacement brings together another must see."""
        for _ in range(8):
            cleaned = self._by_shape(self._by_value(text))
            if cleaned == text:
                return text
            text = cleaned
        return MARK

    def _by_value(self, text: str) -> str:
        spans: list[tuple[int, int]] = []
        for form in [form for form in self._forms if form in text]:
            at = text.find(form)
            while at >= 0:
                if len(form) >= WHOLE_WORD_BELOW or _stands_alone(text, at, at + len(form)):
                    spans.append((at, at + len(form)))
                at = text.find(form, at + 1)
        if not spans:
            return text
        pieces: list[str] = []
        shown_to = 0
        covered_to = -1
        for start, end in sorted(spans):
            if start > covered_to:
                pieces += (text[shown_to:start], MARK)
            covered_to = shown_to = max(covered_to, end)
        return "".join(pieces) + text[shown_to:]

    def _by_shape(self, text: str) -> str:
        lowered = text.lower()
        for number in sorted({number for part in _NUMBERS_OF if part in lowered for number in _NUMBERS_OF[part]}):
            _, pattern, replacement = _SHAPES[number]
            text = pattern.compiled.sub(replacement, text)
        if self._personal and ("@" in text or "%40" in text):
            text = _EMAIL.compiled.sub(EMAIL_MARK, text)
        return text


def secret_parts(secret: str) -> list[str]:
    """What is secret in a configured secret: of an address only the password and what stands for one.

    What is written like an address, but names nothing of one, is a secret as a whole: base64 may end in `=` too."""
    secret = secret.strip()
    if "://" in secret:
        return _url_parts(secret)
    if re.match(r"[a-z_]+\s*=", secret):
        values = dict(re.findall(r"([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s]*)", secret))
        plain = {
            key: re.sub(r"\\(.)", r"\1", value[1:-1] if value[:1] == "'" else value) for key, value in values.items()
        }
        if plain.keys().isdisjoint(_OF_ADDRESS):
            return [secret, *(value for key, value in plain.items() if "password" in key)]
        known = {plain.get("user"), plain.get("dbname")}
        return [value for key, value in plain.items() if "password" in key and value not in known]
    return [secret]


def mask_url(url: str) -> str:
    """A configured address for a person: scheme, user, host and database, never a password or a query.

    What cannot be told apart from its password is not shown at all."""
    match = re.fullmatch(
        r"([A-Za-z][A-Za-z0-9+.\-]*)://(?:([^:@/?#\s]*)(:[^@/\s]*)?@)?([^@/?#\s]*)(/[^@?#\s]*)?(?:[?#]\S*)?",
        url.strip(),
    )
    if match is None:
        return _mask_conninfo(url)
    scheme, user, password, hosts, path = (part or "" for part in match.groups())
    if scheme.lower() in ("http", "https"):  # the path of a webhook is its secret
        return f"{scheme}://{hosts}/{MARK}"
    who = (
        f"{MARK}@"
        if user and not password and len(user) >= 20
        else f"{user}{f':{MARK}' if password else ''}@"
        if user or password
        else ""
    )
    socket = re.search(r"[?&]host=((?:/|%2F)[\w/.%+\-]*)", url)
    return f"{scheme}://{who}{hosts}{path}" + (f"?host={unquote(socket[1])}" if socket and not hosts else "")


def _mask_conninfo(text: str) -> str:
    if not re.match(r"\s*[a-z_]+\s*=", text):
        return MARK
    values: list[tuple[str, str]] = re.findall(r"([a-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']+)", text)
    shown = [f"{key}={value}" for key, value in values if key in ("host", "hostaddr", "port", "dbname", "user")]
    return " ".join([*shown, *(f"{key}={MARK}" for key, _ in values if "password" in key)])


def _url_parts(url: str) -> list[str]:
    rest = url.partition("://")[2]
    userinfo, at, after = rest.rpartition("@")
    if "@" in after or ("/" in userinfo and ":" not in userinfo.partition("/")[0]):
        userinfo, at, after = "", "", rest  # the @ belongs to the path or the query
    user, colon, password = userinfo.partition(":")
    parts: list[str] = []
    database = re.search(r"/([^/?#]*)", after)
    if colon and unquote(password) not in (unquote(user), unquote(database[1]) if database else None):
        parts.append(password)
    elif at and not colon and len(user) >= 16:
        parts.append(user)
    parts += [value for key, value in re.findall(r"[?&]([^=&#]+)=([^&#]*)", after) if _is_sensitive(key)]
    if url.lower().startswith(("http://", "https://")):  # a webhook: knowing its path is being allowed to use it
        path = after.partition("/")[2]
        parts += [path, *(segment for segment in re.split(r"[/?#&=]", path) if len(segment) >= 12)]
    return parts


def _forms(secret: str) -> set[str]:
    """The ways in which one secret may appear in text."""
    plain = {secret, unquote(secret), unquote_plus(secret)}
    if "\n" in secret:
        plain |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= 16}
    forms: set[str] = set()
    for text in plain:
        encoded = text.encode("utf-8", "surrogatepass")
        quoted = {quote(encoded, safe=""), quote(encoded), quote_plus(encoded)}
        forms |= {text, *quoted, *(re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted)}
        forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
        forms |= {text.replace("'", "''"), text.replace("\\", "\\\\").replace("'", "\\'")}
        markup = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        forms |= {markup, markup.replace('"', "&quot;"), markup.replace('"', "&quot;").replace("'", "&#x27;")}
        if len(encoded) >= 6:
            forms |= _base64_forms(encoded)
            forms |= {encoded.hex(), encoded.hex().upper()}
    return {form for form in forms if len(form) >= SHORTEST_SECRET and form.strip("*")}


def _base64_forms(data: bytes) -> set[str]:
    """The characters that depend on nothing but the data, at each of the three offsets it may have in a longer text."""
    forms: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            bits = offset * 8
            encoded = encode(b"\0" * offset + data).decode()
            first = -(-bits // 6)
            last = (bits + len(data) * 8) // 6
            forms.add(encoded[first:last])
    return {form for form in forms if len(form) >= WHOLE_WORD_BELOW}


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _is_sensitive(key: str) -> bool:
    return _SENSITIVE_KEY.search(key[-100:]) is not None


def _cut(text: str, limit: int, *, always: bool = False) -> str:
    if len(text) <= limit and not always:
        return text
    return text[: max(limit - 1, 0)] + "…" if limit > 0 else ""
