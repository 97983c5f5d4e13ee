"""GitHub as the tests have it (tests/bench_github.py), in a process of its own for benchmarks/sync.py.

    python benchmarks/github_server.py PROJECTS ISSUES LATENCY_S

Two issues of five are pull requests, each with a review. The first line on stdout tells where it listens, for whom, and
what it has. Then it takes commands from stdin, one a line, and answers each with a line of JSON: `change N` changes N
issues of each project, `account` tells what was asked since the last time, `end` ends it.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench_github import GitHub
from bench_github_truth import Repo, Truth

ENDPOINTS = ("graphql", "issues", "labels", "milestones", "commits", "languages", "contributors", "releases", "reviews")


def make(truth: Truth, projects: int, issues: int) -> list[Repo]:
    truth.now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=100)
    repos = [truth.repo(f"bench/project{number:04}") for number in range(projects)]
    for repo in repos:
        labels = [truth.label(repo, name) for name in ("bug", "ops", "docs")]
        for number in range(issues):
            if number % 5 < 2:
                issue = truth.open_pull(repo, f"Mend {number}")
                truth.review(issue)
            else:
                issue = truth.open_issue(
                    repo, f"It breaks {number}", body="What was seen, and what was expected. " * 20
                )
                truth.comment(issue)
            truth.put_label(issue, labels[number % 3])
            if number % 2:
                truth.close(issue)
        for _ in range(20):
            truth.push(repo, truth.account("bob"))
        truth.release(repo, "v1")
    truth.now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    return repos


def change(truth: Truth, repos: list[Repo], count: int) -> None:
    for repo in repos:
        for issue in list(repo.issues.values())[:count]:
            truth.edit(issue, title=f"{issue.title}, again")


def account(github: GitHub, tokens: list[str], seen: int) -> dict[str, object]:
    asked = github.requests[seen:]
    by: dict[str, int] = {}
    for each in asked:
        last = each.path.rpartition("/")[2]
        name = last if last in ENDPOINTS else "repository" if each.path.count("/") <= 3 else "one of them"
        by[name] = by.get(name, 0) + 1
    return {
        "requests": len(asked),
        "unchanged": sum(each.status == 304 for each in asked),
        "limited": sum(each.status in (403, 429) for each in asked),
        "by_endpoint": by,
        "used": {token: github.used(token) for token in tokens},
        "seconds": asked[-1].at - asked[0].at if asked else 0.0,
    }


def main() -> None:
    projects, issues, latency_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    github = GitHub(latency_s=latency_s)
    github.quota = 10_000_000
    repos = make(github.truth, projects, issues)
    with github:
        names = [repo.full_name for repo in repos]
        tokens = [github.token() for _ in range(2)]
        print(json.dumps({"url": github.url, "tokens": tokens, "names": names}), flush=True)
        seen = 0
        for line in sys.stdin:
            word, _, number = line.strip().partition(" ")
            if word == "change":
                since = github.truth.now
                change(github.truth, repos, int(number))
                print(json.dumps({"since": since.isoformat()}), flush=True)
            elif word == "account":
                print(json.dumps(account(github, tokens, seen)), flush=True)
                seen = len(github.requests)
            else:
                break


if __name__ == "__main__":
    main()
