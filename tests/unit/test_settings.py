"""Settings: the order of strength, the names operators know, and every fault at once."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

import jobctl
from jobctl.errors import EXIT_CONFIGURATION, exit_code_of
from jobctl.settings import ENV_NAMES, SECRETS, Settings
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.limits import require_limits
from jobctl.settings_reading.load import Loaded, load
from jobctl.settings_schedules import ScheduleSettings

SECRET = "c4n4ry-c4n4ry"


@pytest.fixture(autouse=True)
def somewhere_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No file of the developer's own is read: neither in the working directory nor at home."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def loaded(environ: Mapping[str, str] | None = None, **files: str) -> Loaded:
    """Settings from these words; files are written as `env` and `toml`."""
    env_file, config_file = Path("used.env"), Path("used.toml")
    for path, text in ((env_file, files.get("env")), (config_file, files.get("toml"))):
        if text is not None:
            path.write_text(text)
            path.chmod(0o600)
    return load(
        environ={"HOME": "/nonexistent", **(environ or {})},
        env_file=env_file if "env" in files else None,
        config_file=config_file if "toml" in files else None,
    )


def faults(environ: Mapping[str, str] | None = None, **files: str) -> dict[str, str]:
    """What is wrong, by setting, each as `message -> mend`."""
    with pytest.raises(InvalidSettings) as raised:
        loaded(environ, **files)
    assert exit_code_of(raised.value) == EXIT_CONFIGURATION
    return {fault.setting: f"{fault.message} -> {fault.mend}" for fault in raised.value.faults}


# Sources -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_root_keeps_its_data_where_the_account_of_the_embedded_server_can_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert loaded({"HOME": "/root"}).settings.data_dir == Path("/var/lib/jobctl")
    assert loaded({"HOME": "/root", "JOBCTL_DATA_DIR": "/srv/x"}).settings.data_dir == Path("/srv/x")


@pytest.mark.usefixtures("ordinary_user")
def test_nothing_set_gives_the_defaults() -> None:
    found = loaded({"HOME": "/home/me"})
    assert found.settings.data_dir == Path("/home/me/.local/share/jobctl")
    assert found.settings.max_runtime_of("ingest-branch") == 3_300
    assert found.settings.max_runtime_of("report") == 540
    assert found.settings.max_runtime_of("another") == 540
    assert set(found.origins.values()) == {"default"}
    assert found.origins.keys() == Settings.model_fields.keys()


def test_environment_beats_env_file_beats_config_file_beats_default() -> None:
    toml = "lease_s = 61\nbatch_size = 1\nkill_grace_s = 11\nh3_resolution = 3"
    env = "JOBCTL_BATCH_SIZE=2\nJOBCTL_KILL_GRACE_S=12\n"
    found = loaded({"JOBCTL_KILL_GRACE_S": "13"}, env=env, toml=toml)
    assert (found.settings.kill_grace_s, found.origins["kill_grace_s"]) == (13, "environment JOBCTL_KILL_GRACE_S")
    assert (found.settings.batch_size, found.origins["batch_size"]) == (2, "env file used.env")
    assert (found.settings.lease_s, found.origins["lease_s"]) == (61, "config file used.toml")
    assert (found.settings.memory_limit_mb, found.origins["memory_limit_mb"]) == (120, "default")
    assert found.files == (Path("used.env"), Path("used.toml"))


def test_the_names_operators_know_work_as_they_are() -> None:
    environ = {
        "DATABASE_URL": f"postgresql://app:{SECRET}@db/jobs",
        "BRANCH_SLUG": "north",
        "GITHUB_TOKEN": "ghp_1",
        "REPORT_EMAILS": "ann@example.org, bob@example.org,,ann@example.org",
        "EMAIL_FROM": "Reports <reports@example.org>",
        "SMTP_URL": "smtp://me:pw@mail:587",
        "RESEND_API_KEY": "re_1",
        "SENDGRID_API_KEY": "SG.1",
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
        "ENABLE_SLACK_ALERTS": "true",
        "CRON_SECRET": "tick",
    }
    found = loaded(environ)
    settings = found.settings
    assert settings.database_url == SecretStr(environ["DATABASE_URL"])
    assert settings.branch_slug == "north"
    assert settings.report_emails == ("ann@example.org", "bob@example.org")
    assert settings.email_from == "Reports <reports@example.org>"
    assert settings.enable_slack_alerts is True
    assert set(settings.secrets()) == {environ[name] for name in environ if name.lower() in SECRETS}
    assert {name for name, origin in found.origins.items() if origin != "default"} == {name.lower() for name in environ}


def test_every_other_setting_has_the_prefix() -> None:
    assert ENV_NAMES["data_dir"] == "JOBCTL_DATA_DIR"
    assert ENV_NAMES["database_url"] == "DATABASE_URL"
    assert sum(not name.startswith("JOBCTL_") for name in ENV_NAMES.values()) == 12


def test_an_empty_value_is_as_good_as_none() -> None:
    found = loaded(
        {"BRANCH_SLUG": " ", "DATABASE_URL": ""}, env="BRANCH_SLUG=\nEMAIL_FROM=''\n", toml='branch_slug = "north"'
    )
    assert found.settings.branch_slug == "north"
    assert found.settings.database_url is None
    assert found.settings.email_from is None


def test_values_from_the_config_file_may_be_typed_or_text() -> None:
    toml = 'report_emails = ["ann@example.org"]\nlease_s = "2m"\nenable_slack_alerts = false\nheartbeat_s = 2.5\n'
    found = loaded(toml=toml + '[max_runtime_s]\ningest-branch = "50m"\nreport = 500\n')
    assert found.settings.report_emails == ("ann@example.org",)
    assert (found.settings.lease_s, found.settings.heartbeat_s) == (120, 2.5)
    assert found.settings.max_runtime_s["ingest-branch"] == 3_000
    assert found.settings.max_runtime_s["report"] == 500
    assert found.settings.max_runtime_s["sync"] == 540


def test_a_team_changes_the_plan_in_tables_of_the_config_file() -> None:
    text = '[schedules.sync]\nat = "15 3 * * *"\nstart_grace_s = "5m"\noptions = ["--full"]\n'
    text += '[schedules.report]\ncatch_up = "all"'
    schedules = loaded(toml=text).settings.schedules
    assert schedules["sync"] == ScheduleSettings(at="15 3 * * *", start_grace_s=300, options=("--full",))
    assert schedules["report"] == ScheduleSettings(catch_up="all")
    assert loaded().settings.schedules == {}


def test_the_plan_is_not_changed_by_a_word_of_the_environment() -> None:
    (text,) = faults({"JOBCTL_SCHEDULES": "sync=15 3 * * *"}).values()
    assert "is a table of jobctl.toml" in text


def test_all_faults_of_the_tables_are_told_at_once() -> None:
    (text,) = faults(toml="[schedules.snyc]\n[schedules.sync]\ncap = -1\nat = ''").values()
    assert "snyc" in text and "cap = -1" in text and "at = ''" in text


def test_max_runtimes_can_be_written_on_one_line() -> None:
    settings = loaded({"JOBCTL_MAX_RUNTIME_S": "ingest-branch=50m, sync=300"}).settings
    assert (settings.max_runtime_of("ingest-branch"), settings.max_runtime_of("sync")) == (3_000, 300)


def test_a_dollar_in_a_password_of_the_env_file_stays_one() -> None:
    text = "DATABASE_URL=postgresql://app:pa${HOME}$x@db/jobs # the comment\nexport GITHUB_TOKEN='a b#c'\n"
    settings = loaded(env=text).settings
    assert settings.database_url == SecretStr("postgresql://app:pa${HOME}$x@db/jobs")
    assert settings.github_token == SecretStr("a b#c")


def test_relative_paths_count_from_where_they_are_written(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "env").write_text("JOBCTL_LOG_FILE=log/jobctl.log\nJOBCTL_TEXTFILE_DIR=~/metrics\n")
    found = load(environ={"HOME": "/home/me", "JOBCTL_DATA_DIR": "var"}, env_file=etc / "env")
    assert found.settings.log_file == etc / "log/jobctl.log"
    assert found.settings.data_dir == Path.cwd() / "var"
    assert found.settings.textfile_dir == Path("/home/me/metrics")


def test_a_log_file_of_one_hyphen_is_kept_for_standard_output() -> None:
    assert loaded({"JOBCTL_LOG_FILE": "-"}).settings.log_file == Path("-")


@pytest.mark.usefixtures("ordinary_user")
def test_xdg_directories_are_heeded_only_when_absolute() -> None:
    assert loaded({"XDG_DATA_HOME": "/srv/data"}).settings.data_dir == Path("/srv/data/jobctl")
    assert loaded({"XDG_DATA_HOME": "data"}).settings.data_dir == Path("/nonexistent/.local/share/jobctl")


def test_an_environment_without_home_is_enough() -> None:
    assert load(environ={}).settings.data_dir.is_absolute()


@pytest.mark.usefixtures("ordinary_user")
def test_without_any_home_directory_the_data_directory_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(InvalidSettings, match="no home directory") as raised:
        load(environ={})
    assert "JOBCTL_DATA_DIR" in raised.value.hint
    assert load(environ={"JOBCTL_DATA_DIR": "/srv/x"}).settings.data_dir == Path("/srv/x")


# Faults ------------------------------------------------------------------------------------------------------------


def test_all_faults_are_told_at_once_and_from_every_source() -> None:
    found = faults(
        {"JOBCTL_LEASE_S": "abc", "JOBCTL_DTAA_DIR": "x", "ENABLE_SLACK_ALERTS": "perhaps"},
        env="JOBCTL_TIMEZONE=Europe/Berln\nthis is no line\n",
        toml="batch_sise = 3\nh3_resolution = 99\nlock_timeout_ms = 26000",
    )
    assert set(found) == {
        "lease_s",
        "JOBCTL_DTAA_DIR",
        "enable_slack_alerts",
        "timezone",
        "JOBCTL_ENV_FILE",
        "batch_sise",
        "h3_resolution",
        "lock_timeout_ms, statement_timeout_ms",
    }
    assert "line 2 of used.env" in found["JOBCTL_ENV_FILE"]


@pytest.mark.parametrize(
    ("environ", "meant"),
    [
        ({"JOBCTL_DATADIR": "x"}, "JOBCTL_DATA_DIR"),
        ({"JOBCTL_GITHUB_TOKEN": SECRET}, "GITHUB_TOKEN"),
        ({"JOBCTL_DATABASE_URL": SECRET}, "DATABASE_URL"),
        ({"JOBCTL_CONFIG_FILE": "x"}, "JOBCTL_CONFIG"),
        ({"JOBCTL_ENVFILE": "x"}, "JOBCTL_ENV_FILE"),
    ],
)
def test_an_unknown_name_is_a_fault_that_says_which_was_meant(environ: dict[str, str], meant: str) -> None:
    (text,) = faults(environ).values()
    assert f"did you mean {meant}?" in text
    assert SECRET not in text


def test_names_of_others_are_not_ours_to_judge() -> None:
    environ = {"PATH": "/bin", "DATABASE_URI": "x", "JOBCTL_TEST_PG_BIN": "/usr/lib/postgresql/15/bin"}
    assert loaded(environ, env="EDITOR=vi\n").settings.database_url is None


def test_a_near_miss_in_the_env_file_does_not_quietly_mean_the_embedded_server() -> None:
    assert "did you mean DATABASE_URL?" in faults(env="DATBASE_URL=postgresql://db/jobs\n")["DATBASE_URL"]


@pytest.mark.parametrize(
    ("name", "bad", "says"),
    [
        ("DATABASE_URL", f"mysql://app:{SECRET}@db/jobs", "must start with postgresql://"),
        ("DATABASE_URL", f"{SECRET}", "must start with postgresql://"),
        ("DATABASE_URL", f"postgresql://app:{SECRET}@x@db/jobs", "percent-encode @ as %40"),
        ("DATABASE_URL", f"postgresql://app:{SECRET} x@db/jobs", "percent-encode"),
        ("SMTP_URL", f"http://me:{SECRET}@mail", "must start with smtp:// or smtps://"),
        ("SMTP_URL", f"smtp://me:{SECRET}@", "names no host"),
        ("SLACK_WEBHOOK_URL", f"http://hooks.example.org/{SECRET}", "must start with https://"),
        ("GITHUB_TOKEN", f"{SECRET}\nX-Header: y", "a line break"),
        ("JOBCTL_GITHUB_TOKENS", f"{SECRET},tökén", "a character that no token has"),
        ("GITHUB_API_URL", f"http://{SECRET}.example.org", "must start with https://"),
        ("GITHUB_API_URL", f"https://me:{SECRET}@github.example.org", "has a user name"),
        ("JOBCTL_GITHUB_APP_ID", "my app", "neither the number of a GitHub App nor its client id"),
        ("JOBCTL_GITHUB_APP_INSTALLATION_ID", "0", "must be at least 1"),
        ("REPORT_EMAILS", "ann@example.org,bob", "'bob', which is not an e-mail address"),
        ("EMAIL_FROM", "Reports", "is not an e-mail address"),
        ("BRANCH_SLUG", "North Branch", "is not a branch's slug"),
        ("ENABLE_SLACK_ALERTS", "perhaps", "is neither true nor false (it is 'perhaps')"),
        ("JOBCTL_TIMEZONE", "europe/berln", "did you mean Europe/Berlin?"),
        ("JOBCTL_TIMEZONE", "Europe", "is not a time zone"),
        ("JOBCTL_TIMEZONE", "../../etc/passwd", "is not a time zone"),
        ("JOBCTL_LOG_LEVEL", "LOUD", "must be one of 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("JOBCTL_LEASE_S", "abc", "is not a duration: write it as 90s"),
        ("JOBCTL_LEASE_S", "0", "must be at least 1"),
        ("JOBCTL_BATCH_SIZE", "many", "is not a whole number (it is 'many')"),
        ("JOBCTL_BATCH_SIZE", "0", "must be at least 1"),
        ("JOBCTL_HEARTBEAT_S", "0", "must be more than 0"),
        ("JOBCTL_SOFT_LIMIT_SHARE", "1", "must be less than 1"),
        ("JOBCTL_MAX_WITHDRAW_SHARE", "nan", "is not a number"),
        ("JOBCTL_MAX_RUNTIME_S", "55m", "is not of the form ingest-branch=55m,report=9m"),
        ("JOBCTL_MAX_RUNTIME_S", "ingest-brnch=55m", "did you mean ingest-branch?"),
        ("JOBCTL_MAX_RUNTIME_S", "report=0", "for report must be at least 1"),
        ("JOBCTL_RUN_AS_USER", "no body", "has characters that are not allowed"),
    ],
)
def test_a_bad_value_is_explained_in_plain_words(name: str, bad: str, says: str) -> None:
    (text,) = faults({name: bad}).values()
    assert says in text
    assert name in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("lease_s = true", "lease_s cannot be true or false"),
        ("report_emails = 5", "is not a list of e-mail addresses"),
        ("max_runtime_s = 5", "is not a table of job and duration"),
        ("timezone = 5", "is not text"),
        ("batch_size = 5.5", "is not a whole number"),
        ("data_dir = 5", "is not a path"),
        ("lease_s = ", "is not TOML"),
        ("[jobctl]\nlease_s = 5", "jobctl is not a setting"),
        ("LEASE_S = 5", "did you mean lease_s?"),
        ("schedules = 5", "is a table of jobctl.toml"),
        ("[schedules.snyc]", "names 'snyc', which is not a job: did you mean sync?"),
        ("[schedules]\nsync = '5 4 * * *'", "which is no table: write [schedules.sync]"),
        ("[schedules.sync]\nAt = '5 4 * * *'", "for sync has 'At', which is not known: did you mean at?"),
        ("[schedules.sync]\nat = 5", "for sync has at = 5, which is no text"),
        ('[schedules.sync]\nowner = "a\\nb"', "no text of one line"),
        ("[schedules.sync]\noptions = '--full'", "no list of words"),
        ("[schedules.sync]\ncatch_up = 'most'", "none of none, latest, all"),
        ("[schedules.sync]\ncap = 1001", "no number from 0 to 1000"),
        ("[schedules.sync]\ncap = true", "no number from 0 to 1000"),
        ("[schedules.sync]\nstart_grace_s = 'soon'", "which is not a duration"),
        ("[schedules.sync]\nstart_grace_s = -1", "no number of seconds"),
    ],
)
def test_a_bad_line_of_the_config_file_is_explained_in_plain_words(toml: str, says: str) -> None:
    (text,) = faults(toml=toml).values()
    assert says in text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:p%40ss@db:5432/jobs?sslmode=require",
        "postgres://db/jobs",
        "postgresql:///jobs?host=/run/postgresql",
        "postgresql://me@/jobs?host=%2Frun%2Fx&port=5433",
        "postgresql://a:b?c@h1:1,h2:2/jobs",
        "host=db dbname=jobs password='a b'",
    ],
)
def test_addresses_that_libpq_understands_are_accepted(url: str) -> None:
    assert loaded({"DATABASE_URL": url}).settings.database_url == SecretStr(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/hook", "http://localhost/hook", "https://hooks.slack.com/services/x"]
)
def test_a_webhook_without_tls_may_only_be_on_this_machine(url: str) -> None:
    assert loaded({"SLACK_WEBHOOK_URL": url}).settings.slack_webhook_url == SecretStr(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/x",
        "http://127.0.0.1.evil.example/x",
        "http://localhost.evil.example/x",
        "http://evil.example/x@127.0.0.1/",
        "http://127.0.0.1:80@evil.example/x",
        "http://127.0.0.1@evil.example/x",
        "http://10.0.0.1/x",
    ],
)
def test_a_webhook_elsewhere_must_have_tls(url: str) -> None:
    assert "must start with https://" in faults({"SLACK_WEBHOOK_URL": url})["slack_webhook_url"]


def test_slack_alerts_need_a_webhook() -> None:
    assert "there is no SLACK_WEBHOOK_URL" in faults({"ENABLE_SLACK_ALERTS": "yes"})["enable_slack_alerts"]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"JOBCTL_LOCK_TIMEOUT_MS": "25000"}, "lock_timeout_ms (25s) must be below statement_timeout_ms (25s)"),
        ({"JOBCTL_STATEMENT_TIMEOUT_MS": "30000"}, "statement_timeout_ms (30s) must be below idle_in_transaction"),
        (
            {"JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "60000"},
            "idle_in_transaction_timeout_ms (1m) must be below lease_s",
        ),
        (
            {"JOBCTL_LEASE_S": "432"},
            "lease_s (7m12s) must be below the soft limit (7m12s), 0.8 of max_runtime_s of sync,",
        ),
        ({"JOBCTL_MAX_RUNTIME_S": "ingest-branch=3601"}, "(1h1s) must not be longer than cron_interval_s (1h)"),
        ({"JOBCTL_HEARTBEAT_S": "10.1"}, "lease_s (1m) must be at least six times heartbeat_s (10s)"),
    ],
)
def test_limits_out_of_order_are_refused(environ: dict[str, str], says: str) -> None:
    (text,) = faults(environ).values()
    assert says in text
    assert "lower JOBCTL_" in text


def test_limits_just_in_order_are_accepted() -> None:
    found = loaded(
        {
            "JOBCTL_LOCK_TIMEOUT_MS": "24999",
            "JOBCTL_STATEMENT_TIMEOUT_MS": "25000",
            "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "25001",
            "JOBCTL_HEARTBEAT_S": "10",
            "JOBCTL_MAX_RUNTIME_S": "ingest-branch=3600,report=76",
        }
    )
    assert found.settings.max_runtime_of("report") == 76


def test_a_max_runtime_of_the_command_line_is_held_to_the_same_order() -> None:
    settings = loaded().settings
    require_limits(settings, "ingest-branch", 3_300)
    for seconds in (60, 75, 3_601):
        with pytest.raises(InvalidSettings):
            require_limits(settings, "ingest-branch", seconds)


def test_one_fault_is_told_with_the_way_to_mend_it_and_many_in_one_line() -> None:
    with pytest.raises(InvalidSettings) as one:
        loaded({"JOBCTL_BATCH_SIZE": "0"})
    assert one.value.message == "JOBCTL_BATCH_SIZE must be at least 1 (it is '0') (environment JOBCTL_BATCH_SIZE)"
    assert one.value.hint == "unset JOBCTL_BATCH_SIZE for the default, 5000"
    with pytest.raises(InvalidSettings) as many:
        loaded({"JOBCTL_BATCH_SIZE": "0", "JOBCTL_H3_RESOLUTION": "x"})
    assert many.value.message.startswith("2 faults in the settings: ")
    assert "config check" in many.value.hint
    assert "\n" not in many.value.message


def test_a_secret_in_the_wrong_place_is_shown_nowhere() -> None:
    """Each secret of any source is taken out of every fault, even one that a stronger source hides."""
    found = faults(
        {"GITHUB_TOKEN": "stronger-value", "JOBCTL_TIMEZONE": SECRET, "JOBCTL_BATCH_SIZE": "ghp_C4n4ryC4n4ryC4n4ry"},
        env=f"GITHUB_TOKEN={SECRET}\n",
    )
    assert set(found) == {"timezone", "batch_size"}
    assert SECRET not in str(found)
    assert "C4n4ry" not in str(found)


# The model ---------------------------------------------------------------------------------------------------------


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        loaded().settings.lease_s = 5


def test_secrets_are_in_no_representation() -> None:
    found = loaded({"DATABASE_URL": f"postgresql://app:{SECRET}@db/jobs", "GITHUB_TOKEN": SECRET})
    assert SECRET not in repr(found)
    assert SECRET not in str(found.settings)
    assert SECRET not in found.settings.model_dump_json()


def test_every_field_of_type_secret_is_known_as_one() -> None:
    assert {"database_url", "smtp_url", "slack_webhook_url", "github_token", "cron_secret"} < SECRETS
    assert len(SECRETS) == 12


def test_settings_read_neither_cli_nor_warn_with_an_empty_environment() -> None:
    """As cron starts it: almost no environment. Nothing is printed, and no slow library is imported."""
    code = (
        "import json, sys; from jobctl.settings_reading.load import load; load();"
        "slow = ('typer', 'rich', 'psycopg', 'pydantic_settings', 'platformdirs', 'dotenv', 'tomllib');"
        "print(json.dumps([name for name in slow if name in sys.modules]))"
    )
    path = os.pathsep.join([str(Path(jobctl.__file__).parent.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd="/", env={"PYTHONPATH": path}, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert json.loads(done.stdout) == []


def test_further_tokens_are_each_a_secret() -> None:
    settings = loaded({"JOBCTL_GITHUB_TOKENS": "ghp_1, ghp_2,,ghp_1"}).settings
    assert settings.further_github_tokens() == ("ghp_1", "ghp_2")
    assert {"ghp_1", "ghp_2"} <= set(settings.secrets())


def test_where_the_api_is_loses_its_last_slash_and_may_be_on_the_loopback() -> None:
    assert loaded({}).settings.github_api_url == "https://api.github.com"
    for said, url in (("https://ghe.example/api/v3/", "https://ghe.example/api/v3"), ("http://127.0.0.1:80",) * 2):
        assert loaded({"GITHUB_API_URL": said}).settings.github_api_url == url


def test_an_app_needs_its_id_and_its_key_file() -> None:
    for name, value, missing in (
        ("JOBCTL_GITHUB_APP_ID", "17", "JOBCTL_GITHUB_APP_KEY_FILE"),
        ("JOBCTL_GITHUB_APP_KEY_FILE", "/k.pem", "JOBCTL_GITHUB_APP_ID"),
    ):
        with pytest.raises(InvalidSettings, match=f"{name} is set, but there is no {missing}"):
            loaded({name: value})
    both = {"JOBCTL_GITHUB_APP_ID": "Iv1.0a", "JOBCTL_GITHUB_APP_KEY_FILE": "/k.pem"}
    assert loaded(both).settings.github_app_key_file == Path("/k.pem")
