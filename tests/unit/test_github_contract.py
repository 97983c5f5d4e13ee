"""The test server's answers have the shapes that GitHub's own descriptions demand, and queries ask for nothing that its
schema does not have (scripts/github-contract)."""

import json
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import bench_github_graphql as graphql
from bench_github import GitHub
from jobctl.jobs.sync import details_reading, reconcile

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
        truth.assign(issue, "dan")
        truth.assign(pull, "dan")
        truth.label(repo, "bug").description = "It breaks"
        truth.put_label(issue, repo.labels[0])
        truth.put_label(pull, repo.labels[0])
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


# GraphQL ------------------------------------------------------------------------------------------------------------

TYPES_OF_GRAPHQL: dict[str, dict[str, Any]] = CONTRACT["graphql"]["types"]
QUERIES = {
    "details": details_reading.DETAILS,
    "further reviews": details_reading.FURTHER_REVIEWS,
    "further comments": details_reading.FURTHER_COMMENTS,
    **{f"reconcile {kind}": query for kind, query in reconcile.QUERY.items()},
}


def strange(kind: str, selected: Sequence[graphql.Selected], where: str) -> Iterator[str]:
    """What a query asks of a type that GitHub's schema does not have."""
    for field in selected:
        of, at = field.on or kind, f"{where}.{field.key}"
        if of not in TYPES_OF_GRAPHQL:
            yield f"{at}: {of} is not in the contract"
            continue
        if of != kind and not possible(of) & possible(kind):
            yield f"{at}: {kind} is never {of}"
        if field.name == "__typename":
            continue
        if field.name not in TYPES_OF_GRAPHQL[of].get("fields", {}):
            yield f"{at}: {of} has no {field.name}"
            continue
        arguments = TYPES_OF_GRAPHQL[of].get("arguments", {}).get(field.name, {})
        for name, value in field.arguments.items():
            if name not in arguments:
                yield f"{at}: {field.name} takes no {name}"
            allowed = TYPES_OF_GRAPHQL.get(arguments.get(name, ""), {}).get("values")
            if allowed and not set(value if isinstance(value, list) else [value]) <= set(allowed):  # pyright: ignore[reportUnknownArgumentType]
                yield f"{at}: {name} is {value}, none of {allowed}"
        if field.inside:
            yield from strange(TYPES_OF_GRAPHQL[of]["fields"][field.name], field.inside, at)


def possible(kind: str) -> set[str]:
    """The types that a value of this one may have; of Node nearly all."""
    return set(TYPES_OF_GRAPHQL) if kind == "Node" else set(TYPES_OF_GRAPHQL[kind].get("possible", [kind]))


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_nothing_that_githubs_schema_does_not_have(name: str) -> None:
    given: dict[str, Any] = {"ids": [], "id": "", "after": None, "owner": "", "name": ""}
    assert list(strange("Query", graphql.read(QUERIES[name], given), "")) == []


def test_the_test_server_has_no_field_that_githubs_schema_does_not_have() -> None:
    for kind, fields in graphql.FIELDS.items():
        if kind != graphql.LEADS_ON:
            assert (kind, set(fields) - set(TYPES_OF_GRAPHQL[kind]["fields"])) == (kind, set())


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("{ node(id: $id) { ... on Issue { titel } } }", ".node.titel: Issue has no titel"),
        ("{ node(id: $id) { ... on Label { name colour } } }", ".node.colour: Label has no colour"),
        ("{ rateLimit { ... on User { login } } }", ".rateLimit.login: RateLimit is never User"),
        (
            "{ node(id: $id) { ... on Issue { comments(frist: 1) { totalCount } } } }",
            ".node.comments: comments takes no frist",
        ),
        (
            "{ node(id: $id) { ... on Issue { timelineItems(itemTypes: [ASIGNED_EVENT], first: 1) { totalCount } } } }",
            ".node.timelineItems: itemTypes is ['ASIGNED_EVENT'], none of ",
        ),
    ],
)
def test_the_check_sees_what_a_query_must_not_ask_for(query: str, fault: str) -> None:
    (found,) = strange("Query", graphql.read(f"query ($id: ID!) {query}", {"id": ""}), "")
    assert found.startswith(fault)
