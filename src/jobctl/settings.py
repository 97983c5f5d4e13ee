"""Settings: read once, into one frozen model, and handed down. Nothing else reads the environment.

Strength: environment, then env file, then `jobctl.toml`, then the default; `settings_sources` says which files those
are. Names an operator already knows are the names here (DATABASE_URL, GITHUB_TOKEN, ...); every other setting is
JOBCTL_<NAME> in the environment and the env file. In the config file a key is the field's name. Seconds are written
`90` or `55m`; `max_runtime_s` is a table in the config file and `ingest-branch=55m,report=9m` in the environment, and
what it leaves out keeps its default. No option of any command takes a secret.

All faults are collected and raised as one InvalidSettings (exit 78), so that an operator mends them in one go.

pydantic-settings is not used. To a process that has loaded typer, psycopg and pydantic its import alone adds 28 ms of
CPU time; this module with a load adds 14 ms without files and 22 ms with both (medians of 31 pairs on a busy machine,
quartiles from 8 to 37 ms; after pydantic alone 35 ms). Nor do its errors say where a value came from. python-dotenv's
parser and tomllib are loaded only when there is a file to read.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from jobctl.durations import LONGEST_S, format_duration, parse_duration
from jobctl.errors import ConfigurationError
from jobctl.settings_schedules import ScheduleSettings, read_schedules
from jobctl.settings_sources import PREFIX, Fault, Found, Names, Value, did_you_mean, expand, find, user_directory

if TYPE_CHECKING:
    from jobctl.settings_alerts import AlertSettings
    from jobctl.settings_archive import ArchiveSettings
    from jobctl.settings_embeddings import EmbeddingSettings
    from jobctl.settings_mail import MailSettings
    from jobctl.settings_metrics import MetricsSettings, ServiceLevelSettings
    from jobctl.settings_monitor import SloSettings
    from jobctl.settings_queue import QueueSettings
    from jobctl.settings_report import ReportSettings
    from jobctl.settings_sync import SyncSettings

DEFAULT_MAX_RUNTIME_S: Final[Mapping[str, int]] = {
    "ingest-branch": 3_300,
    "sync": 540,
    "metrics": 540,
    "report": 540,
    "retry-failed": 540,
    "work": 540,
}
OTHER_MAX_RUNTIME_S: Final = 540

WELL_KNOWN: Final = frozenset(
    {
        "database_url",
        "branch_slug",
        "github_token",
        "github_api_url",
        "report_emails",
        "email_from",
        "smtp_url",
        "resend_api_key",
        "sendgrid_api_key",
        "slack_webhook_url",
        "enable_slack_alerts",
        "cron_secret",
    }
)
SHORTEST_APPRISE_SECRET: Final = 16  # a shorter word of an address is the name of a host or a room
ROOT_DATA_DIR: Final = Path("/var/lib/jobctl")
PATHS: Final = frozenset({"data_dir", "log_file", "textfile_dir", "output_dir", "github_app_key_file"})

# One user part and one host part, told apart as libpq does: what does not fit cannot be shown or connected to safely.
DATABASE_URL = re.compile(r"postgres(?:ql)?://(?:[^@/\s]*@)?[^@/?#\s]*(?:/[^@?#\s]*)?(?:\?\S*)?", re.IGNORECASE)
CONNINFO = re.compile(r"\s*[a-z_]+\s*=.*", re.DOTALL)
ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+|[^\s@<>,;\"]+@localhost")


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _fraction_of_seconds(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]*\.?[0-9]+", value):
        return parse_duration(value)
    return value


def _runtimes(value: object) -> object:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not sign for _, sign, _ in pairs):
            raise ValueError("is not of the form ingest-branch=55m,report=9m")
        value = {job.strip(): length for job, _, length in pairs}
    if not isinstance(value, Mapping):
        raise ValueError("is not a table of job and duration")  # noqa: TRY004 - pydantic collects only ValueError
    table: Mapping[object, object] = value  # pyright: ignore[reportUnknownVariableType]
    given = {str(job): _seconds(length) for job, length in table.items()}
    for job in given:
        if job not in DEFAULT_MAX_RUNTIME_S:
            meant = did_you_mean(job, DEFAULT_MAX_RUNTIME_S)
            raise ValueError(f"names {job!r}, which is not a job" + (f": did you mean {meant}?" if meant else ""))
    return {**DEFAULT_MAX_RUNTIME_S, **given}


def _schedules(value: object) -> object:
    return read_schedules(value, DEFAULT_MAX_RUNTIME_S.keys())


def _table_of_queue(value: object) -> object:
    from jobctl.settings_queue import read_queue  # only where there is a table: most starts have no use for it

    return read_queue(value)


def _table_of_alerts(value: object) -> object:
    from jobctl.settings_alerts import read_alerts

    return read_alerts(value)


def _table_of_archive(value: object) -> object:
    from jobctl.settings_archive import read_archive

    return read_archive(value)


def _table_of_embeddings(value: object) -> object:
    from jobctl.settings_embeddings import read_embeddings

    return read_embeddings(value)


def _table_of_sync(value: object) -> object:
    from jobctl.settings_sync import read_sync

    return read_sync(value)


def _table_of_mail(value: object) -> object:
    from jobctl.settings_mail import read_mail

    return read_mail(value)


def _table_of_metrics(value: object) -> object:
    from jobctl.settings_metrics import read_metrics

    return read_metrics(value)


def _table_of_service_levels(value: object) -> object:
    from jobctl.settings_metrics import read_service_levels

    return read_service_levels(value)


def _table_of_slo(value: object) -> object:
    from jobctl.settings_monitor import read_slo

    return read_slo(value)


def _table_of_report(value: object) -> object:
    from jobctl.settings_report import read_report

    return read_report(value)


def _tokens(value: object) -> object:
    from jobctl.settings_outside import checked_tokens

    return checked_tokens(value)


def _addresses(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise ValueError("is not a list of e-mail addresses")  # noqa: TRY004 - pydantic collects only ValueError
    text = value if isinstance(value, str) else ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    addresses = [part.strip() for part in text.split(",") if part.strip()]
    for address in addresses:
        if not ADDRESS.fullmatch(address):
            raise ValueError(f"has {address!r}, which is not an e-mail address")
    return tuple(dict.fromkeys(addresses))


def _sender(value: object) -> object:
    if isinstance(value, str):
        inner = re.fullmatch(r"[^<>]*<([^<>]*)>", value)
        if not ADDRESS.fullmatch(inner[1] if inner else value):
            raise ValueError("is not an e-mail address, alone or as: Name <address>")
    return value


def _slug(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError("is not a branch's slug: small letters, digits and hyphens, 63 at most")
    return value


def _zone(value: object) -> object:
    if value == "UTC" or not isinstance(value, str):
        return value
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        by_folded = {name.casefold(): name for name in zoneinfo.available_timezones()}
        meant = did_you_mean(value.casefold(), by_folded)
        raise ValueError(
            f"is not a time zone this machine knows: {value!r}"
            + (f"; did you mean {by_folded[meant]}?" if meant else "")
        ) from None
    return value


def _level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _database_url(value: object) -> object:
    if isinstance(value, str) and not CONNINFO.fullmatch(value):
        if not value.lower().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql:// (its value is not shown)")
        if not DATABASE_URL.fullmatch(value):
            raise ValueError(
                "is not a URL: percent-encode @ as %40, / as %2F and spaces in the password (its value is not shown)"
            )
    return value


def _url(*schemes: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str):
            scheme, found, rest = value.partition("://")
            host = rest.rpartition("@")[2]
            # Judged from the start, user and path included: an @ in either makes another host.
            loopback = re.match(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?(?:/|$)", rest) is not None
            if not found or not (
                scheme.lower() in schemes or (loopback and scheme.lower() == "http" and "https" in schemes)
            ):
                raise ValueError(f"must start with {' or '.join(s + '://' for s in schemes)} (its value is not shown)")
            if not re.match(r"[^/?#:\s]", host) or re.search(r"\s", value):
                raise ValueError("names no host or has a space in it (its value is not shown)")
        return value

    return check


def _pairs(text: str) -> dict[str, str]:
    """`ingest-branch=URL, run/backup=URL`."""
    parts = (part.partition("=") for part in re.split(r"[,\s]+", text) if part)
    return {name.strip(): url for name, _, url in parts}


def _urls_by_job(value: object) -> object:
    if isinstance(value, str):
        for name, url in _pairs(value).items():
            job = name.partition("/")[0]
            if job not in (*DEFAULT_MAX_RUNTIME_S, "run"):
                raise ValueError("is not of the form ingest-branch=URL,run/NAME=URL (its value is not shown)")
            _url("https")(url)
    return value


def _api_url(value: object) -> object:
    """The address of GitHub's API, which is no secret: a user name or a query in it is a mistake."""
    if isinstance(value, str):
        _url("https")(value)
        if re.search(r"[?#@]", value):
            raise ValueError("has a user name, a query or a fragment in it (its value is not shown)")
        return value.rstrip("/")
    return value


def _app_id(value: object) -> object:
    text = str(value) if isinstance(value, int) else value
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,20}|Iv[A-Za-z0-9.]{1,40}", text):
        raise ValueError("is neither the number of a GitHub App nor its client id")
    return text


def _github_tokens(value: object) -> object:
    if isinstance(value, str) and not all(re.fullmatch(r"[!-~]+", token) for token in _parts(value)):
        raise ValueError("has a token with a character that no token has (its value is not shown)")
    return value


def _apprise_urls(value: object) -> object:
    if isinstance(value, str) and not all(re.match(r"[A-Za-z0-9]+://\S", part) for part in _parts(value)):
        raise ValueError("is not a list of addresses such as json://host/path (its value is not shown)")
    return value


def _parts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))


Seconds = Annotated[int, BeforeValidator(_seconds), Field(le=LONGEST_S)]
Milliseconds = Annotated[int, Field(ge=1, le=2**31 - 1)]  # as PostgreSQL counts its time limits
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Settings(BaseModel):
    """All settings. `load` makes them; tests may too, naming at least `data_dir`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr | None, BeforeValidator(_database_url)] = None
    data_dir: Path
    branch_slug: Annotated[str | None, BeforeValidator(_slug)] = None
    github_token: SecretStr | None = None
    github_tokens: Annotated[SecretStr | None, BeforeValidator(_github_tokens)] = None
    github_api_url: Annotated[str, BeforeValidator(_api_url)] = "https://api.github.com"
    github_app_id: Annotated[str | None, BeforeValidator(_app_id)] = None
    github_app_key_file: Path | None = None
    github_app_installation_id: Annotated[int | None, Field(ge=1)] = None
    cron_secret: SecretStr | None = None
    report_emails: Annotated[tuple[str, ...], BeforeValidator(_addresses)] = ()
    email_from: Annotated[str | None, BeforeValidator(_sender)] = None
    smtp_url: Annotated[SecretStr | None, BeforeValidator(_url("smtp", "smtps"))] = None
    mail: Annotated[Any, BeforeValidator(_table_of_mail)] = None
    resend_api_key: SecretStr | None = None
    sendgrid_api_key: SecretStr | None = None
    slack_webhook_url: Annotated[SecretStr | None, BeforeValidator(_url("https"))] = None
    enable_slack_alerts: bool = False
    alerts: Annotated[Any, BeforeValidator(_table_of_alerts)] = None
    apprise_urls: Annotated[SecretStr | None, BeforeValidator(_apprise_urls)] = None
    timezone: Annotated[str, BeforeValidator(_zone)] = "UTC"
    log_file: Path | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_level)] = "INFO"
    textfile_dir: Path | None = None
    output_dir: Path | None = None

    lock_timeout_ms: Milliseconds = 2_000
    statement_timeout_ms: Milliseconds = 25_000
    idle_in_transaction_timeout_ms: Milliseconds = 30_000
    heartbeat_s: Annotated[float, BeforeValidator(_fraction_of_seconds), Field(gt=0, allow_inf_nan=False)] = 5.0
    lease_s: Annotated[Seconds, Field(ge=1)] = 60
    soft_limit_share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.8
    kill_grace_s: Annotated[Seconds, Field(ge=1, le=600)] = 10
    max_runtime_s: Annotated[Mapping[str, Annotated[int, Field(ge=1)]], BeforeValidator(_runtimes)] = (
        DEFAULT_MAX_RUNTIME_S
    )
    cron_interval_s: Annotated[Seconds, Field(ge=1)] = 3_600
    schedules: Annotated[Mapping[str, ScheduleSettings], BeforeValidator(_schedules)] = {}
    queue: Annotated[Any, BeforeValidator(_table_of_queue)] = None
    slot: AwareDatetime | None = None
    heartbeat_urls: Annotated[SecretStr | None, BeforeValidator(_urls_by_job)] = None
    endpoint_tokens: Annotated[SecretStr | None, BeforeValidator(_tokens)] = None

    memory_limit_mb: Annotated[int, Field(ge=32, le=1 << 24)] = 120
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    degraded_reject_share: Share = 0.05
    max_withdraw_share: Share = 0.2
    h3_resolution: Annotated[int, Field(ge=0, le=15)] = 8
    embed_model_version: Annotated[str, Field(pattern=r"^[!-\[\]-~]+$")] = "wordllama-256-v1"
    embeddings: Annotated[Any, BeforeValidator(_table_of_embeddings)] = None
    embeddings_api_key: SecretStr | None = None
    sync: Annotated[Any, BeforeValidator(_table_of_sync)] = None
    metrics: Annotated[Any, BeforeValidator(_table_of_metrics)] = None
    service_levels: Annotated[Any, BeforeValidator(_table_of_service_levels)] = None
    slo: Annotated[Any, BeforeValidator(_table_of_slo)] = None
    report: Annotated[Any, BeforeValidator(_table_of_report)] = None
    archive: Annotated[Any, BeforeValidator(_table_of_archive)] = None
    run_as_user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]*\$?$")] = "jobctl"

    @property
    def spool_dir(self) -> Path:
        """Where runs are kept that the database could not hear of."""
        return self.data_dir / "spool"

    @property
    def queue_settings(self) -> "QueueSettings":
        """The table `queue` of the config file, with its defaults."""
        from jobctl.settings_queue import QueueSettings

        return self.queue if self.queue is not None else QueueSettings()

    @property
    def alert_settings(self) -> "AlertSettings":
        """The table `alerts` of the config file, with its defaults."""
        from jobctl.settings_alerts import AlertSettings

        return self.alerts if self.alerts is not None else AlertSettings()

    def alert_channels(self) -> tuple[str, ...]:
        """Where people are told; none is set up by default. Each address of Apprise is one."""
        alerts = self.alerts
        if alerts is not None and not alerts.enabled:
            return ()
        has_mail = alerts is not None and alerts.emails and self.smtp_url is not None and self.email_from is not None
        on = {
            "stderr": alerts is not None and alerts.stderr,
            "slack": self.enable_slack_alerts and self.slack_webhook_url is not None,
            "email": has_mail,
        }
        apprise = (f"apprise-{nth}" for nth in range(1, len(self.apprise_addresses()) + 1))
        return (*(name for name, is_on in on.items() if is_on), *apprise)

    def apprise_addresses(self) -> tuple[str, ...]:
        """In the clear."""
        return _parts(self.apprise_urls.get_secret_value()) if self.apprise_urls is not None else ()

    @property
    def mail_settings(self) -> "MailSettings":
        """The table `mail` of the config file, with its defaults."""
        from jobctl.settings_mail import MailSettings

        return self.mail if self.mail is not None else MailSettings()

    @property
    def archive_settings(self) -> "ArchiveSettings":
        """The table `archive` of the config file, with its defaults."""
        from jobctl.settings_archive import ArchiveSettings

        return self.archive if self.archive is not None else ArchiveSettings()

    @property
    def archive_dir(self) -> Path:
        """Where rows are kept that left the database."""
        return self.archive_settings.directory or self.data_dir / "archive"

    @property
    def embedding_settings(self) -> "EmbeddingSettings":
        """The table `embeddings` of the config file, with its defaults."""
        from jobctl.settings_embeddings import EmbeddingSettings

        return self.embeddings if self.embeddings is not None else EmbeddingSettings()

    @property
    def sync_settings(self) -> "SyncSettings":
        """The table `sync` of the config file, with its defaults."""
        from jobctl.settings_sync import SyncSettings

        return self.sync if self.sync is not None else SyncSettings()

    @property
    def metric_settings(self) -> "MetricsSettings":
        """The table `metrics` of the config file, with its defaults."""
        from jobctl.settings_metrics import MetricsSettings

        return self.metrics if self.metrics is not None else MetricsSettings()

    @property
    def service_level_settings(self) -> "ServiceLevelSettings":
        """The table `service_levels` of the config file, with its defaults."""
        from jobctl.settings_metrics import ServiceLevelSettings

        return self.service_levels if self.service_levels is not None else ServiceLevelSettings()

    @property
    def slo_settings(self) -> "SloSettings":
        """The table `slo` of the config file, with its defaults."""
        from jobctl.settings_monitor import SloSettings

        return self.slo if self.slo is not None else SloSettings()

    @property
    def report_settings(self) -> "ReportSettings":
        """The table `report` of the config file, with its defaults."""
        from jobctl.settings_report import ReportSettings

        return self.report if self.report is not None else ReportSettings()

    def max_runtime_of(self, job: str) -> int:
        """Seconds after which a run of `job` is ended."""
        return self.max_runtime_s.get(job, OTHER_MAX_RUNTIME_S)

    def secrets(self) -> tuple[str, ...]:
        """Every secret in the clear, for the redactor and nobody else."""
        values = (getattr(self, name) for name in SECRETS)
        texts = tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))
        of_queue = self.queue.secrets() if self.queue is not None else ()
        parts = (*self.heartbeat_url_of_job().values(), *self.endpoint_token_of().values(), *of_queue)
        return (*texts, *parts, *self.further_github_tokens(), *self._secrets_of_apprise())

    def _secrets_of_apprise(self) -> tuple[str, ...]:
        """Each address, and what stands between its slashes: of most services these are the tokens."""
        addresses = self.apprise_addresses()
        words = (word for address in addresses for word in re.split(r"[/:@?&=]+", address.partition("://")[2]))
        return (*addresses, *(word for word in words if len(word) >= SHORTEST_APPRISE_SECRET))

    def further_github_tokens(self) -> tuple[str, ...]:
        """Beside `github_token`, in the clear."""
        return _parts(self.github_tokens.get_secret_value()) if self.github_tokens is not None else ()

    def heartbeat_url_of_job(self) -> Mapping[str, str]:
        """Where each job's begin and end are told, by job or `job/scope`."""
        return _pairs(self.heartbeat_urls.get_secret_value()) if self.heartbeat_urls is not None else {}

    def endpoint_token_of(self) -> Mapping[str, str]:
        """What each endpoint of the queue is asked with, by the endpoint's name."""
        if self.endpoint_tokens is None:
            return {}
        from jobctl.settings_outside import read_tokens

        return read_tokens(self.endpoint_tokens.get_secret_value())


# Of the config file alone, each with a model of its own.
TABLES: Final = (
    *("queue", "embeddings", "sync", "metrics", "service_levels", "slo", "report", "alerts", "mail", "archive"),
)
SECRETS: Final = frozenset(
    name for name, about in Settings.model_fields.items() if "SecretStr" in str(about.annotation)
)
ENV_NAMES: Final[Mapping[str, str]] = {
    name: name.upper() if name in WELL_KNOWN else PREFIX + name.upper() for name in Settings.model_fields
}


class Loaded(NamedTuple):
    """Settings, and for each field where its value came from; the files that were read; what was passed over."""

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    env_file: Path | None = None
    config_file: Path | None = None


class InvalidSettings(ConfigurationError):
    """All that is wrong with the settings, at once."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        if len(faults) == 1:
            super().__init__(f"{faults[0].message} ({faults[0].origin})", hint=faults[0].mend)
        else:
            texts = "; ".join(f"{fault.message} ({fault.origin})" for fault in faults)
            super().__init__(
                f"{len(faults)} faults in the settings: {texts}", hint="jobctl config check tells how to mend each"
            )
        self.faults = faults


def load(
    *, environ: Mapping[str, str] | None = None, config_file: Path | None = None, env_file: Path | None = None
) -> Loaded:
    """Read the settings from their sources. Raises InvalidSettings with every fault found."""
    environ = os.environ if environ is None else environ
    found = find(Names(ENV_NAMES, SECRETS), environ, config_file=config_file, env_file=env_file)
    raw = _raw_values(found, environ)
    settings = _validated(found, raw)
    if settings is not None:
        found.faults.extend(_together_faults(settings, found))
    if found.faults or settings is None:
        raise InvalidSettings(_without_secrets(found))
    origins = {name: found.values[name].origin if name in found.values else "default" for name in Settings.model_fields}
    return Loaded(settings, origins, tuple(found.files), tuple(found.notes), found.env_file, found.config_file)


def environment_for_commands(keep: Sequence[str] = ()) -> dict[str, str]:
    """This process's environment without the secrets among our settings: a stranger's command has no use for them.
    Names in `keep` stay."""
    secret = {ENV_NAMES[name] for name in SECRETS} - set(keep)
    return {name: value for name, value in os.environ.items() if name not in secret}


def zone_of_shell() -> str | None:
    """The variable TZ, which is no setting: cron does not know the shell's, and a diagnosis tells the difference."""
    return os.environ.get("TZ")


def require_limits(settings: Settings, job: str, max_runtime_s: int, *, within_interval: bool = True) -> None:
    """Refuse a max runtime given on the command line that does not fit between the other limits. A wrapped command has
    an interval of its own, of which these settings know nothing."""
    if not within_interval:
        settings = settings.model_copy(update={"cron_interval_s": max(settings.cron_interval_s, max_runtime_s)})
    faults = _order_faults(
        settings, {job: max_runtime_s}, lambda name: "command line" if name == "max_runtime_s" else "settings"
    )
    if faults:
        raise InvalidSettings(tuple(faults))


# Values ------------------------------------------------------------------------------------------------------------


def _raw_values(found: Found, environ: Mapping[str, str]) -> dict[str, object]:
    raw: dict[str, object] = {}
    for name, value in found.values.items():
        content = value.raw
        if isinstance(content, bool) and name != "enable_slack_alerts":
            found.faults.append(_fault(name, value, "cannot be true or false"))
        elif isinstance(content, str) and any(ord(character) < 32 or ord(character) == 127 for character in content):
            found.faults.append(_fault(name, value, "has a line break or another control character in it"))
        elif isinstance(content, str) and name in PATHS:
            raw[name] = Path("-") if content == "-" else expand(content, environ, value.directory)
        else:
            raw[name] = content
    if "data_dir" not in found.values:
        # Root's home is closed to the account that the embedded server runs under.
        is_root = os.geteuid() == 0
        default = ROOT_DATA_DIR if is_root else user_directory(environ, "XDG_DATA_HOME", ".local/share")
        if default is None:
            message = "there is no home directory to keep data in"
            found.faults.append(Fault("data_dir", "default", message, f"set {ENV_NAMES['data_dir']} to a directory"))
        else:
            raw["data_dir"] = default
    return raw


def _validated(found: Found, raw: dict[str, object]) -> Settings | None:
    """The model; with faults, one in which the faulty fields have their defaults, so that the rest can be judged."""
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        faulty: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0])
            inner = ".".join(str(part) for part in detail["loc"][1:] if part in DEFAULT_MAX_RUNTIME_S)
            if name in found.values:
                faulty.setdefault(
                    name,
                    (f"for {inner} " if inner else "") + _plain(detail["type"], detail.get("ctx", {}), detail["msg"]),
                )
    for name, text in faulty.items():
        found.faults.append(_fault(name, found.values[name], text))
    rest = {name: value for name, value in raw.items() if name not in faulty}
    if "data_dir" not in rest:
        rest["data_dir"] = Path("/nonexistent")
    return Settings.model_validate(rest)


def _plain(kind: str, context: Mapping[str, object], text: str) -> str:
    """pydantic's words for a programmer in words for an operator."""
    if kind == "value_error":
        return str(context.get("error", text))
    if kind == "literal_error":
        return f"must be one of {context.get('expected')}"
    words = {
        "int_parsing": "is not a whole number",
        "int_type": "is not a whole number",
        "int_from_float": "is not a whole number",
        "float_parsing": "is not a number",
        "float_type": "is not a number",
        "finite_number": "is not a number",
        "bool_parsing": "is neither true nor false",
        "bool_type": "is neither true nor false",
        "string_type": "is not text",
        "path_type": "is not a path",
        "string_pattern_mismatch": "has characters that are not allowed in it",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "greater_than": f"must be more than {context.get('gt')}",
        "less_than": f"must be less than {context.get('lt')}",
    }
    return words.get(kind, text[:1].lower() + text[1:])


def _fault(name: str, value: Value, text: str) -> Fault:
    """A bad value, shown unless it is secret or the text shows it already."""
    said = ENV_NAMES[name] if not value.origin.startswith("config file") else name
    is_told = name in SECRETS or name in (*TABLES, "schedules") or repr(value.raw) in text
    is_told = is_told or "is not shown" in text
    shown = "" if is_told else f" (it is {str(value.raw)[:80]!r})"
    default: object = Settings.model_fields[name].default
    known = "" if name in SECRETS or default is None or default == () or isinstance(default, Mapping) else str(default)
    mend = (
        f"set {said} to a right value or unset it"
        if not known or known == "PydanticUndefined"
        else f"unset {said} for the default, {known}"
    )
    return Fault(name, value.origin, f"{said} {text}{shown}", mend)


# Values together ---------------------------------------------------------------------------------------------------


def _together_faults(settings: Settings, found: Found) -> list[Fault]:
    """What is wrong only beside another value. A field that is at fault already takes no part."""
    faulty = {fault.setting for fault in found.faults}

    def origin(name: str) -> str:
        return found.values[name].origin if name in found.values else "default"

    faults = [
        fault
        for fault in _order_faults(settings, settings.max_runtime_s, origin)
        if not faulty.intersection(fault.setting.split(", "))
    ]
    if (settings.github_app_id is None) != (settings.github_app_key_file is None):
        missing, there = sorted(
            ("github_app_id", "github_app_key_file"), key=lambda name: getattr(settings, name) is not None
        )
        if not faulty & {missing, there}:
            message = f"{ENV_NAMES[there]} is set, but there is no {ENV_NAMES[missing]}"
            faults.append(Fault(there, origin(there), message, "set both to sign in as a GitHub App, or unset both"))
    if settings.enable_slack_alerts and settings.slack_webhook_url is None and "slack_webhook_url" not in faulty:
        message = "ENABLE_SLACK_ALERTS is on, but there is no SLACK_WEBHOOK_URL"
        faults.append(
            Fault(
                "enable_slack_alerts",
                origin("enable_slack_alerts"),
                message,
                "set SLACK_WEBHOOK_URL or ENABLE_SLACK_ALERTS=false",
            )
        )
    if settings.alerts is not None and settings.alerts.emails and not faulty & {"alerts", "smtp_url", "email_from"}:
        missing = [ENV_NAMES[name] for name in ("smtp_url", "email_from") if getattr(settings, name) is None]
        if missing:
            message = f"alerts has emails, but there is no {' and no '.join(missing)}"
            faults.append(Fault("alerts", origin("alerts"), message, f"set {' and '.join(missing)}, or remove emails"))
    if settings.mail is not None and settings.mail.way is not None and "mail" not in faulty:
        faults += _way_faults(settings, faulty, origin("mail"))
    if not faulty & {"queue", "endpoint_tokens"}:
        faults += _token_faults(settings, origin("endpoint_tokens"))
    return faults


def _way_faults(settings: Settings, faulty: set[str], origin: str) -> list[Fault]:
    from jobctl.settings_mail import WAYS

    way = settings.mail_settings.way
    needed = WAYS[way] if way is not None else ""
    if not needed or needed in faulty or getattr(settings, needed) is not None:
        return []
    message = f"mail has way = {way!r}, but there is no {ENV_NAMES[needed]}"
    return [Fault("mail", origin, message, f"set {ENV_NAMES[needed]}, or remove way")]


def _token_faults(settings: Settings, origin: str) -> list[Fault]:
    """A token nobody uses is a misspelt name: the endpoint would be asked without any."""
    faults: list[Fault] = []
    for name in settings.endpoint_token_of():
        endpoints = settings.queue_settings.endpoints
        if name not in endpoints:
            meant = did_you_mean(name, endpoints, cutoff=0.6)
            mend = f"did you mean {meant}?" if meant else f"add [queue.endpoints.{name}] or remove the token"
            message = f"JOBCTL_ENDPOINT_TOKENS names {name!r}, which is not an endpoint"
            faults.append(Fault("endpoint_tokens", origin, message, mend))
        elif endpoints[name].url is None:
            message = f"JOBCTL_ENDPOINT_TOKENS has a token for {name!r}, which has no url to whose host it could go"
            faults.append(Fault("endpoint_tokens", origin, message, f"add url to [queue.endpoints.{name}]"))
    return faults


def _order_faults(settings: Settings, max_runtime_s: Mapping[str, int], origin: Callable[[str], str]) -> list[Fault]:
    """lock wait < statement < idle in transaction < lease < soft limit < max runtime <= cron interval, in seconds."""
    chain: list[tuple[str, float]] = [
        ("lock_timeout_ms", settings.lock_timeout_ms / 1000),
        ("statement_timeout_ms", settings.statement_timeout_ms / 1000),
        ("idle_in_transaction_timeout_ms", settings.idle_in_transaction_timeout_ms / 1000),
        ("lease_s", float(settings.lease_s)),
    ]
    faults = [
        _out_of_order(
            lower, upper, f"{lower[0]} ({_span(lower[1])}) must be below {upper[0]} ({_span(upper[1])})", origin
        )
        for lower, upper in pairwise(chain)
        if not lower[1] < upper[1]
    ]
    if settings.lease_s < 6 * settings.heartbeat_s:
        faults.append(
            _out_of_order(
                ("heartbeat_s", settings.heartbeat_s),
                chain[-1],
                f"lease_s ({_span(settings.lease_s)}) must be at least six times heartbeat_s"
                f" ({_span(settings.heartbeat_s)})",
                origin,
            )
        )
    by_runtime: dict[int, list[str]] = {}
    for job, seconds in max_runtime_s.items():
        by_runtime.setdefault(seconds, []).append(job)
    for seconds, jobs in by_runtime.items():
        runtime = ("max_runtime_s", float(seconds))
        named = f"max_runtime_s of {', '.join(jobs)} ({_span(seconds)})"
        soft = settings.soft_limit_share * seconds
        if not settings.lease_s < soft:
            text = (
                f"lease_s ({_span(settings.lease_s)}) must be below the soft limit ({_span(soft)}),"
                f" {settings.soft_limit_share:g} of {named}"
            )
            faults.append(_out_of_order(chain[-1], runtime, text, origin))
        if seconds > settings.cron_interval_s:
            text = f"{named} must not be longer than cron_interval_s ({_span(settings.cron_interval_s)})"
            faults.append(_out_of_order(runtime, ("cron_interval_s", 0.0), text, origin))
    return faults


def _out_of_order(lower: tuple[str, float], upper: tuple[str, float], text: str, origin: Callable[[str], str]) -> Fault:
    where = f"{lower[0]}: {origin(lower[0])}, {upper[0]}: {origin(upper[0])}"
    return Fault(f"{lower[0]}, {upper[0]}", where, text, f"lower {ENV_NAMES[lower[0]]} or raise {ENV_NAMES[upper[0]]}")


def _span(seconds: float) -> str:
    return format_duration(seconds) if seconds >= 1 else f"{round(seconds * 1000)}ms"


def _without_secrets(found: Found) -> tuple[Fault, ...]:
    """The faults, cleaned of every secret that any source holds: a value in the wrong place is shown nowhere."""
    from jobctl.redact import Redactor

    named = [*found.values.items(), *found.weaker]
    redactor = Redactor((str(value.raw) for name, value in named if name in SECRETS), personal=False)
    return tuple(
        Fault(fault.setting, redactor.text(fault.origin), redactor.text(fault.message), redactor.text(fault.mend))
        for fault in found.faults
    )
