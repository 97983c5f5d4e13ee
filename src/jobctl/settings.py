"""All settings there are, in one frozen model that is read once and handed down.

`settings_reading` says where values come from and finds what is wrong with them; `settings_values` and
`settings_addresses` judge single values; each table of `jobctl.toml` has a module of its own.

Names an operator already knows are the names here (DATABASE_URL, GITHUB_TOKEN, ...); every other setting is
JOBCTL_<NAME> in the environment and the env file. In the config file a key is the field's name. Seconds are written
`90` or `55m`; `max_runtime_s` is a table in the config file and `ingest-branch=55m,report=9m` in the environment, and
what it leaves out keeps its default. No option of any command takes a secret.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from jobctl import settings_addresses as addresses
from jobctl import settings_tables as tables
from jobctl import settings_values as values
from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S, OTHER_MAX_RUNTIME_S, runtimes
from jobctl.settings_schedules import ScheduleSettings, read_schedules
from jobctl.settings_values import Milliseconds, Share, WholeSeconds

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

PREFIX: Final = "JOBCTL_"
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


def _schedules(value: object) -> object:
    return read_schedules(value, DEFAULT_MAX_RUNTIME_S.keys())


def _endpoint_tokens(value: object) -> object:
    from jobctl.settings_outside import checked_tokens  # only where there are some

    return checked_tokens(value)


def _given(table: object) -> object:
    """What the file says; without a table, one that leaves everything out."""
    return {} if table is None else table


class Settings(BaseModel):
    """All settings. `load` makes them; tests may too, naming at least `data_dir`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr | None, BeforeValidator(addresses.database_url)] = None
    data_dir: Path
    branch_slug: Annotated[str | None, BeforeValidator(values.slug)] = None
    github_token: SecretStr | None = None
    github_tokens: Annotated[SecretStr | None, BeforeValidator(values.github_tokens)] = None
    github_api_url: Annotated[str, BeforeValidator(addresses.api_url)] = "https://api.github.com"
    github_app_id: Annotated[str | None, BeforeValidator(values.app_id)] = None
    github_app_key_file: Path | None = None
    github_app_installation_id: Annotated[int | None, Field(ge=1)] = None
    cron_secret: SecretStr | None = None
    report_emails: Annotated[tuple[str, ...], BeforeValidator(addresses.e_mails)] = ()
    email_from: Annotated[str | None, BeforeValidator(addresses.sender)] = None
    smtp_url: Annotated[SecretStr | None, BeforeValidator(addresses.url_of("smtp", "smtps"))] = None
    mail: Annotated[Any, BeforeValidator(tables.mail)] = None
    resend_api_key: SecretStr | None = None
    sendgrid_api_key: SecretStr | None = None
    slack_webhook_url: Annotated[SecretStr | None, BeforeValidator(addresses.url_of("https"))] = None
    enable_slack_alerts: bool = False
    alerts: Annotated[Any, BeforeValidator(tables.alerts)] = None
    apprise_urls: Annotated[SecretStr | None, BeforeValidator(addresses.apprise_urls)] = None
    timezone: Annotated[str, BeforeValidator(values.zone)] = "UTC"
    log_file: Path | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(values.level)] = "INFO"
    textfile_dir: Path | None = None
    output_dir: Path | None = None

    lock_timeout_ms: Milliseconds = 2_000
    statement_timeout_ms: Milliseconds = 25_000
    idle_in_transaction_timeout_ms: Milliseconds = 30_000
    heartbeat_s: Annotated[float, BeforeValidator(values.fraction_of_seconds), Field(gt=0, allow_inf_nan=False)] = 5.0
    lease_s: Annotated[WholeSeconds, Field(ge=1)] = 60
    soft_limit_share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.8
    kill_grace_s: Annotated[WholeSeconds, Field(ge=1, le=600)] = 10
    max_runtime_s: Annotated[Mapping[str, Annotated[int, Field(ge=1)]], BeforeValidator(runtimes)] = (
        DEFAULT_MAX_RUNTIME_S
    )
    cron_interval_s: Annotated[WholeSeconds, Field(ge=1)] = 3_600
    schedules: Annotated[Mapping[str, ScheduleSettings], BeforeValidator(_schedules)] = {}
    queue: Annotated[Any, BeforeValidator(tables.queue)] = None
    slot: AwareDatetime | None = None
    heartbeat_urls: Annotated[SecretStr | None, BeforeValidator(addresses.urls_by_job)] = None
    endpoint_tokens: Annotated[SecretStr | None, BeforeValidator(_endpoint_tokens)] = None

    memory_limit_mb: Annotated[int, Field(ge=32, le=1 << 24)] = 120
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    degraded_reject_share: Share = 0.05
    max_withdraw_share: Share = 0.2
    h3_resolution: Annotated[int, Field(ge=0, le=15)] = 8
    embed_model_version: Annotated[str, Field(pattern=r"^[!-\[\]-~]+$")] = "wordllama-256-v1"
    embeddings: Annotated[Any, BeforeValidator(tables.embeddings)] = None
    embeddings_api_key: SecretStr | None = None
    sync: Annotated[Any, BeforeValidator(tables.sync)] = None
    metrics: Annotated[Any, BeforeValidator(tables.metrics)] = None
    service_levels: Annotated[Any, BeforeValidator(tables.service_levels)] = None
    slo: Annotated[Any, BeforeValidator(tables.slo)] = None
    report: Annotated[Any, BeforeValidator(tables.report)] = None
    archive: Annotated[Any, BeforeValidator(tables.archive)] = None
    run_as_user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]*\$?$")] = "jobctl"

    @property
    def spool_dir(self) -> Path:
        """Where runs are kept that the database could not hear of."""
        return self.data_dir / "spool"

    @property
    def queue_settings(self) -> "QueueSettings":
        """The table `queue` of the config file, with its defaults."""
        return tables.queue(_given(self.queue))

    @property
    def alert_settings(self) -> "AlertSettings":
        """The table `alerts` of the config file, with its defaults."""
        return tables.alerts(_given(self.alerts))

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
        return values.words(self.apprise_urls.get_secret_value()) if self.apprise_urls is not None else ()

    @property
    def mail_settings(self) -> "MailSettings":
        """The table `mail` of the config file, with its defaults."""
        return tables.mail(_given(self.mail))

    @property
    def archive_settings(self) -> "ArchiveSettings":
        """The table `archive` of the config file, with its defaults."""
        return tables.archive(_given(self.archive))

    @property
    def archive_dir(self) -> Path:
        """Where rows are kept that left the database."""
        return self.archive_settings.directory or self.data_dir / "archive"

    @property
    def embedding_settings(self) -> "EmbeddingSettings":
        """The table `embeddings` of the config file, with its defaults."""
        return tables.embeddings(_given(self.embeddings))

    @property
    def sync_settings(self) -> "SyncSettings":
        """The table `sync` of the config file, with its defaults."""
        return tables.sync(_given(self.sync))

    @property
    def metric_settings(self) -> "MetricsSettings":
        """The table `metrics` of the config file, with its defaults."""
        return tables.metrics(_given(self.metrics))

    @property
    def service_level_settings(self) -> "ServiceLevelSettings":
        """The table `service_levels` of the config file, with its defaults."""
        return tables.service_levels(_given(self.service_levels))

    @property
    def slo_settings(self) -> "SloSettings":
        """The table `slo` of the config file, with its defaults."""
        return tables.slo(_given(self.slo))

    @property
    def report_settings(self) -> "ReportSettings":
        """The table `report` of the config file, with its defaults."""
        return tables.report(_given(self.report))

    def max_runtime_of(self, job: str) -> int:
        """Seconds after which a run of `job` is ended."""
        return self.max_runtime_s.get(job, OTHER_MAX_RUNTIME_S)

    def secrets(self) -> tuple[str, ...]:
        """Every secret in the clear, for the redactor and nobody else."""
        fields = (getattr(self, name) for name in SECRETS)
        texts = tuple(value.get_secret_value() for value in fields if isinstance(value, SecretStr))
        of_queue = self.queue.secrets() if self.queue is not None else ()
        parts = (*self.heartbeat_url_of_job().values(), *self.endpoint_token_of().values(), *of_queue)
        return (*texts, *parts, *self.further_github_tokens(), *self._secrets_of_apprise())

    def _secrets_of_apprise(self) -> tuple[str, ...]:
        """Each address, and what stands between its slashes: of most services these are the tokens."""
        whole = self.apprise_addresses()
        words = (word for address in whole for word in re.split(r"[/:@?&=]+", address.partition("://")[2]))
        return (*whole, *(word for word in words if len(word) >= SHORTEST_APPRISE_SECRET))

    def further_github_tokens(self) -> tuple[str, ...]:
        """Beside `github_token`, in the clear."""
        return values.words(self.github_tokens.get_secret_value()) if self.github_tokens is not None else ()

    def heartbeat_url_of_job(self) -> Mapping[str, str]:
        """Where each job's begin and end are told, by job or `job/scope`."""
        return values.pairs(self.heartbeat_urls.get_secret_value()) if self.heartbeat_urls is not None else {}

    def endpoint_token_of(self) -> Mapping[str, str]:
        """What each endpoint of the queue is asked with, by the endpoint's name."""
        return values.pairs(self.endpoint_tokens.get_secret_value()) if self.endpoint_tokens is not None else {}


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
