"""From records to items that are found by meaning, as an operator does it: `work`, `embeddings`, `items search`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench_command import Command, command, environment_of
from bench_embeddings import FakeEndpoint, error_reply, vectors_reply

PLACES = [
    {"id": "1", "name": "Sion Airport", "city": "Sion", "cc": "CH", "lat": 46.219, "lon": 7.327},
    {"id": "2", "name": "Yokota Air Base", "city": "Fussa", "cc": "JP", "lat": 35.748, "lon": 139.348},
    {"id": "3", "name": "Kenmore Harbor Seaplane Base", "city": "Seattle", "cc": "US", "lat": 47.629, "lon": -122.339},
    {"id": "4", "name": "Bad Ragaz Airfield", "city": "Bad Ragaz", "cc": "CH", "lat": 47.016, "lon": 9.482},
]
MAP = ("record_id=id", "name=name", "city=city", "country=cc", "latitude=lat", "longitude=lon")
KEY = "sk-c4n4ry-c4n4ry"


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path)


@pytest.fixture
def jobctl(environment: dict[str, str]) -> Command:
    return command(environment)


@pytest.fixture
def places(jobctl: Command) -> str:
    """An activated branch that is loaded and ingested, with a task for each item."""
    jobctl("branch", "add", "places", *(word for pair in MAP for word in ("--map", pair)))
    jobctl("branch", "load", "places", "-", "--format", "ndjson", stdin="\n".join(map(json.dumps, PLACES)))
    jobctl("branch", "activate", "places")
    jobctl("ingest-branch")
    return "places"


def obj(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one object on stdout; nothing else is there."""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    return found  # pyright: ignore[reportUnknownVariableType]


def standing(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, int]]:
    """By model version, what is not zero."""
    names = ("embedded", "pending", "failed", "stale", "missing")
    return {each["model_version"]: {name: each[name] for name in names if each[name]} for each in obj(done)["items"]}


def keys(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return [item["record_key"] for item in obj(done)["items"]]


def test_each_step_that_is_still_to_be_done_is_named(jobctl: Command) -> None:
    assert "jobctl ingest-branch" in jobctl("embeddings", "status").stdout
    done = jobctl("items", "search", "air base", code=1)
    assert "there are no items yet" in done.stderr and "jobctl ingest-branch" in done.stderr
    done = jobctl("embeddings", "index", code=1)
    assert "no vectors" in done.stderr


def test_items_are_embedded_by_work_and_found_by_meaning(jobctl: Command, places: str) -> None:
    waits = jobctl("items", "search", "air base", code=1)
    assert "4 wait for it" in waits.stderr and "jobctl work --type embed" in waits.stderr
    assert standing(jobctl("embeddings", "status", "--json")) == {"wordllama-256-v1": {"pending": 4}}
    report = obj(jobctl("work", "--type", "embed", "--json"))
    assert (report["status"], report["counts"]["succeeded"]) == ("completed", 4)
    assert standing(jobctl("embeddings", "status", "--json")) == {"wordllama-256-v1": {"embedded": 4}}
    told = obj(jobctl("embeddings", "status", "--json"))
    assert (told["model"], told["dimensions"], told["indexed"]) == ("wordllama/l2_supercat", 256, False)
    assert told["storage"] in ("pgvector", "array")
    assert keys(jobctl("items", "search", "military base in Japan", "--json"))[0] == "2"
    assert keys(jobctl("items", "search", "water plane near Seattle", "--limit", "1", "--json")) == ["3"]
    assert set(keys(jobctl("items", "search", "base", "--near", "46.8,8.2,110", "--json"))) == {"1", "4"}
    assert keys(jobctl("items", "search", "base", "--near", "0,0,10", "--json")) == []
    hit = obj(jobctl("items", "search", "Yokota", "--branch", places, "--limit", "1", "--json"))["items"][0]
    assert (hit["branch"], hit["name"], hit["country"], hit["stale"]) == ("places", "Yokota Air Base", "JP", False)
    shown = jobctl("items", "search", "Sion", "--near", "46.2,7.3,50")
    assert "Sion Airport" in shown.stdout and "Yokota" not in shown.stdout
    # A second run has nothing to do, and a second ingest queues nothing.
    jobctl("ingest-branch", "--full")
    assert obj(jobctl("work", "--type", "embed", "--json"))["counts"].get("claimed", 0) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x", "--near", "91,0,1"], "latitude"),
        (["x", "--near", "here"], "lat,lon,km"),
        (["x", "--branch", "place"], "did you mean places?"),
        (["  "], "the question is empty"),
    ],
)
def test_wrong_question_is_refused_in_one_line(jobctl: Command, places: str, words: list[str], told: str) -> None:
    done = jobctl("items", "search", *words, code=2)
    assert done.stdout == "" and told in done.stderr and done.stderr.count("\n") == 1


def test_another_model_version_is_embedded_anew_and_the_way_there_is_told(
    jobctl: Command, places: str, environment: dict[str, str]
) -> None:
    jobctl("work", "--type", "embed")
    environment["JOBCTL_EMBED_MODEL_VERSION"] = "second"
    searched = jobctl("items", "search", "base", code=1)
    assert "'second'" in searched.stderr and "jobctl embeddings reembed" in searched.stderr
    stands = {"wordllama-256-v1": {"stale": 4}, "second": {"missing": 4}}
    assert standing(jobctl("embeddings", "status", "--json")) == stands
    assert "jobctl embeddings reembed" in jobctl("embeddings", "status").stdout
    dry = obj(jobctl("embeddings", "reembed", "--dry-run", "--json"))
    assert (dry["queued"], dry["cancelled"], dry["dry_run"]) == (4, 0, True)
    assert standing(jobctl("embeddings", "status", "--json")) == stands
    assert obj(jobctl("embeddings", "reembed", "--branch", places, "--json"))["queued"] == 4
    assert obj(jobctl("embeddings", "reembed", "--json"))["queued"] == 0
    jobctl("work", "--type", "embed")
    assert standing(jobctl("embeddings", "status", "--json"))["second"] == {"embedded": 4}
    assert keys(jobctl("items", "search", "military base in Japan", "--json"))[0] == "2"
    other = jobctl("embeddings", "reembed", "--model-version", "third")
    assert "4 items queued for third" in other.stdout and "here it is not" in other.stdout


def test_index_is_made_and_dropped_where_the_server_has_pgvector(
    jobctl: Command, places: str, database_url: str
) -> None:
    jobctl("work", "--type", "embed")
    with psycopg.connect(database_url) as conn:
        has_it = conn.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchone() is not None
    if not has_it:
        assert "pgvector" in jobctl("embeddings", "index", code=78).stderr
        return
    made = obj(jobctl("embeddings", "index", "--json"))
    assert made["index"].startswith("embeddings_of_") and made["bytes"] > 0
    found = obj(jobctl("items", "search", "military base in Japan", "--json"))
    assert (found["exact"], found["items"][0]["record_key"]) == (False, "2")
    assert obj(jobctl("embeddings", "status", "--json"))["indexed"] is True
    assert obj(jobctl("embeddings", "index", "--drop", "--json"))["dropped"] is True
    assert obj(jobctl("items", "search", "military base in Japan", "--json"))["exact"] is True


def test_endpoint_is_asked_with_its_key_which_is_shown_nowhere(
    jobctl: Command, places: str, environment: dict[str, str], tmp_path: Path, database_url: str
) -> None:
    config = tmp_path / "jobctl.toml"
    environment |= {"JOBCTL_CONFIG": str(config), "JOBCTL_EMBED_MODEL_VERSION": "m", "JOBCTL_EMBEDDINGS_API_KEY": KEY}
    said: list[str] = []
    with FakeEndpoint(lambda texts: error_reply(401, f"wrong key {KEY}")) as endpoint:
        config.write_text(f'[embeddings]\nprovider = "http"\nurl = "{endpoint.url}"\nmodel = "small"\n')
        config.chmod(0o600)
        jobctl("embeddings", "reembed")
        done = jobctl("work", "--type", "embed", "--json", code=3)
        said.append(done.stdout + done.stderr)
        assert json.loads(done.stdout)["counts"]["failed"] == 4
        assert standing(jobctl("embeddings", "status", "--json"))["m"] == {"failed": 4}
        assert "reembed --failed" in jobctl("embeddings", "status").stdout
        assert len(endpoint.bodies) == 1, "a refused key is not tried with each text"
        endpoint.behaviour = vectors_reply
        assert obj(jobctl("embeddings", "reembed", "--failed", "--json"))["queued"] == 4
        said.append(jobctl("work", "--type", "embed", "-v").stdout)
        assert standing(jobctl("embeddings", "status", "--json"))["m"] == {"embedded": 4}
        assert endpoint.headers[-1]["Authorization"] == f"Bearer {KEY}"
        assert endpoint.bodies[-1]["model"] == "small" and len(endpoint.bodies[-1]["input"]) == 4
        found = keys(jobctl("items", "search", "Sion Airport, Sion, Switzerland", "--json"))
        assert found[0] == "1"
        said.append(jobctl("config", "show").stdout)
        # The same name for another model is refused, by whoever notices first.
        config.write_text(f'[embeddings]\nprovider = "http"\nurl = "{endpoint.url}"\nmodel = "large"\n')
        refused = jobctl("items", "search", "Sion", code=78)
        assert "http/small" in refused.stderr and "JOBCTL_EMBED_MODEL_VERSION" in refused.stderr
    gone = jobctl("items", "search", "Sion", code=75)
    assert "gave no answer" in gone.stderr
    said.append(gone.stderr)
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("SELECT error_message FROM queue.attempts UNION SELECT error_message FROM queue.tasks")
        said += [str(row) for row in rows.fetchall()]
    assert not any(KEY in text for text in said)
