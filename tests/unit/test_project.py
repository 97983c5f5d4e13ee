"""Names of projects, what a team may say of one, and files of projects."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.errors import DataError, UsageError
from jobctl.github.failures import BadAnswer
from jobctl.jobs.sync.repository import facts_of
from jobctl.projects.import_file import Row, read_rows
from jobctl.projects.project import Care, check_care, check_owner, parse_name

REPOSITORY: dict[str, Any] = {
    "node_id": "R_1",
    "id": 1,
    "full_name": "octo/cat",
    "owner": {"login": "octo"},
    "description": None,
    "default_branch": "main",
    "language": None,
    "private": False,
    "fork": False,
    "archived": False,
    "stargazers_count": 3,
    "created_at": "2026-01-01T00:00:00Z",
    "pushed_at": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "octo-org/Hello.World_1",
        " octo-org/Hello.World_1 ",
        "https://github.com/octo-org/Hello.World_1",
        "https://github.com/octo-org/Hello.World_1/",
        "https://github.com/octo-org/Hello.World_1.git",
        "https://github.com/octo-org/Hello.World_1/issues?q=is%3Aopen#top",
        "http://127.0.0.1:8080/octo-org/Hello.World_1",
        "git@github.com:octo-org/Hello.World_1.git",
        "ssh://git@github.com/octo-org/Hello.World_1.git",
    ],
)
def test_a_name_is_taken_as_it_is_or_from_an_address(text: str) -> None:
    assert parse_name(text) == "octo-org/Hello.World_1"


@pytest.mark.parametrize(
    "text", ["", "octo", "octo/", "/cat", "a/b/c", "octo/..", "octo/.", "-o/cat", "o cto/cat", "octo/c?t", "octo/cät",
             "https://github.com/octo", "octo/cat\n", "../../etc/passwd", "o" * 200 + "/cat"]
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    if text.strip() != text and text.strip():
        assert parse_name(text) == text.strip()
        return
    with pytest.raises(UsageError, match="no name of a repository"):
        parse_name(text)


def test_an_owner_is_a_plain_word() -> None:
    assert check_owner("octo-org") == "octo-org"
    for text in ("", "a/b", "../x", "a b", "-a"):
        with pytest.raises(UsageError):
            check_owner(text)


@pytest.mark.parametrize("care", [Care("urgent"), Care(team="a\nb"), Care(owner=" "), Care(schedule="x" * 101)])
def test_what_cannot_be_meant_is_refused(care: Care) -> None:
    with pytest.raises(UsageError):
        check_care(care)


# Files ---------------------------------------------------------------------------------------------------------------


def rows(text: str | bytes) -> list[Row]:
    def check(schedule: str) -> None:
        if schedule.count(" ") != 4:
            raise UsageError(f"the schedule {schedule!r} is none", hint="five fields")

    return read_rows(text.encode() if isinstance(text, str) else text, check)


def test_a_csv_file_is_read_by_its_header() -> None:
    text = (
        "\ufeffproject,Criticality,team,owner,schedule,active\r\n"
        "octo/cat,HIGH,platform,ann@example.org,5 3 * * *,yes\r\n"
        "\r\n"
        "https://github.com/octo/dog,,,none,,no\r\n"
    )
    assert rows(text) == [
        Row(2, "octo/cat", Care("high", "platform", "ann@example.org", "5 3 * * *", True)),
        Row(4, "octo/dog", Care(owner="", active=False)),
    ]
    assert rows("repo;team\nocto/cat;a,b\n") == [Row(2, "octo/cat", Care(team="a,b"))]
    assert rows("team\tname\nx\tocto/cat\n") == [Row(2, "octo/cat", Care(team="x"))]


def test_json_lines_are_read_by_their_names() -> None:
    text = '{"project": "octo/cat", "team": "x", "active": true}\n\n{"full_name": "octo/dog", "team": null}\n'
    assert rows(text) == [Row(1, "octo/cat", Care(team="x", active=True)), Row(3, "octo/dog", Care())]


def test_a_project_that_stands_twice_counts_as_it_stands_last() -> None:
    assert rows("project,team\nocto/cat,a\nOcto/Cat,b\n") == [Row(3, "Octo/Cat", Care(team="b"))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no project"),
        ("project\n", "names no project"),
        ("team\nx\n", "no column project"),
        ("project,repo\na/b,a/b\n", "two columns"),
        ("project,project\na/b,a/b\n", "twice"),
        ("project,tema\na/b,x\n", "'tema' is none of"),
        ("project\nnobody\n", "line 2: 'nobody' is no name"),
        ("project,criticality\na/b,urgent\n", "line 2: 'urgent' is no criticality"),
        ("project,active\na/b,perhaps\n", "line 2: active is 'perhaps'"),
        ("project,schedule\na/b,daily\n", "line 2: the schedule 'daily'"),
        ("project\na/b,c\n", "line 2: 2 cells under 1 columns"),
        ('project\n"a/b\n', "line 2"),
        ('{"project": "a/b"}\nnot json\n', "line 2: no JSON object"),
        ('{"project": "a/b"}\n[1]\n', "line 2: no JSON object"),
        ('{"project": 7}\n', "line 1: project is no text"),
        ('{"project": "a/b", "tema": "x"}\n', "line 1: 'tema' is none of"),
        ('{"project": ' + "[" * 5_000, "line 1: no JSON object"),
        (b"project\n\xff\n", "not UTF-8"),
        (b"x" * (11 << 20), "larger than 10 MiB"),
    ],
)
def test_a_faulty_file_is_refused_with_its_lines(text: str | bytes, told: str) -> None:
    with pytest.raises(DataError) as raised:
        rows(text)
    assert told in raised.value.message
    assert raised.value.message.count("\n") == 0


def test_only_the_first_faults_are_told() -> None:
    with pytest.raises(DataError, match="and 15 more"):
        rows("project\n" + "x\n" * 20)


@given(st.text() | st.binary())
def test_no_file_raises_anything_else(text: str | bytes) -> None:
    try:
        rows(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    except DataError as error:
        told = error.message  # what it says is judged above
        assert told


# What GitHub says ----------------------------------------------------------------------------------------------------


def test_a_repository_is_read_into_facts() -> None:
    facts = facts_of(REPOSITORY, "x")
    assert (facts.node_id, facts.github_id, facts.full_name, facts.stars) == ("R_1", 1, "octo/cat", 3)
    assert (facts.description, facts.language, facts.pushed_at) == (None, None, None)


STRANGE: list[object] = [None, "", [], {"a": 1}, "x", 7, 10**30]
RIGHT: dict[str, list[object]] = {"node_id": ["x"], "full_name": ["x"], "id": [7], "owner": [{"a": 1}]}


@pytest.mark.parametrize("name", ["node_id", "id", "full_name", "owner", "private", "fork", "archived", "created_at"])
def test_a_repository_with_another_value_is_a_bad_answer_that_names_it(name: str) -> None:
    for value in STRANGE:
        if value not in RIGHT.get(name, []):
            with pytest.raises(BadAnswer, match=name):
                facts_of(REPOSITORY | {name: value}, "x")


@pytest.mark.parametrize("answer", [None, [], "x", 7, {}, {"message": "Not Found"}])
def test_what_is_no_repository_is_a_bad_answer(answer: object) -> None:
    with pytest.raises(BadAnswer):
        facts_of(answer, "x")
