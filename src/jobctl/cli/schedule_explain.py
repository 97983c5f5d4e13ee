"""`jobctl schedule explain`: why a line did or did not fire at a minute, and what the ledger knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobctl.cli import render
from jobctl.cli.schedule_lines import ScheduleLine, scopes_in_history, table_state
from jobctl.cli.schedule_views import run_json
from jobctl.cli.session import database_if_reachable
from jobctl.cli.slot_commands import slot_json
from jobctl.cli.times import on_the_clock

if TYPE_CHECKING:
    from jobctl.runtime.runs_beside_schedule import RunRow
    from jobctl.schedule.explain import Explanation
    from jobctl.schedule.slots import Slot
    from jobctl.settings import Settings


@dataclass(frozen=True, slots=True)
class Told:
    """One line at one moment. `slot` and `runs` say what happened, as far as the database could be asked."""

    line: ScheduleLine
    explanation: "Explanation"
    remarks: tuple[str, ...]
    slot: "Slot | None"
    runs: "tuple[RunRow, ...]"
    history_is_known: bool

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*self.remarks, *self.explanation.reasons)

    def as_json(self) -> dict[str, object]:
        return {
            **self.line.as_json(),
            "at": self.explanation.at,
            "fires": self.explanation.fires,
            "reasons": self.reasons,
            "fields": [
                {"name": field.name, "field": field.field, "actual": field.actual, "is_matched": field.is_matched}
                for field in self.explanation.fields
            ],
            "before_at": self.explanation.before,
            "after_at": self.explanation.after,
            "history_is_known": self.history_is_known,
            "slot": slot_json(self.slot) if self.slot else None,
            "runs": [run_json(run) for run in self.runs],
        }


def explain_lines(settings: "Settings", lines: Sequence[ScheduleLine], at: str) -> list[Told]:
    """Each line at the minute `at`, which the clocks of its zone may show twice: then each time."""
    from jobctl.runtime.runs_beside_schedule import runs_of_slot
    from jobctl.schedule import slots
    from jobctl.schedule.explain import explain

    asked = [
        (line, explain(line.expression, moment, line.clock), reading.remarks)
        for line in lines
        for reading in [on_the_clock("--at", at, line.clock)]
        for moment in reading.moments
    ]
    database = database_if_reachable(settings)
    if database is None:
        return [Told(line, explanation, remarks, None, (), False) for line, explanation, remarks in asked]
    told: list[Told] = []
    with database.connect() as conn:
        for line, explanation, remarks in asked:
            minute = explanation.at
            scopes = scopes_in_history(line.job, line.scope)
            slot = slots.get(conn, line.job, line.scope, minute)
            runs = runs_of_slot(conn, line.job, scopes, minute, before=explanation.after)
            told.append(Told(line, explanation, remarks, slot, tuple(runs), True))
    return told


def print_told(told: Sequence[Told]) -> None:
    for number, each in enumerate(told):
        line, explanation = each.line, each.explanation
        zone = line.clock
        fires = "fires" if explanation.fires else "does not fire"
        if number:
            render.print_text("")
        render.print_text(f"{line.name}: {line.expression} ({line.expression.in_words()}; {table_state(line)})")
        render.print_text(f"  at {explanation.at:%a %Y-%m-%d %H:%M %Z} it {fires}:")
        for reason in each.reasons:
            render.print_text(f"    {reason}")
        for label, moment in (("start before", explanation.before), ("start after ", explanation.after)):
            render.print_text(f"  {label}: {moment.astimezone(zone):%a %Y-%m-%d %H:%M %Z}")
        render.print_text(f"  slot: {_slot(each)}")
        for run in each.runs:
            began = f"{run.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
            why = f": {render.one_line(run.error_message)}" if run.error_message else ""
            scope = f" of {run.scope}" if run.scope else ""
            render.print_text(f"  run {run.run_id}{scope}: {run.status} on {run.host}, began {began}{why}")


def _slot(each: Told) -> str:
    if not each.history_is_known:
        return "unknown: the database cannot be reached (jobctl db status)"
    if each.slot is None:
        return "nothing is recorded" if each.explanation.fires else "there is none"
    return each.slot.verdict + (f": {each.slot.reason}" if each.slot.reason else "")
