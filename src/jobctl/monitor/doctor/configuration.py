"""The settings: every fault of them, and what was passed over."""

from collections.abc import Iterator

from jobctl.monitor.doctor.finding import Finding, failed, ok, warning
from jobctl.monitor.doctor.situation import Situation
from jobctl.settings_reading.fault import Fault

LIMITS = ("lock_timeout_ms", "statement_timeout_ms", "idle_in_transaction_timeout_ms", "lease_s", "max_runtime_s")


def check_faults(situation: Situation) -> Iterator[Finding]:
    from jobctl.schedule.from_settings import schedule_faults

    faults = situation.faults
    if situation.loaded is not None:
        faults = schedule_faults(situation.loaded)
    yield from (judge_fault(fault) for fault in faults)
    if not faults and situation.loaded is not None:
        read = ", ".join(str(path) for path in situation.loaded.files) or "no files"
        yield ok("settings.faults", f"settings are in order ({read})")


def judge_fault(fault: Fault) -> Finding:
    is_limit = any(name in LIMITS for name in fault.setting.split(", "))
    return failed(
        "settings.limits" if is_limit else "settings.faults",
        f"{fault.message} ({fault.origin})",
        why="every command refuses to start with it, at night too (exit 78)",
        mend=fault.mend,
        is_configuration=True,
    )


def check_notes(situation: Situation) -> Iterator[Finding]:
    loaded = situation.loaded
    for note in loaded.notes if loaded is not None else ():
        yield warning(
            "settings.passed_over",
            note,
            why="what stands in that file is not in force",
            mend="name it in JOBCTL_ENV_FILE or JOBCTL_CONFIG, or move it to /etc/jobctl",
        )
