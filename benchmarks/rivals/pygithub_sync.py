"""The loop that is written first: each repository, its changed issues, and each pull request with its reviews.

    python pygithub_sync.py URL TOKEN SINCE NAME...

Prints as JSON how long it took and what it has read. Run in an environment that has PyGithub.
"""
# pyright: basic, reportMissingImports=false

import json
import sys
import time
from datetime import datetime

from github import Auth, Github


def main() -> None:
    url, token, since, *names = sys.argv[1:]
    started = time.perf_counter()
    # Without its own pauses between requests, and with pages as large as they may be.
    github = Github(auth=Auth.Token(token), base_url=url, per_page=100, seconds_between_requests=None, retry=None)
    read = {"repositories": 0, "issues": 0, "pulls": 0, "reviews": 0, "comments": 0}
    for name in names:
        repository = github.get_repo(name)
        read["repositories"] += 1
        for issue in repository.get_issues(state="all", since=datetime.fromisoformat(since)):
            read["issues"] += 1
            if issue.pull_request is None:
                read["comments"] += len(list(issue.get_comments()))
                continue
            pull = issue.as_pull_request()
            read["pulls"] += pull.number > 0
            read["reviews"] += len(list(pull.get_reviews()))
    print(json.dumps(read | {"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
