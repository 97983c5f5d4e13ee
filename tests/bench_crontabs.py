"""Crontabs for the linter: those in `crontabs/` are in order, each of BROKEN has one fault, named by its code."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jobctl.schedule.finding import CommandShape, FileFacts, Known, Place

GOOD = sorted(path for path in (Path(__file__).parent / "crontabs").glob("*/*") if path.is_file())
SHARED = {"--scheduled": False, "--json": False, "--verbose": False, "-v": False, "--max-runtime": True}
KNOWN = Known(
    zone="Europe/Berlin",
    now=datetime(2026, 1, 15, 12, 0, tzinfo=UTC),
    commands={
        "ingest-branch": CommandShape({**SHARED, "--branch": True, "--full": False, "--dry-run": False}),
        "run": CommandShape({**SHARED, "--when-db-down": True}, arguments=None),
        "branch list": CommandShape({"--json": False}),
        "branch load": CommandShape({"--full": False}, arguments=2),
        "db migrate": CommandShape({"--json": False}),
    },
    planned_jobs=("ingest-branch", "sync", "metrics", "report", "retry-failed", "work"),
    max_runtime_s={"ingest-branch": 3_300, "run": 540},
)
JOBCTL = "/opt/jobctl/bin/jobctl"
INGEST = f"{JOBCTL} ingest-branch --scheduled"
USER = Place(is_system=False)
CRON_D = Place(is_system=True, cron_d_name="jobs")


@dataclass(frozen=True, slots=True)
class Broken:
    code: str
    text: str
    line: int = 1
    place: Place = USER
    is_only_warned_of: bool = False
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.code}-{self.name}" if self.name else self.code


def in_cron_d(name: str = "jobs", owner: str = "root", mode: int = 0o644, links: int = 1) -> Place:
    return Place(is_system=True, cron_d_name=name, facts=FileFacts(owner, mode, links))


WARNED = True
BROKEN = [
    Broken("percent", "0 1 * * * pg_dump shop > /srv/shop-$(date +%F).sql\n"),
    Broken("percent", "0 1 * * * curl -s -o /dev/null -w '%{http_code}' https://example.org\n", name="quoted"),
    Broken("percent", "0 1 * * * /usr/bin/fetch https://example.org/a%20b\n", 1, USER, WARNED, "in-a-url"),
    Broken("user-field", f"0 * * * * root {INGEST}\n"),
    Broken("user-field", f"0 * * * * www-data {INGEST}\n", name="www-data"),
    Broken("no-user", f"0 * * * * {INGEST}\n", 1, CRON_D),
    Broken("no-user", "0 * * * * jobctl ingest-branch --scheduled\n", 1, CRON_D, name="bare-jobctl"),
    Broken("no-user", "@daily /usr/local/bin/tidy --all\n", 1, CRON_D, name="nickname"),
    Broken("no-newline", f"MAILTO=root\n0 * * * * {INGEST}", 2),
    Broken("crlf", f"MAILTO=root\r\n0 * * * * {INGEST}\r\n"),
    Broken("file-name", f"0 * * * * root {INGEST}\n", 0, in_cron_d("jobctl.cron")),
    Broken("file-name", f"0 * * * * root {INGEST}\n", 0, in_cron_d("jobs~"), name="backup"),
    Broken("file-owner", f"0 * * * * root {INGEST}\n", 0, in_cron_d(owner="deploy")),
    Broken("file-mode", f"0 * * * * root {INGEST}\n", 0, in_cron_d(mode=0o664)),
    Broken("file-mode", f"0 * * * * {INGEST}\n", 0, Place(False, facts=FileFacts("etl", 0o644)), name="of-a-user"),
    Broken("file-links", f"0 * * * * root {INGEST}\n", 0, in_cron_d(links=2)),
    Broken("relative-command", "0 1 * * * ./backup.sh\n", 1, USER, WARNED),
    Broken("relative-command", "0 1 * * * cd srv && scripts/backup.sh\n", 1, USER, WARNED, "behind-cd"),
    Broken("relative-file", f"JOBCTL_ENV_FILE=jobctl.env\n0 * * * * {INGEST}\n"),
    Broken("unknown-job", f"0 * * * * {JOBCTL} ingest-brunch --scheduled\n"),
    Broken("unknown-job", f"0 2 * * * {JOBCTL} db migrat\n", name="in-a-group"),
    # Of a plan that is ahead of the program: jobctl itself has this command.
    Broken("unknown-job", f"20 * * * * {JOBCTL} report --scheduled\n", name="planned"),
    Broken("unknown-option", f"0 * * * * {INGEST} --max-runtim 55m\n"),
    Broken("unknown-option", f"0 * * * * {INGEST} -x\n", name="short"),
    Broken("option-value", f"0 * * * * {INGEST} --max-runtime 55minutes\n"),
    Broken("option-value", f"0 * * * * {INGEST} --branch\n", name="missing"),
    Broken("arguments", f"0 * * * * {INGEST} airports\n"),
    Broken("arguments", f"0 * * * * {INGEST} -- airports\n", name="behind-hyphens"),
    Broken("fields", "0 * * *\n"),
    Broken("fields", "@daily root\n", 1, CRON_D, name="nickname"),
    Broken("no-command", "0 * * * *\n"),
    Broken("assignment", f"MAILTO=\n0 * * * * {INGEST}\n"),
    Broken("assignment", f"A='b' # c\n0 * * * * {INGEST}\n", name="comment"),
    Broken("assignment", f"export A=b\n0 * * * * {INGEST}\n", name="export"),
    Broken("expression", f"0 24 * * * {INGEST}\n"),
    Broken("expression", "0 2 * * sat-sun /usr/local/bin/weekend\n", name="backwards"),
    Broken("expression", "0 2 * * monday /usr/local/bin/week\n", name="long-name"),
    Broken("expression", "0/15 * * * * /usr/local/bin/poll\n", name="step"),
    Broken("expression", "@Daily /usr/local/bin/tidy\n", name="nickname"),
    Broken("never", "0 2 31 feb * /usr/local/bin/yearly\n"),
    Broken("six-fields", f"0 0 * * * * {INGEST}\n"),
    Broken("six-fields", f"0 0 2 * * * root {INGEST}\n", 1, CRON_D, name="system"),
    Broken("six-fields", "0 0 12 * * ? /usr/local/bin/noon\n", name="quartz"),
    Broken("foreign-syntax", "0 2 L * * /usr/local/bin/month-end\n"),
    Broken("foreign-syntax", "0 2 * * 5#2 /usr/local/bin/second-friday\n", name="nth"),
    Broken("foreign-syntax", "H 2 * * * /usr/local/bin/spread\n", name="hash"),
    Broken("max-runtime", f"*/30 * * * * {INGEST} --max-runtime 55m\n"),
    Broken("max-runtime", f"0,50 * * * * {INGEST}\n", 1, USER, WARNED, "default"),
    Broken("same-minute", f"0 * * * * {INGEST}\n30 2,3 * * * {INGEST} --full\n0 9 * * 1 {INGEST} --full\n", 3),
    Broken("same-minute", f"0 * * * * {INGEST}\n0 9 * * 1 {INGEST} --branch airports\n", 2, name="one-branch-of-all"),
    Broken("clock-change", "*/10 2 * * * /usr/local/bin/poll\n", 1, USER, WARNED),
    Broken("foreign-setting", f"CRON_TZ=Europe/Berlin\n0 * * * * {INGEST}\n"),
    Broken("zone", f"TZ=America/New_York\n0 * * * * {INGEST}\n", 1, USER, WARNED),
    Broken("no-expansion", f"PATH=$PATH:/opt/bin\n0 * * * * {INGEST}\n"),
    Broken("no-expansion", f"JOBCTL_ENV_FILE=~/jobctl.env\n0 * * * * {INGEST}\n", name="home"),
    Broken("no-expansion", f'TODAY="`date`"\n0 * * * * {INGEST}\n', name="backticks"),
    Broken("silent", "0 1 * * * /usr/local/bin/backup >/dev/null 2>&1\n", 1, USER, WARNED),
    Broken("silent", "SHELL=/bin/bash\n0 1 * * * /usr/local/bin/backup &> /dev/null\n", 2, USER, WARNED, "bash"),
    Broken("path", "0 * * * * jobctl ingest-branch --scheduled\n"),
    Broken("path", "0 1 * * * npm run nightly\n", 1, USER, WARNED, "npm"),
    Broken("path", "1 1 1 * * shutdown -r now\n", 1, USER, WARNED, "sbin"),
    Broken("path", f"PATH=/opt/jobctl/bin\n0 * * * * {INGEST} || logger failed\n", 2, USER, WARNED, "too-short"),
    Broken("path", f"PATH=/usr/bin:/bin:.\n0 * * * * {INGEST}\n", 1, USER, WARNED, "relative"),
    Broken("shell", f"SHELL=bash\n0 * * * * {INGEST}\n"),
    Broken("mail-address", f"MAILTO=a@example.org, b@example.org\n0 * * * * {INGEST}\n", 1, USER, WARNED),
    Broken("either-day", "0 9 1-7 * 1 /usr/local/bin/first-monday\n", 1, USER, WARNED),
    Broken("every-minute", "* 3 * * * /usr/local/bin/backup\n", 1, USER, WARNED),
    Broken("not-scheduled", f"0 * * * * {JOBCTL} ingest-branch --max-runtime 55m\n", 1, USER, WARNED),
    Broken("not-scheduled", f"0 * * * * {JOBCTL} run backup -- /bin/backup --scheduled\n", 1, USER, WARNED, "wrapped"),
    Broken("duplicate", f"0 * * * * {INGEST}\n0  *  *  *  *  {INGEST}\n", 2),
    Broken("secret", f"DATABASE_URL=postgresql://etl:s3cretword@db/shop\n0 * * * * {INGEST}\n"),
    Broken("secret", "0 * * * * curl -fsS 'https://example.org/hook?token=abcdef123456'\n", name="in-a-url"),
    Broken("secret", f"API_TOKEN=abcdef123456\n0 * * * * {INGEST}\n", name="assigned"),
    Broken("secret", "0 1 * * * mysqldump --user=root --password=Gartenzaun shop -r /srv/d.sql\n", name="option"),
    Broken("lookalike", f"0\u00a02 * * * {INGEST}\n"),
    Broken("lookalike", "0 2 * * * echo \u201cgood night\u201d\n", name="quotes"),
    Broken("lookalike", f"\ufeff0 2 * * * {INGEST}\n", name="byte-order-mark"),
    Broken("reboot", f"@reboot {INGEST}\n"),
    Broken("too-long", f"0 2 * * * echo {'x' * 1_000}\n"),
    Broken("too-long", f"LONG={'x' * 1_000}\n0 2 * * * {INGEST}\n", name="assignment"),
    Broken("continuation", "0 2 * * * /usr/local/bin/backup \\\n"),
    Broken("inline-comment", f"MAILER=fast # not the slow one\n0 * * * * {INGEST}\n", 1, USER, WARNED),
    Broken("late-assignment", f"0 * * * * {INGEST}\nMAILTO=root\n", 2, USER, WARNED),
    Broken("bash-only", "0 2 * * * source /srv/venv/bin/activate && python -m etl\n"),
    Broken("bash-only", "0 2 * * * /usr/local/bin/backup &> /var/log/backup.log\n", name="both-streams"),
]
