"""The test server's answers have the shapes that GitHub's own description demands (scripts/github-contract)."""

import json
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from bench_github import GitHub

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "github_contract.json").read_text(encoding="utf-8"))
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def faults(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """What is wrong with a value, as far as the contract says."""
    for several in ("oneOf", "anyOf"):
        tried = [faults(value, each, where) for each in schema.get(several, ())]
        if tried and all(tried):
            return min(tried, key=len)
    found = [fault for each in schema.get("allOf", ()) for fault in faults(value, each, where)]
    if value is None:
        is_allowed = schema.get("nullable") or "type" not in schema
        return found if is_allowed else [*found, f"{where} is null"]
    kinds = TYPES.get(schema.get("type", ""), (object,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and int in kinds):
        return [*found, f"{where} is {type(value).__name__}, not {schema['type']}"]
    if value not in schema.get("enum", [value]):
        found.append(f"{where} is {value!r}, none of {schema['enum']}")
    if isinstance(value, dict):
        found += faults_inside(cast("dict[str, Any]", value), schema, where)
    if isinstance(value, list):
        for each in cast("list[Any]", value)[:5]:
            found += faults(each, schema.get("items", {}), f"{where}[]")
    return found


def faults_inside(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    properties = schema.get("properties", {})
    for name, each in value.items():
        if name in properties:
            found += faults(each, properties[name], f"{where}.{name}")
        elif properties and "required" in schema:
            found.append(f"{where}.{name} is not described")
    return found


@pytest.fixture(scope="module")
def github() -> Generator[GitHub, None, None]:
    """A repository in which there is one of everything."""
    with GitHub() as github:
        truth = github.truth
        repo = truth.repo("octo/cat")
        issue, pull = truth.open_issue(repo, body="text"), truth.open_pull(repo)
        issue.milestone = truth.milestone(repo, "1.0")
        issue.assignees = [truth.account("dan")]
        truth.put_label(issue, truth.label(repo, "bug"))
        truth.review(pull)
        truth.comment(pull)
        truth.reopen(pull)
        truth.merge(pull)
        truth.close(issue)
        truth.open_issue(repo, author=None)
        truth.release(repo, "v1")
        yield github


def fetch(github: GitHub, path: str) -> Any:
    request = urllib.request.Request(github.url + path, headers={"Authorization": f"Bearer {github.token()}"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("repository", "/repos/octo/cat"),
        ("repositories", "/orgs/octo/repos"),
        ("issues", "/repos/octo/cat/issues?state=all"),
        ("issue", "/repos/octo/cat/issues/1"),
        ("issue", "/repos/octo/cat/issues/2"),
        ("pulls", "/repos/octo/cat/pulls?state=all"),
        ("pull", "/repos/octo/cat/pulls/2"),
        ("reviews", "/repos/octo/cat/pulls/2/reviews"),
        ("commits", "/repos/octo/cat/pulls/2/commits"),
        ("timeline", "/repos/octo/cat/issues/2/timeline"),
        ("labels", "/repos/octo/cat/labels"),
        ("milestones", "/repos/octo/cat/milestones"),
        ("commits", "/repos/octo/cat/commits"),
        ("contributors", "/repos/octo/cat/contributors"),
        ("releases", "/repos/octo/cat/releases"),
        ("languages", "/repos/octo/cat/languages"),
    ],
)
def test_an_answer_has_what_github_describes_and_nothing_else(github: GitHub, name: str, path: str) -> None:
    answer = fetch(github, path)
    assert answer
    assert faults(answer, CONTRACT["answers"][name]["schema"], name) == []


def test_an_installation_has_what_github_describes() -> None:
    import bench_github_shapes as shapes
    from bench_github_truth import Account

    made = shapes.installation("http://x", 7, "1", Account(1, "octo", "Organization"))
    found = faults([made], CONTRACT["answers"]["installations"]["schema"], "installations")
    # The description wants its account to be a user and an enterprise at the same time.
    assert [fault for fault in found if not fault.startswith("installations[].account.")] == []


def test_the_check_sees_a_missing_field_another_type_and_a_strange_name(github: GitHub) -> None:
    schema = CONTRACT["answers"]["issue"]["schema"]
    issue = fetch(github, "/repos/octo/cat/issues/1")
    broken = issue | {"number": "1", "numbre": 1, "user": issue["user"] | {"id": None}}
    del broken["title"]
    told = " ".join(faults(broken, schema, "issue"))
    assert "issue.title is missing" in told
    assert "issue.number is str, not integer" in told
    assert "issue.numbre is not described" in told
    assert "issue.user.id is null" in told
