"""Faults of a crontab as a file and of its lines as text: what cron would ignore or read otherwise. Pure."""

import re
from collections.abc import Iterator

from jobctl.schedule.crontab_text import BLANKS, Assignment, Crontab, Entry, Line, Unreadable
from jobctl.schedule.expression import FIELDS
from jobctl.schedule.finding import Case, Finding

CRON_D_NAME = re.compile(r"[A-Za-z0-9_-]+")
USER_NAME = re.compile(r"[a-z_][a-z0-9_.-]*\$?", re.IGNORECASE)
FIELD_LIKE = re.compile(r"\?|[0-9*][0-9*,/-]*")
LONGEST_COMMAND = 998
LONGEST_ASSIGNMENT = 999
MOST_LINES = 10_000
IGNORED = "cron ignores the whole file because of it, every line"
# Look like blanks, quotes or hyphens and are none to cron and the shell: they come with a copy from a web page or chat.
LOOKALIKES = {
    "\u00a0": "a no-break space",
    "\u202f": "a narrow no-break space",
    "\u2007": "a figure space",
    "\u200b": "a zero-width space",
    "\u2060": "a zero-width joiner",
    "\ufeff": "a byte order mark",
    "\u2018": "a typographic quote",
    "\u2019": "a typographic quote",
    "\u201c": "a typographic quote",
    "\u201d": "a typographic quote",
    "\u201e": "a typographic quote",
    "\u2013": "an en dash",
    "\u2014": "an em dash",
    "\u2212": "a minus sign that is no hyphen",
    "\uff05": "a full-width percent sign",
}
LIKELY_PROGRAM = re.compile(
    r"\[|awk|bash|cd|command|curl|docker|echo|env|exec|find|flock|if|jobctl|logger|nice|node|php|perl|pg_dump|psql"
    r"|python3?|rm|rsync|run-parts|sh|sleep|systemctl|tar|test|timeout|wget"
)
SYSTEM_USER = re.compile(r"root|daemon|nobody|www-data|backup|mail|postgres|mysql|nginx|apache|ubuntu|debian")


def lint_file(case: Case) -> Iterator[Finding]:
    """What concerns the file as a whole."""
    lines = case.crontab.lines
    if case.text and not case.crontab.ends_with_newline and not _is_comment(lines[-1]):
        yield Finding(
            "no-newline", "error", len(lines), "the last line has no line end", IGNORED, "end the file with a newline"
        )
    endings = case.text.count("\r\n")
    if endings:
        first = next(line.number for line in lines if line.text.endswith("\r"))
        yield Finding(
            "crlf",
            "error",
            first,
            f"{endings} lines end as on Windows, in carriage return and line feed",
            "the carriage return becomes a part of each command and value, and an empty line a fault",
            "save the file with Unix line ends: sed -i 's/\\r$//' FILE",
        )
    name = case.place.cron_d_name
    if name is not None and not CRON_D_NAME.fullmatch(name):
        yield Finding(
            "file-name",
            "error",
            0,
            f"cron never looks at a file named {name!r} in cron.d",
            "only letters, digits, hyphens and underscores may stand in the name, no dot",
            f"rename it to {re.sub(r'[^A-Za-z0-9_-]+', '-', name.removesuffix('.cron')).strip('-') or 'jobs'}",
        )
    if len(lines) > MOST_LINES:
        yield Finding(
            "too-long", "error", MOST_LINES, f"there are {len(lines)} lines", IGNORED, f"stay below {MOST_LINES} lines"
        )
    yield from _facts(case)


def _facts(case: Case) -> Iterator[Finding]:
    facts = case.place.facts
    if facts is None:
        return
    if case.place.is_system:
        if facts.owner != "root":
            yield Finding(
                "file-owner", "error", 0, f"the file belongs to {facts.owner}", IGNORED, "chown root:root FILE"
            )
        if facts.mode & 0o022:
            yield Finding(
                "file-mode",
                "error",
                0,
                f"others than root may write it (mode {facts.mode:04o})",
                IGNORED,
                "chmod 644 FILE",
            )
    elif facts.mode & 0o077:
        yield Finding(
            "file-mode",
            "error",
            0,
            f"cron wants mode 0600 for a user's crontab, this one has {facts.mode:04o}",
            IGNORED,
            "install it with crontab FILE, which sets the mode",
        )
    if facts.links > 1:
        yield Finding(
            "file-links",
            "error",
            0,
            f"the file has {facts.links} hard links",
            IGNORED,
            "copy the file instead of linking",
        )


def lint_lines(case: Case) -> Iterator[Finding]:
    """What concerns each line as text."""
    for line in case.crontab.lines:
        if _is_comment(line):
            continue
        lookalike = _lookalike(line)
        if lookalike is not None:
            yield lookalike
        if line.text.rstrip(BLANKS + "\r").endswith("\\"):
            yield Finding(
                "continuation",
                "error",
                line.number,
                "the line ends in a backslash",
                "cron knows no continued lines: the next line is read as a line of its own",
                "write it as one line, or put the commands into a script",
            )
        if isinstance(line, Unreadable) and line.text.strip() and lookalike is None:
            code = "assignment" if line.reason.startswith("is no assignment") else "fields"
            yield Finding(code, "error", line.number, f"the line {line.reason}", IGNORED, _mend_of(code))
        elif isinstance(line, Assignment) and len(line.text.strip()) > LONGEST_ASSIGNMENT:
            yield _too_long(line, "only the beginning of the value is kept", "put the value into the environment file")
        elif isinstance(line, Entry):
            if len(line.command) > LONGEST_COMMAND:
                yield _too_long(line, IGNORED, "put the commands into a script")
            yield from _who(case, line)


def is_broken(line: Entry, crontab: Crontab) -> bool:
    """Whether a field is one too many or holds what no field can, so that the rest is not what it seems."""
    return not line.schedule.isascii() or bool(_has_six_fields(line, crontab.is_system))


def _mend_of(code: str) -> str:
    if code == "assignment":
        return 'write NAME="value" (for an empty one NAME=""), and comments on lines of their own'
    return f"write {', '.join(FIELDS)}, then the command (in a system crontab the user before it)"


def _too_long(line: Line, why: str, mend: str) -> Finding:
    what = f"the line is too long, with {len(line.text)} characters"
    return Finding("too-long", "error", line.number, what, why, mend)


def _lookalike(line: Line) -> Finding | None:
    found = next((c for c in line.text if c in LOOKALIKES), None)
    if isinstance(line, Entry):
        where = line.text[: len(line.text) - len(line.command)]
        odd = next((c for c in where if not c.isascii()), None)
        found = found or odd
    elif isinstance(line, Unreadable):
        found = found or next((c for c in line.text if not c.isascii()), None)
    if found is None:
        return None
    return Finding(
        "lookalike",
        "error",
        line.number,
        f"there is {LOOKALIKES.get(found, 'a character outside ASCII')} (U+{ord(found):04X}) in the line",
        "it is no blank, quote or hyphen to cron and the shell, though it looks like one",
        "type the line anew instead of pasting it",
    )


def _who(case: Case, entry: Entry) -> Iterator[Finding]:
    """Whether a user stands where one must stand, and none where none may."""
    too_many = _has_six_fields(entry, case.crontab.is_system)
    if too_many:
        yield Finding("six-fields", "error", entry.number, *too_many)
    elif not entry.command.strip():
        what = "the line has no command"
        yield Finding("no-command", "error", entry.number, what, "cron starts a shell that does nothing", "add one")
    elif entry.user is None:
        user, _, rest = entry.command.partition(" ")
        if _is_user(user, case) and _looks_like_program(rest.lstrip(), anything=user == "root"):
            yield Finding(
                "user-field",
                "error",
                entry.number,
                f"{user!r} stands before the command as in /etc/cron.d",
                f"a user's own crontab has no user field: cron looks for a program named {user}",
                f"take {user} away, or install the file in /etc/cron.d",
            )
    elif _is_program_in_place_of_user(entry.user, entry.command, case):
        yield Finding(
            "no-user",
            "error",
            entry.number,
            f"{entry.user!r} stands where the user belongs",
            f"a line of /etc/crontab or /etc/cron.d names its user first; without one {IGNORED}",
            "write the user between the five fields and the command",
        )
    elif case.known.users is not None and entry.user not in case.known.users:
        yield Finding(
            "unknown-user",
            "error",
            entry.number,
            f"there is no user {entry.user!r} on this machine",
            IGNORED,
            f"create the user (adduser --system {entry.user}) or name another",
        )


def _has_six_fields(entry: Entry, is_system: bool) -> tuple[str, str, str] | None:
    """What, why and mend where a sixth time field stands before the command."""
    first = entry.user if is_system else entry.command.partition(" ")[0].strip(BLANKS)
    if entry.schedule.startswith("@") or not first or not FIELD_LIKE.fullmatch(first):
        return None
    return (
        f"there are more than five time fields: {first!r} follows them",
        "this cron knows neither seconds nor years; the sixth field is taken for the "
        + ("user" if is_system else "command"),
        f"keep five: {', '.join(FIELDS)}",
    )


def _is_user(word: str, case: Case) -> bool:
    return bool(SYSTEM_USER.fullmatch(word)) or (case.known.users is not None and word in case.known.users)


def _looks_like_program(text: str, *, anything: bool) -> bool:
    word = text.partition(" ")[0]
    return bool(word) and (anything or word.startswith("/") or bool(LIKELY_PROGRAM.fullmatch(word)))


def _is_program_in_place_of_user(user: str, command: str, case: Case) -> bool:
    if not USER_NAME.fullmatch(user):
        return True
    if case.known.users is not None and user in case.known.users and user != "jobctl":
        return False
    first = command.partition(" ")[0]
    if user == "jobctl":  # the user's name and the program's
        return any(name.split()[0] == first for name in case.known.commands) or first in case.known.planned_jobs
    return bool(LIKELY_PROGRAM.fullmatch(user))


def _is_comment(line: Line) -> bool:
    return type(line) is Line
