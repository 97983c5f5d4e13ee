"""The JSON objects of GitHub's REST API, with every field that its description calls required.

`api` is the address of the API; that of the pages beside it is of no further meaning.
"""

import re
from datetime import datetime
from typing import Any

from bench_github_truth import Account, Comment, Commit, Issue, Label, Milestone, Release, Repo, Review

PAGES = "https://github.example"
Shape = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else None


def account(api: str, who: Account | None) -> Shape | None:
    """None: the account was deleted (GitHub shows some of them as ghost, and some as nothing)."""
    if who is None:
        return None
    url = f"{api}/users/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": who.node_id,
        "avatar_url": f"{PAGES}/avatars/{who.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{PAGES}/{who.login}",
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": who.kind,
        "user_view_type": "public",
        "site_admin": False,
    }


_OF_REPO = re.findall(
    r"\w+",
    """archive assignees blobs branches collaborators comments commits compare contents contributors deployments
    downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages
    merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees""",
)


def repository(api: str, repo: Repo, *, full: bool) -> Shape:
    """As a list has it, or `full`, as it is alone."""
    url, page = f"{api}/repos/{repo.full_name}", f"{PAGES}/{repo.full_name}"
    open_issues = sum(issue.state == "open" for issue in repo.issues.values())
    shape: Shape = {
        "id": repo.id,
        "node_id": repo.node_id,
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": account(api, repo.owner),
        "html_url": page,
        "description": repo.description,
        "fork": repo.fork,
        "url": url,
        **{f"{part}_url": f"{url}/{part}" for part in _OF_REPO},
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.updated_at),
        "pushed_at": stamp(repo.pushed_at),
        "git_url": f"git://github.example/{repo.full_name}.git",
        "ssh_url": f"git@github.example:{repo.full_name}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "homepage": None,
        "size": 108,
        "stargazers_count": repo.stars,
        "watchers_count": repo.stars,
        "language": max(repo.languages, key=lambda name: repo.languages[name], default=None),
        "has_issues": repo.has_issues,
        "has_projects": True,
        "has_downloads": True,
        "has_wiki": False,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 0,
        "mirror_url": None,
        "archived": repo.archived,
        "disabled": repo.disabled,
        "open_issues_count": open_issues,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "private" if repo.private else "public",
        "forks": 0,
        "open_issues": open_issues,
        "watchers": repo.stars,
        "default_branch": repo.default_branch,
    }
    return shape | {"network_count": 0, "subscribers_count": 1} if full else shape


def label(api: str, repo: Repo, of: Label) -> Shape:
    return {
        "id": of.id,
        "node_id": of.node_id,
        "url": f"{api}/repos/{repo.full_name}/labels/{of.name}",
        "name": of.name,
        "color": of.color,
        "default": False,
        "description": of.description,
    }


def milestone(api: str, repo: Repo, of: Milestone | None) -> Shape | None:
    if of is None:
        return None
    url = f"{api}/repos/{repo.full_name}/milestones/{of.number}"
    inside = [issue for issue in repo.issues.values() if issue.milestone is of]
    return {
        "url": url,
        "html_url": f"{PAGES}/{repo.full_name}/milestone/{of.number}",
        "labels_url": f"{url}/labels",
        "id": of.id,
        "node_id": of.node_id,
        "number": of.number,
        "title": of.title,
        "description": None,
        "creator": account(api, of.creator),
        "open_issues": sum(issue.state == "open" for issue in inside),
        "closed_issues": sum(issue.state == "closed" for issue in inside),
        "state": of.state,
        "created_at": stamp(of.created_at),
        "updated_at": stamp(of.updated_at),
        "due_on": stamp(of.due_on),
        "closed_at": stamp(of.closed_at),
    }


def issue(api: str, repo: Repo, of: Issue) -> Shape:
    """A pull request is one, too."""
    url = f"{api}/repos/{repo.full_name}/issues/{of.number}"
    page = f"{PAGES}/{repo.full_name}/{'issues' if of.pull is None else 'pull'}/{of.number}"
    shape: Shape = {
        "url": url,
        "repository_url": f"{api}/repos/{repo.full_name}",
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        "id": of.id,
        "node_id": of.node_id,
        "number": of.number,
        "title": of.title,
        "user": account(api, of.author),
        "labels": [label(api, repo, each) for each in of.labels],
        "state": of.state,
        "locked": of.locked,
        "assignee": account(api, of.assignees[0]) if of.assignees else None,
        "assignees": [account(api, each) for each in of.assignees],
        "milestone": milestone(api, repo, of.milestone),
        "comments": of.comments,
        "created_at": stamp(of.created_at),
        "updated_at": stamp(of.updated_at),
        "closed_at": stamp(of.closed_at),
        "author_association": "CONTRIBUTOR",
        "active_lock_reason": None,
        "body": of.body,
        "closed_by": None,
        "reactions": {
            "url": f"{url}/reactions",
            **dict.fromkeys(("total_count", "+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"), 0),
        },
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
        "state_reason": of.state_reason,
    }
    if of.pull is not None:
        shape["draft"] = of.pull.draft
        shape["pull_request"] = {
            "url": f"{api}/repos/{repo.full_name}/pulls/{of.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": stamp(of.pull.merged_at),
        }
    return shape


def pull(api: str, repo: Repo, of: Issue, *, full: bool) -> Shape:
    """As a list has it, or `full`, as it is alone."""
    assert of.pull is not None
    root, page = f"{api}/repos/{repo.full_name}", f"{PAGES}/{repo.full_name}/pull/{of.number}"
    url = f"{root}/pulls/{of.number}"
    base_sha = repo.commits[0].sha if repo.commits else "0" * 40

    def end(ref: str, sha: str) -> Shape:
        return {
            "label": f"{repo.owner.login}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": account(api, repo.owner),
            "repo": repository(api, repo, full=False),
        }

    links = {
        "self": url,
        "html": page,
        "issue": f"{root}/issues/{of.number}",
        "comments": f"{root}/issues/{of.number}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{root}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{root}/statuses/{of.pull.commits[-1].sha}",
    }
    shape: Shape = {
        "url": url,
        "id": of.pull_id,
        "node_id": of.node_id,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": links["issue"],
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "number": of.number,
        "state": of.state,
        "locked": of.locked,
        "title": of.title,
        "user": account(api, of.author),
        "body": of.body,
        "labels": [label(api, repo, each) for each in of.labels],
        "milestone": milestone(api, repo, of.milestone),
        "active_lock_reason": None,
        "created_at": stamp(of.created_at),
        "updated_at": stamp(of.updated_at),
        "closed_at": stamp(of.closed_at),
        "merged_at": stamp(of.pull.merged_at),
        "merge_commit_sha": of.pull.merge_commit,
        "assignee": account(api, of.assignees[0]) if of.assignees else None,
        "assignees": [account(api, each) for each in of.assignees],
        "requested_reviewers": [],
        "requested_teams": [],
        "head": end(of.pull.head, of.pull.commits[-1].sha),
        "base": end(of.pull.base, base_sha),
        "_links": {name: {"href": href} for name, href in links.items()},
        "author_association": "CONTRIBUTOR",
        "auto_merge": None,
        "draft": of.pull.draft,
    }
    if not full:
        return shape
    return shape | {
        "merged": of.pull.merged_at is not None,
        "mergeable": None,
        "rebaseable": None,
        "mergeable_state": "unknown",
        "merged_by": account(api, of.pull.merged_by),
        "comments": of.comments,
        "review_comments": of.pull.review_comments,
        "maintainer_can_modify": False,
        "commits": len(of.pull.commits),
        "additions": of.pull.additions,
        "deletions": of.pull.deletions,
        "changed_files": of.pull.changed_files,
    }


def review(api: str, repo: Repo, pull_request: Issue, of: Review) -> Shape:
    page = f"{PAGES}/{repo.full_name}/pull/{pull_request.number}#pullrequestreview-{of.id}"
    url = f"{api}/repos/{repo.full_name}/pulls/{pull_request.number}"
    return {
        "id": of.id,
        "node_id": of.node_id,
        "user": account(api, of.author),
        "body": of.body,
        "state": of.state,
        "html_url": page,
        "pull_request_url": url,
        "author_association": "MEMBER",
        "_links": {"html": {"href": page}, "pull_request": {"href": url}},
        "submitted_at": stamp(of.submitted_at),
        "commit_id": of.commit,
    }


def comment(api: str, repo: Repo, on: Issue, of: Comment) -> Shape:
    url = f"{api}/repos/{repo.full_name}/issues"
    return {
        "id": of.id,
        "node_id": of.node_id,
        "url": f"{url}/comments/{of.id}",
        "html_url": f"{PAGES}/{repo.full_name}/issues/{on.number}#issuecomment-{of.id}",
        "issue_url": f"{url}/{on.number}",
        "body": "words",
        "user": account(api, of.author),
        "created_at": stamp(of.created_at),
        "updated_at": stamp(of.created_at),
        "author_association": "MEMBER",
        "performed_via_github_app": None,
    }


def commit(api: str, repo: Repo, of: Commit) -> Shape:
    url = f"{api}/repos/{repo.full_name}/commits/{of.sha}"
    login = of.author.login if of.author is not None else "somebody"
    by = {"name": login, "email": f"{login}@example.com", "date": stamp(of.authored_at)}
    tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    return {
        "sha": of.sha,
        "node_id": of.node_id,
        "commit": {
            "author": by,
            "committer": by | {"date": stamp(of.at)},
            "message": of.message,
            "tree": {"sha": tree, "url": f"{api}/repos/{repo.full_name}/git/trees/{tree}"},
            "url": f"{api}/repos/{repo.full_name}/git/commits/{of.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        "url": url,
        "html_url": f"{PAGES}/{repo.full_name}/commit/{of.sha}",
        "comments_url": f"{url}/comments",
        "author": account(api, of.author),
        "committer": account(api, of.author),
        "parents": [_parent(api, repo, each) for each in of.parents],
    }


TIMELINE = {
    "ReopenedEvent": "reopened",
    "ClosedEvent": "closed",
    "ReadyForReviewEvent": "ready_for_review",
    "ConvertToDraftEvent": "convert_to_draft",
    "LabeledEvent": "labeled",
    "UnlabeledEvent": "unlabeled",
    "AssignedEvent": "assigned",
    "UnassignedEvent": "unassigned",
}


def timeline(api: str, repo: Repo, of: Issue) -> list[Shape]:
    """What happened to an issue or pull request, in order. Each kind of event has a shape of its own."""
    found: list[tuple[datetime, int, Shape]] = []
    for each in of.thread:
        said = comment(api, repo, of, each)
        found.append((each.created_at, each.id, {**said, "event": "commented", "actor": said["user"]}))
    for each in of.events:
        url = f"{api}/repos/{repo.full_name}/issues/events/{each.id}"
        shape: Shape = {
            "id": each.id,
            "node_id": f"EV_{each.id}",
            "url": url,
            "actor": account(api, each.actor),
            "event": TIMELINE[each.kind],
            "commit_id": None,
            "commit_url": None,
            "created_at": stamp(each.created_at),
            "performed_via_github_app": None,
        }
        if each.label is not None:
            shape["label"] = {"name": each.label.name, "color": each.label.color}
        if each.assignee is not None:
            shape["assignee"] = account(api, each.assignee)
        found.append((each.created_at, each.id, shape))
    if of.pull is not None:
        for each in of.pull.commits:
            git = commit(api, repo, each)
            parts = {name: git["commit"][name] for name in ("author", "committer", "message", "tree", "verification")}
            url = {"sha": each.sha, "node_id": each.node_id, "url": git["commit"]["url"], "html_url": git["html_url"]}
            found.append((each.at, 0, {**url, **parts, "parents": git["parents"], "event": "committed"}))
        for each in of.pull.reviews:
            said = review(api, repo, of, each)
            found.append((each.submitted_at, each.id, {**said, "state": each.state.lower(), "event": "reviewed"}))
    return [shape for _, _, shape in sorted(found, key=lambda one: one[:2])]


def _parent(api: str, repo: Repo, of: Commit) -> Shape:
    url = f"{api}/repos/{repo.full_name}/commits/{of.sha}"
    return {"sha": of.sha, "url": url, "html_url": f"{PAGES}/{repo.full_name}/commit/{of.sha}"}


def contributor(api: str, who: Account, contributions: int) -> Shape:
    return {**(account(api, who) or {}), "contributions": contributions}


def release(api: str, repo: Repo, of: Release) -> Shape:
    url, page = f"{api}/repos/{repo.full_name}/releases/{of.id}", f"{PAGES}/{repo.full_name}/releases"
    return {
        "url": url,
        "assets_url": f"{url}/assets",
        "upload_url": f"{url}/assets{{?name,label}}",
        "html_url": f"{page}/tag/{of.tag}",
        "id": of.id,
        "author": account(api, of.author),
        "node_id": of.node_id,
        "tag_name": of.tag,
        "target_commitish": repo.default_branch,
        "name": of.tag,
        "draft": of.draft,
        "prerelease": of.prerelease,
        "created_at": stamp(of.created_at),
        "published_at": stamp(of.published_at),
        "assets": [],
        "tarball_url": f"{api}/repos/{repo.full_name}/tarball/{of.tag}",
        "zipball_url": f"{api}/repos/{repo.full_name}/zipball/{of.tag}",
        "body": None,
    }


def installation(api: str, number: int, app_id: str, owner: Account) -> Shape:
    at = "2026-01-01T00:00:00Z"
    return {
        "id": number,
        "account": account(api, owner),
        "repository_selection": "all",
        "access_tokens_url": f"{api}/app/installations/{number}/access_tokens",
        "repositories_url": f"{api}/installation/repositories",
        "html_url": f"{PAGES}/organizations/{owner.login}/settings/installations/{number}",
        "app_id": int(app_id),
        "app_slug": "jobctl",
        "target_id": owner.id,
        "target_type": owner.kind,
        "permissions": {"issues": "read", "metadata": "read", "pull_requests": "read"},
        "events": [],
        "created_at": at,
        "updated_at": at,
        "single_file_name": None,
        "suspended_by": None,
        "suspended_at": None,
    }
