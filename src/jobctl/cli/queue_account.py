"""Carries a change of tasks out, tells and logs what became of each; exit 1 when a named one could not be changed."""

import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from jobctl.cli.render import note, print_json, print_text
from jobctl.cli.session import current_settings, open_database, redactor
from jobctl.errors import EXIT_FAILED, Interrupted, UsageError

if TYPE_CHECKING:
    from jobctl.queue.changes import Changed
    from jobctl.queue.sweep import Change, Which

SHOWN_ITEMS = 100  # of a filter's tasks that did not go the usual way
DONE = {"retry": "queued", "cancel": "cancelled", "block": "blocked", "unblock": "queued", "purge": "removed"}
# Why a task in this state is left as it is; a state that is the aim itself is no refusal.
WHY_NOT = {
    "retry": {
        "running": "a worker runs it",
        "blocked": "it is blocked (jobctl queue unblock)",
        "succeeded": "it succeeded; enqueue it anew",
    },
    "cancel": {"succeeded": "it has succeeded", "failed": "it has failed for good; jobctl queue purge removes it"},
    "block": dict.fromkeys(("succeeded", "failed", "cancelled"), "it has finished") | {"running": "a worker runs it"},
    "unblock": dict.fromkeys(("succeeded", "failed", "cancelled"), "it has finished") | {"running": "a worker runs it"},
}


@dataclass
class Account:
    """What a change did. `left` counts the tasks that were changed by the state they had."""

    action: str
    dry_run: bool = False
    left: Counter[str] = field(default_factory=Counter[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    items: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, done: "Sequence[Changed]", *, all_items: bool) -> None:
        for each in done:
            if each.twin is None:
                result, why = "changed", ""
            elif each.now == each.was:
                result, why = "refused", f"task {each.twin} waits for the same"
            else:
                result, why = "superseded", f"task {each.twin} waits for the same"
            self.counts[result] += 1
            if result != "refused":
                self.left[each.was] += 1
            if all_items or (result != "changed" and len(self.items) < SHOWN_ITEMS):
                self.items.append(_item(each.task_id, result, each.type, each.was, each.now, each.twin, why))

    def as_json(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "dry_run": self.dry_run,
            "changed": self.counts["changed"],
            "superseded": self.counts["superseded"],
            "unchanged": self.counts["unchanged"],
            "refused": self.counts["refused"],
            "left": dict(self.left),
            "items": self.items,
            "next": None,
        }


def by_number(action: str, task_ids: Sequence[int], change: "Change", as_json: bool) -> None:
    """Exit 1 when one of the named tasks could not be changed; the others are."""
    from jobctl.queue import changes, sweep

    account = Account(action)
    wanted = list(dict.fromkeys(task_ids))
    database = open_database(current_settings())
    with database.connect(purpose=f"queue {action}") as conn:
        for first in range(0, len(wanted), sweep.BATCH):
            batch = wanted[first : first + sweep.BATCH]
            done = sweep.change_these(database, conn, batch, change)
            account.add(done, all_items=True)
            rest = set(batch) - {each.task_id for each in done}
            states = changes.states(conn, rest)
            for task_id in sorted(rest):
                _add_untouched(account, task_id, states.get(task_id))
    account.items.sort(key=lambda item: item["task_id"])
    _log(account, task_ids=wanted[:SHOWN_ITEMS])
    if as_json:
        print_json(account.as_json())
    else:
        for item in account.items:
            _tell(item)
    if account.counts["refused"]:
        raise typer.Exit(EXIT_FAILED)


def by_filter(
    action: str,
    which: "Which",
    change: "Change",
    as_json: bool,
    *,
    ask: str | None = None,
    dry_run: bool = False,
) -> None:
    """`ask` is the word for what becomes of the tasks, where that must be confirmed first."""
    from jobctl.queue import sweep

    account = Account(action, dry_run)
    database = open_database(current_settings())
    with database.connect(purpose=f"queue {action}") as conn:
        if dry_run:
            account.left.update(sweep.count(conn, which))
            account.counts["changed"] = account.left.total()
        else:
            if ask is not None and not _is_sure(ask, sweep.count(conn, which)):
                return
            try:
                for done in sweep.sweep(database, conn, which, change):
                    account.add(done, all_items=False)
            except KeyboardInterrupt:
                _log(account, filter=_filter_of(which))
                raise Interrupted(
                    f"stopped; {account.left.total():,} tasks were {DONE[action]} until then",
                    signal_number=signal.SIGINT,
                ) from None
    if not dry_run:
        _log(account, filter=_filter_of(which))
    if as_json:
        print_json(account.as_json())
    else:
        _sum_up(account)


def _is_sure(word: str, found: dict[str, int]) -> bool:
    """Raises UsageError where there is nobody to ask. Nothing to do needs no answer."""
    number = sum(found.values())
    if not number:
        return True
    told = f"{number:,} tasks ({_by_state(found)}) would be {word}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"nothing was done: {told}", hint="add --yes")
    if typer.confirm(f"{told}. Go on?", err=True):
        return True
    note("Nothing was done.")
    raise typer.Exit(EXIT_FAILED)


def _add_untouched(account: Account, task_id: int, state: str | None) -> None:
    why = "there is no such task" if state is None else WHY_NOT[account.action].get(state, "")
    result = "refused" if why else "unchanged"
    account.counts[result] += 1
    account.items.append(_item(task_id, result, None, state, state, None, why))


def _item(
    task_id: int, result: str, type_: str | None, was: str | None, now: str | None, twin: int | None, why: str
) -> dict[str, Any]:
    return {"task_id": task_id, "result": result, "type": type_, "was": was, "now": now, "twin": twin, "why": why}


def _tell(item: dict[str, Any]) -> None:
    if item["result"] == "refused":
        standing = f" stays {item['was']}" if item["was"] else ""
        note(f"task {item['task_id']}{standing}: {item['why']}")
    elif item["result"] == "unchanged":
        print_text(f"task {item['task_id']} is {item['was']} already")
    else:
        print_text(
            f"task {item['task_id']}: {item['was']} -> {item['now']}" + (f" ({item['why']})" if item["why"] else "")
        )


def _sum_up(account: Account) -> None:
    verb = f"would be {DONE[account.action]}" if account.dry_run else f"{DONE[account.action]} now"
    changed = {state: number for state, number in account.left.items() if number}
    if not changed and not account.counts["refused"]:
        print_text("There are no such tasks.")
        return
    if account.action == "purge" and not account.dry_run:
        verb = "removed, with their tries"
    number = account.counts["changed"]
    print_text(
        f"{number:,} {'task' if number == 1 else 'tasks'} {verb}" + (f" (were {_by_state(changed)})" if changed else "")
    )
    for result, told in (
        ("superseded", "cancelled, since a twin waits"),
        ("refused", "left as they are, since a twin waits"),
    ):
        if account.counts[result]:
            named = [f"{item['task_id']} ({item['twin']})" for item in account.items if item["result"] == result][:10]
            more = ", ..." if account.counts[result] > len(named) else ""
            print_text(f"{account.counts[result]:,} {told}: task (twin) {', '.join(named)}{more}")


def _by_state(found: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in sorted(found.items()))


def _filter_of(which: "Which") -> dict[str, object]:
    return {name: value for name, value in which._asdict().items() if value is not None}


def _log(account: Account, **fields: object) -> None:
    from jobctl import log
    from jobctl.accounts import current_user

    log.configure(current_settings(), redactor(), keep_stdout=True)
    log.get_logger().info(
        f"queue.{account.action}",
        f"{account.counts['changed'] + account.counts['superseded']} tasks were changed by hand",
        os_user=current_user(),
        left=dict(account.left),
        **{name: account.counts[name] for name in ("changed", "superseded", "unchanged", "refused")},
        **fields,
    )
