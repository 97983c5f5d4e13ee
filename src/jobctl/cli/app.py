"""The whole command line: which commands there are."""

from jobctl.cli import (
    alert_commands,
    archive_commands,
    branch_commands,
    config_commands,
    db_commands,
    doctor_command,
    embeddings_commands,
    impact_commands,
    items_commands,
    job_commands,
    metrics_commands,
    project_commands,
    queue_commands,
    report_command,
    retry_command,
    schedule_commands,
    slot_commands,
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
app.command("slots", epilog=slot_commands.SLOTS_EXAMPLE)(slot_commands.slots)
app.command("pause", epilog=slot_commands.PAUSE_EXAMPLE)(slot_commands.pause)
app.command("resume", epilog=slot_commands.RESUME_EXAMPLE)(slot_commands.resume)
app.command("doctor", epilog=doctor_command.EXAMPLE)(doctor_command.doctor)
app.add_typer(alert_commands.app, name="alerts")
app.add_typer(archive_commands.app, name="archive")
app.add_typer(branch_commands.app, name="branch")
app.add_typer(config_commands.app, name="config")
app.add_typer(db_commands.app, name="db")
app.add_typer(embeddings_commands.app, name="embeddings")
app.add_typer(items_commands.app, name="items")
app.add_typer(metrics_commands.app, name="metrics")
project_commands.app.add_typer(impact_commands.app, name="impact")
app.add_typer(project_commands.app, name="project")
app.add_typer(queue_commands.app, name="queue")
app.add_typer(report_command.app, name="report")
app.add_typer(schedule_commands.app, name="schedule")
