"""What looks like a secret in a crontab. Pure.

Narrower than `jobctl.redact`, which may take out too much: here a line must be blamed only if it holds a secret. A
variable (`$PGPASSWORD`), a path (`--password-file=/etc/x`) and a placeholder (`<token>`) are none.
"""

import re

_NAME = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)"
_VALUE = r"(?![\s$/<`*'\"])[^\s'\"$<`]{4,}"
NAMED = re.compile(rf"[\w-]*{_NAME}[\"']?\s?[=:]\s?[\"']?{_VALUE}", re.IGNORECASE)
OPTION = re.compile(rf"--[\w-]*{_NAME}\s+[\"']?(?!-){_VALUE}", re.IGNORECASE)
IN_URL = re.compile(r"://[^\s:@/$]*:[^\s@/$<{*]+@[^\s/]")
IN_HEADER = re.compile(r"\b(?:bearer|basic)\s+(?![$<`])[\w.~+/-]{8,}", re.IGNORECASE)
SLACK = re.compile(r"hooks\.slack(?:-gov)?\.com/services/[A-Z0-9]", re.IGNORECASE)
OF_A_SERVICE = re.compile(r"\b(?:gh[oprsu]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|xox[a-z]-[\w-]{8,}|AKIA[A-Z0-9]{16})")
SECRET_NAME = re.compile(rf"{_NAME}$|_url$|^database_url|pgpassword", re.IGNORECASE)


def has_secret(text: str) -> bool:
    return any(shape.search(text) for shape in (NAMED, OPTION, IN_URL, IN_HEADER, SLACK, OF_A_SERVICE))


def names_secret(name: str, value: str) -> bool:
    """Whether an assignment of that name and value hands over a secret; a URL does only if there is one in it."""
    if name.lower().endswith("_url"):
        return has_secret(value)
    return bool(SECRET_NAME.search(name)) and bool(re.match(_VALUE, value))
