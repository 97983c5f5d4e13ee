"""The tables of `jobctl.toml`, each read by its own module. That is imported only where there is a table or somebody
asks for its defaults: most starts have no use for most of them."""

from typing import TYPE_CHECKING

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


def queue(value: object) -> "QueueSettings":
    from jobctl.settings_queue import read_queue

    return read_queue(value)


def embeddings(value: object) -> "EmbeddingSettings":
    from jobctl.settings_embeddings import read_embeddings

    return read_embeddings(value)


def sync(value: object) -> "SyncSettings":
    from jobctl.settings_sync import read_sync

    return read_sync(value)


def metrics(value: object) -> "MetricsSettings":
    from jobctl.settings_metrics import read_metrics

    return read_metrics(value)


def service_levels(value: object) -> "ServiceLevelSettings":
    from jobctl.settings_metrics import read_service_levels

    return read_service_levels(value)


def slo(value: object) -> "SloSettings":
    from jobctl.settings_monitor import read_slo

    return read_slo(value)


def report(value: object) -> "ReportSettings":
    from jobctl.settings_report import read_report

    return read_report(value)


def alerts(value: object) -> "AlertSettings":
    from jobctl.settings_alerts import read_alerts

    return read_alerts(value)


def mail(value: object) -> "MailSettings":
    from jobctl.settings_mail import read_mail

    return read_mail(value)


def archive(value: object) -> "ArchiveSettings":
    from jobctl.settings_archive import read_archive

    return read_archive(value)
