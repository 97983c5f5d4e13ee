"""The files a run needs: there, of the right owner, readable or writable for the user of cron, closed to others."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from jobctl.accounts import shown_user
from jobctl.monitor.doctor.account import ROOT, Account, Facts, facts_of, may
from jobctl.monitor.doctor.disk import existing
from jobctl.monitor.doctor.finding import Finding, failed, ok, skipped, warning
from jobctl.monitor.doctor.path_walk import steps, where_it_ends
from jobctl.monitor.doctor.situation import Situation
from jobctl.settings import SECRETS
from jobctl.settings_reading.load import Loaded

Kind = Literal["env", "config", "log", "data", "archive"]
DIRECTORIES: tuple[Kind, ...] = ("data", "archive")
WORDS: dict[Kind, str] = {
    "env": "env file",
    "config": "config file",
    "log": "log file",
    "data": "data directory",
    "archive": "archive directory",
}
CLOSED: dict[Kind, str] = {"env": "600", "config": "644", "log": "640", "data": "700", "archive": "700"}


def check_settings_files(situation: Situation) -> Iterator[Finding]:
    for path in situation.files:
        kind, has_secret = _content(path, situation)
        yield _on_the_way(kind, path, situation) or judge_mode(
            kind, facts_of(path), situation.cron_user, has_secret=has_secret
        )
    if not situation.files:
        yield ok("files.settings", "there is no settings file: settings come from the environment and defaults")


def check_log(situation: Situation) -> Iterator[Finding]:
    path = situation.settings.log_file
    if path is None or path == Path("-"):
        yield ok("files.log", "no log file is set: what runs leave is the history and cron's mail")
    else:
        yield _to_be_written("log", path, situation)


def check_data(situation: Situation) -> Iterator[Finding]:
    yield _to_be_written("data", situation.settings.data_dir, situation)


def check_archive(situation: Situation) -> Iterator[Finding]:
    path = situation.settings.archive_dir
    if path == situation.settings.data_dir / "archive" and not path.exists():
        yield ok("files.archive", f"{path} is made in the data directory by the first report")
    else:
        yield _to_be_written("archive", path, situation)


def _to_be_written(kind: Kind, path: Path, situation: Situation) -> Finding:
    way = _on_the_way(kind, path, situation)
    if way is not None:
        return way
    try:
        facts = facts_of(path)
    except FileNotFoundError:
        return judge_missing(kind, path, facts_of(existing(path)), situation.cron_user)
    allowed = _server_accounts(situation) if kind == "data" else ()
    return judge_mode(kind, facts, situation.cron_user, also=allowed)


def judge_missing(kind: Kind, path: Path, above: Facts, account: Account) -> Finding:
    """A log file and the directories of data and archive are made by the first run, if it may: a log file only in a
    directory that is there."""
    check = f"files.{kind}"
    can_be_made = may(account, above, "write") and may(account, above, "pass")
    if can_be_made and (kind in DIRECTORIES or above.path == path.parent):
        return ok(check, f"{path} is not there yet; the first run makes it")
    if kind == "log" and above.path != path.parent:
        text, mend = f"{path.parent} is not there", f"install -d -o {account.name} -m 750 {_quoted(path.parent)}"
    else:
        text = f"{path} is not there, and {account.name} may not make it in {above.path}"
        mend = f"install -d -o {account.name} -m 700 {_quoted(path)}"
        if kind == "log":
            mend = f"install -o {account.name} -m 640 /dev/null {_quoted(path)}"
    return failed(check, text, why=_why(kind), mend=mend)


def judge_mode(
    kind: Kind, facts: Facts, account: Account, *, has_secret: bool = False, also: tuple[int, ...] = ()
) -> Finding:
    """Owner and mode of one that is there. `also` are accounts that may own it besides root and cron's user."""
    check, word = f"files.{kind}", f"{WORDS[kind]} {facts.path}"
    mode = f"mode {facts.permissions:04o}"
    chmod = f"chmod {CLOSED[kind]} {_quoted(facts.path)}"
    lacking = _lacking(kind, facts, account)
    if facts.is_directory != (kind in DIRECTORIES):
        return failed(
            check, f"{word} is no {'directory' if kind in DIRECTORIES else 'file'}", why=_why(kind), mend="move it"
        )
    if facts.uid not in (ROOT, account.uid, *also):
        text = f"{word} belongs to {shown_user(facts.uid)}"
        return failed(
            check, text, why="its owner can change it as they like", mend=f"chown {account.name} {_quoted(facts.path)}"
        )
    if lacking:
        mend = f"chown {account.name} {_quoted(facts.path)} && {chmod}"
        return failed(check, f"{account.name} may not {lacking} {word} ({mode})", why=_why(kind), mend=mend)
    if has_secret and facts.permissions & 0o077:
        return failed(
            check,
            f"{word} holds a secret and is open to others ({mode})",
            why="whoever reads it can use the secret; jobctl refuses such a file (exit 78)",
            mend=f"chmod 600 {_quoted(facts.path)}",
            is_configuration=True,
        )
    if facts.permissions & 0o002 or (kind in DIRECTORIES and facts.permissions & 0o020):
        return failed(check, f"others can write to {word} ({mode})", why=_why_closed(kind), mend=chmod)
    if facts.permissions & 0o020:
        return warning(check, f"its group can write to {word} ({mode})", why=_why_closed(kind), mend=chmod)
    return ok(check, f"{word} is {account.name}'s to use ({mode})")


def _lacking(kind: Kind, facts: Facts, account: Account) -> str:
    if kind in ("env", "config"):
        return "" if may(account, facts, "read") else "read"
    if kind == "log":
        return "" if may(account, facts, "write") else "write to"
    return "" if all(may(account, facts, want) for want in ("read", "write", "pass")) else "use"


def _on_the_way(kind: Kind, path: Path, situation: Situation) -> Finding | None:
    """A directory above that the user of cron cannot pass."""
    above = existing(path.parent)
    try:
        walked = steps(above)
    except OSError as error:
        return skipped(f"files.{kind}", f"{path} cannot be looked at: {error.strerror}")
    # The last one must be passed, not read.
    end = where_it_ends([*walked, *walked[:1]], situation.cron_user)
    if end is None:
        return None
    return failed(
        f"files.{kind}",
        f"{end}, and so not {path}",
        why=_why(kind),
        mend=f"move it, or open the way to {situation.cron_user.name}",
    )


def _content(path: Path, situation: Situation) -> tuple[Kind, bool]:
    """Which of the two kinds of settings file it is, and whether a secret comes from it."""
    origins: dict[str, str] = {}
    for loaded in (situation.loaded, situation.by_night):
        if isinstance(loaded, Loaded):
            origins |= {name: origin for name, origin in loaded.origins.items() if origin.endswith(f"file {path}")}
    kind: Kind = "config" if path.suffix == ".toml" or "config file" in " ".join(origins.values()) else "env"
    return kind, not SECRETS.isdisjoint(origins)


def _server_accounts(situation: Situation) -> tuple[int, ...]:
    """Root's embedded server runs as an account of its own, which may own its data."""
    from jobctl.monitor.doctor.account import account_named

    account = account_named(situation.settings.run_as_user)
    return (account.uid,) if account is not None and situation.cron_user.uid == ROOT else ()


def _why(kind: Kind) -> str:
    return {
        "env": "a start by cron would not have its settings (exit 78)",
        "config": "a start by cron would not have its settings (exit 78)",
        "log": "runs would leave no log; each tells so on stderr, which cron mails",
        "data": "the embedded server cannot start, and a run without a database has nowhere to leave its record",
        "archive": "`jobctl report` could not move old rows out of the database, which would grow",
    }[kind]


def _why_closed(kind: Kind) -> str:
    return {
        "env": "who can write settings can send data and secrets elsewhere",
        "config": "who can write settings can send data elsewhere",
        "log": "who can write the log can forge what a run said",
        "data": "who can write there can put other data in its place",
        "archive": "who can write there can change or remove the only copy of old rows",
    }[kind]


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
