"""`jobctl project` as an operator uses it, against a server that answers as GitHub documents it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench_command import Command, command, environment_of
from bench_github import FAULTS, MIXES, GitHub, redirects_to


@pytest.fixture
def github() -> Generator[GitHub, None, None]:
    with GitHub() as github:
        for name in ("octo/cat", "octo/dog"):
            github.truth.repo(name)
        yield github


@pytest.fixture
def environment(github: GitHub, database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path, GITHUB_API_URL=github.url, GITHUB_TOKEN=github.token())


@pytest.fixture
def jobctl(environment: dict[str, str]) -> Command:
    project = command(environment, "project")

    def jobctl(*words: object, **more: Any) -> "subprocess.CompletedProcess[str]":
        done = project(*words, **more)
        assert environment["GITHUB_TOKEN"] not in done.stdout + done.stderr
        return done

    return jobctl


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one object on stdout; nothing else is there."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return found


def names(jobctl: Command, *words: str) -> list[str]:
    return [item["full_name"] for item in obj(jobctl("list", "--json", *words))["items"]]


# add -----------------------------------------------------------------------------------------------------------------


def test_projects_are_added_and_a_second_time_unchanged(jobctl: Command, github: GitHub) -> None:
    done = jobctl("add", "octo/cat", f"{github.url}/octo/dog", "--criticality", "high", "--team", "platform")
    assert (done.stdout, done.stderr) == ("2 added.\n", "")
    assert names(jobctl) == ["octo/cat", "octo/dog"]
    shown = obj(jobctl("show", "OCTO/Cat", "--json"))
    assert (shown["criticality"], shown["team"], shown["active"], shown["aliases"]) == ("high", "platform", True, [])
    assert shown["node_id"].startswith("R_")
    again = obj(jobctl("add", "octo/cat", "octo/dog", "--json"))
    assert again["counts"] == {"added": 0, "updated": 0, "unchanged": 2, "failed": 0}
    assert set(again) == {"items", "next", "dry_run", "counts", "quota"}
    assert set(again["items"][0]) == {"name", "result", "outcome", "project", "error"}
    assert again["quota"]["requests"] == again["quota"]["quota"] == 2


def test_what_the_team_says_is_changed_by_adding_again(jobctl: Command) -> None:
    jobctl("add", "octo/cat", "--team", "platform", "--owner", "ann", "--schedule", "15 3 * * *")
    assert jobctl("add", "octo/cat", "--team", "none", "--criticality", "low").stdout == "1 updated.\n"
    shown = obj(jobctl("show", "octo/cat", "--json"))
    assert (shown["team"], shown["owner"], shown["criticality"]) == (None, "ann", "low")
    assert shown["schedule"] == "15 3 * * *"


def test_one_that_cannot_be_had_leaves_the_others_alone_and_exits_3(jobctl: Command, github: GitHub) -> None:
    forbidden = github.truth.repo("octo/secret")
    forbidden.access = "forbidden"
    github.truth.repo("octo/blocked").access = "blocked"
    done = jobctl("add", "octo/cat", "octo/none", "octo/secret", "octo/blocked", code=3)
    assert done.stdout == "1 added, 3 failed.\n"
    assert done.stderr.count("\n") == 3
    assert "/repos/octo/none: HTTP 404: Not Found (GitHub says the same of what" in done.stderr
    told = obj(jobctl("add", "octo/cat", "octo/none", "octo/secret", "octo/blocked", "--json", code=3))
    assert [item["outcome"] for item in told["items"]] == ["ok", "gone", "forbidden", "gone"]
    assert told["items"][0]["error"] is None
    assert [item["error"]["class"] for item in told["items"][1:]] == ["Gone", "Forbidden", "Gone"]
    assert names(jobctl) == ["octo/cat"]


def test_a_single_one_that_cannot_be_had_is_an_error(jobctl: Command) -> None:
    assert jobctl("add", "octo/none", code=1).stdout == "1 failed.\n"


def test_a_renamed_repository_is_followed_and_keeps_its_row(jobctl: Command, github: GitHub) -> None:
    cat = github.truth.named("octo/cat")
    assert cat is not None
    number = obj(jobctl("add", "octo/cat", "--json"))["items"][0]["project"]["project_id"]
    github.truth.rename(cat, "lion", owner="newocto")
    done = jobctl("add", "octo/cat")
    assert done.stdout == "1 updated.\n"
    assert "octo/cat is newocto/lion now" in done.stderr
    shown = obj(jobctl("show", "octo/cat", "--json"))
    assert (shown["project_id"], shown["full_name"], shown["aliases"]) == (number, "newocto/lion", ["octo/cat"])


def test_an_organisation_is_added_without_forks_and_archived_ones_unless_wanted(
    jobctl: Command, github: GitHub
) -> None:
    github.truth.repo("octo/fork", fork=True)
    github.truth.repo("octo/old", archived=True)
    github.truth.repo("other/x")
    dry = obj(jobctl("add", "--org", "octo", "--dry-run", "--json"))
    assert (dry["dry_run"], dry["counts"]["added"]) == (True, 2)
    assert names(jobctl) == []
    assert obj(jobctl("add", "--org", "octo", "--json"))["counts"] == dry["counts"]
    assert names(jobctl) == ["octo/cat", "octo/dog"]
    jobctl("add", "--org", "octo", "--forks", "--archived")
    assert names(jobctl) == ["octo/cat", "octo/dog", "octo/fork", "octo/old"]
    jobctl("add", "--org", "nobody", code=1)


def test_all_pages_of_an_organisation_and_of_a_user_are_read(jobctl: Command, github: GitHub) -> None:
    github.truth.account("ann", "User")
    for number in range(120):
        github.truth.repo(f"ann/r{number}")
    assert obj(jobctl("add", "--user", "ann", "--json"))["counts"]["added"] == 120


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say which repositories"),
        (["octo/cat", "--org", "octo"], "say which repositories"),
        (["octo/cat", "--forks"], "--org and --user"),
        (["nobody"], "OWNER/REPO"),
        (["octo/cat", "../../etc"], "OWNER/REPO"),
        (["--org", "a/b"], "no name of an organisation"),
        (["octo/cat", "--criticality", "urgent"], "low, medium, high, critical"),
        (["octo/cat", "--schedule", "daily"], "five fields"),
    ],
)
def test_a_wrong_word_is_a_usage_error_before_anything_is_asked(
    jobctl: Command, github: GitHub, words: list[str], told: str
) -> None:
    done = jobctl("add", *words, code=2)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert github.requests == []


# Tokens and limits ---------------------------------------------------------------------------------------------------


def test_without_a_token_it_works_and_says_what_that_means(jobctl: Command, github: GitHub) -> None:
    done = jobctl("add", "octo/cat", GITHUB_TOKEN="")
    assert done.stdout == "1 added.\n"
    assert "60 requests an hour" in done.stderr
    assert "GITHUB_TOKEN" in done.stderr
    assert [asked.token for asked in github.requests] == [""]


def test_a_refused_token_is_a_configuration_error_that_names_it(jobctl: Command, github: GitHub) -> None:
    done = jobctl("add", "octo/cat", code=78, GITHUB_TOKEN="ghp_revoked00000000000000000000000000000")
    assert "GITHUB_TOKEN (401)" in done.stderr
    assert "ghp_revoked" not in done.stderr
    assert "no token has" in jobctl("add", "octo/cat", code=78, GITHUB_TOKEN="two words").stderr


def test_further_tokens_share_the_work(jobctl: Command, github: GitHub) -> None:
    for number in range(20):
        github.truth.repo(f"octo/r{number}")
    jobctl("add", "--dry-run", *(f"octo/r{number}" for number in range(20)), JOBCTL_GITHUB_TOKENS=github.token())
    assert len({asked.token for asked in github.requests}) == 2


def test_a_limit_that_holds_too_long_is_told_with_its_end_and_nothing_is_asked_meanwhile(
    jobctl: Command, github: GitHub, environment: dict[str, str]
) -> None:
    github.spend(environment["GITHUB_TOKEN"], 0, resets_in_s=1_800)
    done = jobctl("add", "octo/cat", code=75)
    assert "holds until" in done.stderr
    assert "JOBCTL_GITHUB_TOKENS" in done.stderr
    assert github.early() == []
    github.spend(environment["GITHUB_TOKEN"], 5_000)
    github._allowed_from.clear()
    assert jobctl("add", "octo/cat").stdout == "1 added.\n"


def test_a_short_limit_is_waited_out(jobctl: Command, github: GitHub) -> None:
    def short(github: GitHub, now: float) -> Any:
        limited = MIXES["403 with retry-after"](github, now)
        limited.reply.headers["Retry-After"] = "1"
        return limited._replace(allowed_from=now + 1)

    github.limit_next(short)
    assert jobctl("add", "octo/cat").stdout == "1 added.\n"
    assert github.early() == []


def test_an_app_signs_in_with_its_key(
    jobctl: Command, github: GitHub, tmp_path: Path, environment: dict[str, str]
) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(65537, 2048)
    github.app_key, github.installations = key.public_key(), {7: "octo"}
    path = tmp_path / "app.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    app = {"GITHUB_TOKEN": "", "JOBCTL_GITHUB_APP_ID": "1", "JOBCTL_GITHUB_APP_KEY_FILE": str(path)}
    done = jobctl("add", "octo/cat", **app)
    assert (done.stdout, done.stderr) == ("1 added.\n", "")
    assert github.requests[-1].token.startswith("ghs_")
    path.chmod(0o644)
    assert f"chmod 600 {path}" in jobctl("add", "octo/cat", code=78, **app).stderr
    path.write_text("no key")
    path.chmod(0o600)
    assert "no RSA key" in jobctl("add", "octo/cat", code=78, **app).stderr
    assert (
        "cannot be read" in jobctl("add", "octo/cat", code=78, **app | {"JOBCTL_GITHUB_APP_KEY_FILE": "/none"}).stderr
    )


def test_the_token_goes_to_no_other_host(jobctl: Command, github: GitHub) -> None:
    with GitHub(github.truth) as stranger:
        github.fail("/repos/octo/cat", redirects_to(f"{stranger.url}/repos/octo/cat"))
        done = jobctl("add", "octo/cat", code=1)
        assert "leads on to another host" in done.stderr
        assert "GITHUB_API_URL" in done.stderr
        assert stranger.requests == []


@pytest.mark.parametrize("fault", ["truncated", "html", "empty", "nulls", "5,000 digits", "10,000 levels"])
def test_a_faulty_answer_is_one_line_and_leaves_nothing(jobctl: Command, github: GitHub, fault: str) -> None:
    github.fail("/repos/octo/cat", FAULTS[fault], times=9)
    done = jobctl("add", "octo/cat", code=1)
    assert done.stderr.count("\n") == 1
    assert names(jobctl) == []


def test_nothing_is_asked_when_the_database_is_away(jobctl: Command, github: GitHub) -> None:
    jobctl("add", "octo/cat", code=75, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert github.requests == []


def test_an_interrupt_ends_the_wait_for_a_limit_and_nothing_is_written(
    environment: dict[str, str], jobctl: Command, github: GitHub
) -> None:
    github.limit_next(MIXES["403 with nothing"])
    with subprocess.Popen(
        [sys.executable, "-m", "jobctl", "project", "add", "octo/cat"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        while not github.requests:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert b"nothing was written" in told
    assert names(jobctl) == []


# import --------------------------------------------------------------------------------------------------------------


def test_a_file_is_imported_and_a_second_time_unchanged(jobctl: Command, tmp_path: Path) -> None:
    file = tmp_path / "projects.csv"
    file.write_text("project,criticality,team,active\nocto/cat,critical,platform,no\nocto/dog,,,\n")
    dry = obj(jobctl("import", file, "--dry-run", "--json"))
    assert names(jobctl) == []
    assert obj(jobctl("import", file, "--json"))["counts"] == dry["counts"]
    assert names(jobctl) == ["octo/cat", "octo/dog"]
    assert names(jobctl, "--active") == ["octo/dog"]
    assert names(jobctl, "--team", "platform") == ["octo/cat"]
    assert jobctl("import", "-", stdin=b'{"project": "octo/cat"}\n').stdout == "1 unchanged.\n"


def test_a_faulty_file_is_refused_whole_before_anything_is_asked(jobctl: Command, github: GitHub) -> None:
    done = jobctl("import", "-", code=1, stdin=b"project,criticality\nocto/cat,high\nocto/dog,urgent\n")
    assert "line 3: 'urgent' is no criticality" in done.stderr
    assert github.requests == []
    assert "cannot read" in jobctl("import", "/nonexistent.csv", code=2).stderr


# list, show, activate, remove ----------------------------------------------------------------------------------------


def test_list_and_show_are_for_people_too(jobctl: Command) -> None:
    assert "jobctl project add OWNER/REPO" in jobctl("list").stdout
    jobctl("add", "octo/cat", "octo/dog", "--team", "platform")
    assert "octo/cat" in jobctl("list").stdout
    assert "platform" in jobctl("show", "octo/cat").stdout
    page = obj(jobctl("list", "--limit", 1, "--json"))
    assert [item["full_name"] for item in page["items"]] == ["octo/cat"]
    assert names(jobctl, "--after", str(page["next"])) == ["octo/dog"]
    assert "--after" in jobctl("list", "--limit", 1).stderr
    assert "is no outcome" in jobctl("list", "--outcome", "fine", code=2).stderr


def test_the_object_of_a_project_has_these_keys(jobctl: Command) -> None:
    jobctl("add", "octo/cat")
    assert set(obj(jobctl("show", "octo/cat", "--json"))) == {
        "project_id", "node_id", "github_id", "full_name", "description", "default_branch", "language", "is_private",
        "is_fork", "is_archived", "stars", "created_on_github_at", "pushed_at", "criticality", "team", "owner",
        "schedule", "active", "added_at", "updated_at", "synced_at", "sync_outcome", "sync_error", "aliases",
    }  # fmt: skip


def test_activation_is_told_once_and_harmless_twice(jobctl: Command) -> None:
    jobctl("add", "octo/cat", "octo/dog")
    done = obj(jobctl("deactivate", "octo/cat", "octo/dog", "octo/cat", "--json"))
    assert [(item["project"], item["active"], item["changed"]) for item in done["items"]] == [
        ("octo/cat", False, True),
        ("octo/dog", False, True),
    ]
    assert "is deactivated already" in jobctl("deactivate", "octo/cat").stdout
    assert names(jobctl, "--active") == []
    jobctl("activate", "octo/cat", "octo/none", code=2)
    assert names(jobctl, "--active") == []
    assert jobctl("activate", "octo/cat").stdout == "Project octo/cat is activated.\n"


def test_remove_wants_to_be_sure(jobctl: Command, conn: psycopg.Connection) -> None:
    jobctl("add", "octo/cat")
    assert "--yes" in jobctl("remove", "octo/cat", code=2).stderr
    assert obj(jobctl("remove", "octo/cat", "--yes", "--json")) == {"project": "octo/cat", "removed": True}
    assert conn.execute("SELECT FROM dev.project_aliases").rowcount == 0


@pytest.mark.parametrize("words", [["show"], ["activate"], ["deactivate"], ["remove", "--yes"]])
def test_an_unknown_project_is_a_usage_error_with_the_nearest_names(jobctl: Command, words: list[str]) -> None:
    jobctl("add", "octo/cat")
    done = jobctl(*words, "octo/kat", code=2)
    assert "did you mean octo/cat?" in done.stderr
    assert obj(jobctl(*words, "octo/kat", "--json", code=2))["error"]["class"] == "UsageError"


@pytest.mark.parametrize("command", ["add", "import", "list", "show", "activate", "deactivate", "remove"])
def test_every_command_has_help_with_an_example(jobctl: Command, command: str) -> None:
    told = jobctl(command, "--help").stdout
    assert "Example:" in told
    assert "--json" in told
