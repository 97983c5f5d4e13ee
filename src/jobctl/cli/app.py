"""The whole command line: which commands there are."""

from jobctl.cli import (
    alert_commands,
    archive_commands,
    branch_commands,
    config_commands,
    db_commands,
    demo_commands,
    doctor_command,
    embeddings_commands,
    event_command,
    explain_command,
    export_commands,
    impact_commands,
    insights_command,
    items_commands,
    job_commands,
    metrics_commands,
    project_commands,
    quality_command,
    queue_commands,
    report_command,
    retry_command,
    runs_commands,
    schedule_commands,
    slo_command,
    slot_commands,
    stats_command,
    status_command,
    sync_command,
    work_command,
    wrap_command,
)
from jobctl.cli.root import root_app

app = root_app()
job_commands.add_to(app)
retry_command.add_to(app)
sync_command.add_to(app)
work_command.add_to(app)
wrap_command.add_to(app)
app.command("status", epilog=status_command.EXAMPLE)(status_command.status)
app.command("stats", epilog=stats_command.EXAMPLE)(stats_command.stats)
app.command("slo", epilog=slo_command.EXAMPLE)(slo_command.slo)
app.command("events", epilog=event_command.EXAMPLE)(event_command.events)
app.command("slots", epilog=slot_commands.SLOTS_EXAMPLE)(slot_commands.slots)
app.command("pause", epilog=slot_commands.PAUSE_EXAMPLE)(slot_commands.pause)
app.command("resume", epilog=slot_commands.RESUME_EXAMPLE)(slot_commands.resume)
app.command("explain", epilog=explain_command.EXAMPLE)(explain_command.explain)
app.command("doctor", epilog=doctor_command.EXAMPLE)(doctor_command.doctor)
app.command("insights", epilog=insights_command.EXAMPLE)(insights_command.insights)
app.command("quality", epilog=quality_command.EXAMPLE)(quality_command.quality)
app.add_typer(alert_commands.app, name="alerts")
app.add_typer(archive_commands.app, name="archive")
app.add_typer(branch_commands.app, name="branch")
app.add_typer(config_commands.app, name="config")
app.add_typer(db_commands.app, name="db")
app.add_typer(demo_commands.app, name="demo")
app.add_typer(embeddings_commands.app, name="embeddings")
app.add_typer(export_commands.app, name="export")
app.add_typer(items_commands.app, name="items")
app.add_typer(metrics_commands.app, name="metrics")
project_commands.app.add_typer(impact_commands.app, name="impact")
app.add_typer(project_commands.app, name="project")
app.add_typer(queue_commands.app, name="queue")
app.add_typer(report_command.app, name="report")
app.add_typer(runs_commands.app, name="runs")
app.add_typer(schedule_commands.app, name="schedule")
