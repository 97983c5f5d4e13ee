"""The rows of dev.*: projects with all that hangs on them. Pure."""

from collections import Counter
from datetime import timedelta
from typing import Final

from jobctl.jobs.demo import issues
from jobctl.jobs.demo.plan import OWNER, Plan, Row, node_id
from jobctl.jobs.demo.stories import BOT, NEW_FROM, PROFILES, Profile, people_of

COLUMNS: Final = {
    "dev.projects": (
        *("project_id", "node_id", "github_id", "full_name", "description", "default_branch", "language"),
        *("is_private", "is_fork", "is_archived", "stars", "created_on_github_at", "pushed_at", "criticality"),
        *("team", "owner", "active", "added_at", "updated_at", "synced_at", "sync_outcome"),
    ),
    "dev.project_aliases": ("name", "project_id", "seen_at"),
    "dev.labels": ("label_id", "project_id", "name", "color", "description"),
    "dev.milestones": (
        *("milestone_id", "project_id", "number", "title", "state", "due_on", "created_at", "updated_at", "closed_at"),
    ),
    "dev.issues": issues.ISSUE,
    "dev.pulls": issues.PULL,
    "dev.reviews": issues.REVIEW,
    "dev.commits": issues.COMMIT,
    "dev.contributors": ("project_id", "github_id", "login", "is_bot", "contributions"),
    "dev.releases": (
        *("release_id", "project_id", "tag", "name", "is_draft", "is_prerelease", "created_at", "published_at"),
    ),
    "dev.languages": ("project_id", "name", "bytes"),
    "dev.impacts": ("project_id", "number", "per_day", "note", "imported_at"),
}
COLORS: Final = ("d73a4a", "b60205", "d93f0b", "fbca04", "0e8a16", "a2eeef")


def rows(plan: Plan) -> dict[str, list[Row]]:
    made: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    for number, profile in enumerate(PROFILES):
        _add(plan, made, number, profile)
    return made


def _add(plan: Plan, made: dict[str, list[Row]], number: int, profile: Profile) -> None:
    project_id, name = number + 1, f"{OWNER}/{profile.name}"
    random = plan.random("project", profile.name)
    found = issues.drawn(plan, number, profile)
    of_issues = issues.rows(plan, project_id, found, is_tended=profile.story != "abandoned")
    pushed_at = max((row[-1] for row in of_issues.commits), default=None)
    created_at = (
        plan.start + (plan.as_of - plan.start) * NEW_FROM if profile.story == "new" else plan.ago(1_100 + number)
    )
    made["dev.projects"].append((
        project_id, node_id("R", project_id), -project_id, name, f"A sample project of the team {profile.team}",
        "main", profile.language, True, False, False, 0, created_at, pushed_at, profile.criticality, profile.team,
        people_of(number)[0], True, plan.start, plan.as_of, plan.ago(0.4), "ok",
    ))  # fmt: skip
    made["dev.project_aliases"].append((name, project_id, plan.start))
    made["dev.labels"] += [
        (issues.label_id(project_id, label), project_id, label, COLORS[nth % len(COLORS)], None)
        for nth, label in enumerate(issues.LABELS)
    ]
    made["dev.issues"] += of_issues.issues
    made["dev.pulls"] += of_issues.pulls
    made["dev.reviews"] += of_issues.reviews
    made["dev.commits"] += of_issues.commits
    commits = Counter(row[2] for row in of_issues.commits)
    made["dev.contributors"] += [
        (project_id, -(project_id * 100 + nth), who, who == BOT, count)
        for nth, (who, count) in enumerate(sorted(commits.items()))
    ]
    made["dev.languages"] += [
        (project_id, profile.language, random.randrange(200_000, 2_000_000)),
        (project_id, "Shell" if profile.language != "Shell" else "Python", random.randrange(2_000, 60_000)),
    ]
    if random.random() < 0.3:
        open_bugs = [nth for nth, each in enumerate(found, 1) if "severity: high" in each.labels and not each.closed_at]
        made["dev.impacts"] += [
            (project_id, nth, 750, "a large customer waits for it", plan.ago(1)) for nth in open_bugs[:1]
        ]
    for nth in range(12):
        at = (plan.ago(30.4 * (11.7 - nth))).replace(minute=0, second=0, microsecond=0)
        ends = at + timedelta(days=21)
        is_over = ends < plan.as_of - timedelta(days=5)
        if at < created_at or (pushed_at is not None and at > pushed_at):
            continue
        made["dev.milestones"].append((
            -(project_id * 100 + nth), project_id, nth + 1, f"Sprint {nth + 1}", "closed" if is_over else "open", ends,
            at, at, ends if is_over else None,
        ))  # fmt: skip
        made["dev.releases"].append((
            -(project_id * 100 + nth), project_id, f"v1.{nth}.0", f"{profile.name} 1.{nth}", False, False, at, at,
        ))  # fmt: skip
