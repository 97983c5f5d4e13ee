"""A project's issues and pull requests with their reviews and commits, over the year. Pure.

They are drawn first (`drawn`), then numbered in the order of their creation, as GitHub does, and made rows (`rows`).
"""

from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple

from jobctl.jobs.demo import words
from jobctl.jobs.demo.plan import Plan, Row, node_id
from jobctl.jobs.demo.rhythm import about, after, moments
from jobctl.jobs.demo.stories import BOT, NEW_FROM, STORIES, WORSE_FROM, Profile, people_of

# The order is that of the labels' numbers.
LABELS: Final = (
    *("bug", "severity: critical", "severity: high", "severity: medium", "severity: low", "enhancement"),
    *("documentation", "duplicate", "waiting for customer", "impact: 400", "impact: 1200", "impact: 4800"),
)
SEVERITIES: Final = ("critical", "high", "medium", "low")
SEVERITY_WEIGHTS: Final = (5, 20, 50, 25)
FIX_H: Final = (8.0, 40.0, 110.0, 300.0)  # medians
RESPONSE: Final = (0.08, 0.35, 1.0, 1.6)  # against what the project takes
NEVER: Final = (0.0, 0.002, 0.008, 0.02)  # the shares that nobody ever does
UNOWNED: Final = "beacon"  # has a critical bug that is nobody's
UNOWNED_H: Final = 70


class Pull(NamedTuple):
    """What a pull request has beyond its issue."""

    is_draft: bool
    merged_at: datetime | None
    first_commit_at: datetime
    ready_at: datetime | None
    reviews: tuple[tuple[str, str, datetime], ...]  # who, what, when
    lines: int
    commits: int


class Issue(NamedTuple):
    created_at: datetime
    title: str
    author: str
    labels: tuple[str, ...]
    assignee: str | None
    closed_at: datetime | None
    first_response_at: datetime | None
    state_reason: str | None = None
    comments: int = 0
    reopened: int = 0
    body: str | None = None
    pull: Pull | None = None


def drawn(plan: Plan, number: int, profile: Profile) -> list[Issue]:
    """In the order of their creation; what would close later is open."""
    people = people_of(number)
    start = plan.start + (plan.as_of - plan.start) * (NEW_FROM if profile.story == "new" else 0.0)
    story = STORIES[profile.story]
    random = plan.random("issues", profile.name)
    found = [
        _bug(plan, random, profile, people, at) for at in moments(random, start, plan.as_of, profile.bugs, story.bugs)
    ]
    found += [_wish(plan, random, profile, people, at) for at in moments(random, start, plan.as_of, profile.others)]
    found += [
        _pull(plan, random, profile, _those_left(plan, profile, people, at), at)
        for at in moments(random, start, plan.as_of, profile.pulls, story.pulls)
    ]
    if profile.name == UNOWNED:
        at = plan.as_of - timedelta(hours=UNOWNED_H)
        labels = ("bug", "severity: critical", "impact: 4800")
        found.append(Issue(at, "Checkout charges some cards twice", people[-1], labels, None, None, None))
    return sorted(found, key=lambda each: each.created_at)


def _those_left(plan: Plan, profile: Profile, people: list[str], at: datetime) -> list[str]:
    """Where it gets worse, it began when people left."""
    return people[:2] if profile.story == "worsens" and plan.share(at) > WORSE_FROM else people


def _slowness(plan: Plan, profile: Profile, at: datetime) -> float:
    return STORIES[profile.story].slowness(plan.share(at))


def _bug(plan: Plan, random: Random, profile: Profile, people: list[str], at: datetime) -> Issue:
    worst = random.choices(range(4), SEVERITY_WEIGHTS)[0]
    slowness = _slowness(plan, profile, at)
    labels = ["bug"] if random.random() < 0.08 and worst > 1 else ["bug", f"severity: {SEVERITIES[worst]}"]
    if random.random() < 0.04:
        labels.append(random.choice(("impact: 400", "impact: 1200")))
    is_duplicate = random.random() < 0.04 and worst > 0
    takes_h = about(random, FIX_H[worst] * profile.fix * slowness, 0.7)
    left = profile.story == "abandoned" and plan.share(at + timedelta(hours=takes_h)) > 0.55
    ends = random.random() >= NEVER[worst] and not left
    closed_at = _over(plan, after(random, at, 4 if is_duplicate else takes_h)) if ends else None
    answered = _over(plan, after(random, at, about(random, profile.response_h * RESPONSE[worst] * slowness, 0.6)))
    if left or random.random() < 0.05:
        answered = None
    if closed_at is not None and answered is not None and answered > closed_at:
        answered = closed_at
    if closed_at is None and worst > 0 and random.random() < 0.06:
        labels.append("waiting for customer")
    is_assigned = closed_at is not None or worst == 0 or random.random() < 0.8
    form = f"### What happens\n\nSee above.\n\n### Revenue impact per day\n\n${random.randrange(1, 9) * 50}"
    return Issue(
        at,
        words.bug_title(random),
        random.choice([*people, "demo-customer", "demo-support"]),
        (*labels, "duplicate") if is_duplicate else tuple(labels),
        random.choice(people) if is_assigned else None,
        closed_at,
        answered,
        "duplicate" if is_duplicate else None,
        comments=random.randrange(6),
        reopened=int(random.random() < 0.04),
        body=form if worst == 2 and random.random() < 0.1 else None,
    )


def _wish(plan: Plan, random: Random, profile: Profile, people: list[str], at: datetime) -> Issue:
    slowness = _slowness(plan, profile, at)
    kind = random.choice(("enhancement", "enhancement", "documentation", ""))
    is_done = random.random() < (0.1 if profile.story == "abandoned" else 0.93)
    closed_at = _over(plan, after(random, at, about(random, 400 * slowness, 1.0))) if is_done else None
    answered = _over(plan, after(random, at, about(random, profile.response_h * 2 * slowness)))
    return Issue(
        at,
        words.wish_title(random),
        random.choice([*people, "demo-customer"]),
        (kind,) if kind else (),
        random.choice(people) if closed_at else None,
        closed_at,
        None if random.random() < 0.1 else answered,
        "not_planned" if closed_at and random.random() < 0.2 else None,
        comments=random.randrange(4),
    )


def _pull(plan: Plan, random: Random, profile: Profile, people: list[str], at: datetime) -> Issue:
    slowness = _slowness(plan, profile, at)
    is_bot = random.random() < 0.1
    author = BOT if is_bot else people[min(len(people) - 1, int(random.expovariate(0.45)))]
    is_draft = not is_bot and random.random() < 0.2
    ready_at = after(random, at, about(random, 8)) if is_draft else None
    others = [each for each in people if each != author] or [f"{people[0]}-guest"]
    seen_at = after(random, ready_at or at, about(random, profile.pickup_h * slowness))
    reviews = [(random.choice(others), "COMMENTED", seen_at)]
    done_at = after(random, seen_at, about(random, profile.review_h * slowness))
    if random.random() < 0.4:
        reviews.append((random.choice(others), "CHANGES_REQUESTED", seen_at + (done_at - seen_at) / 2))
    reviews.append((random.choice(others), "APPROVED", max(seen_at, done_at - timedelta(minutes=5))))
    became = random.random()
    merged_at = _over(plan, done_at) if became < 0.9 else None
    closed_at = merged_at if became < 0.9 else _over(plan, done_at) if became < 0.97 else None
    seen = tuple(each for each in reviews if each[2] < plan.as_of)
    pull = Pull(
        is_draft and (ready_at is None or ready_at > plan.as_of),
        merged_at,
        at - timedelta(hours=about(random, 10)),
        _over(plan, ready_at),
        seen,
        round(about(random, 12 if is_bot else 90, 1.1)),
        1 if is_bot else 1 + random.randrange(4),
    )
    title = "Update dependencies" if is_bot else words.pull_title(random)
    answered = seen[0][2] if seen else None
    return Issue(at, title, author, (), None, closed_at, answered, comments=len(seen), pull=pull)


def _over(plan: Plan, at: datetime | None) -> datetime | None:
    return at if at is not None and at < plan.as_of else None


ISSUE: Final = (
    *("node_id", "github_id", "project_id", "number", "is_pull", "title", "body", "state", "state_reason", "author"),
    *("author_is_bot", "assignees", "label_ids", "comments", "created_at", "updated_at", "closed_at", "detailed_for"),
    *("first_response_at", "reopened", "seen_at"),
)
PULL: Final = (
    *("node_id", "project_id", "is_draft", "merged_at", "merged_by", "base_branch", "head_branch", "additions"),
    *("deletions", "changed_files", "commits", "first_commit_at", "ready_at", "first_review_at"),
)
REVIEW: Final = (*("node_id", "pull_node_id", "project_id", "author", "author_is_bot", "state", "submitted_at"),)
COMMIT: Final = (
    *("project_id", "sha", "author", "author_is_bot", "author_name", "subject", "authored_at", "committed_at"),
)


class Rows(NamedTuple):
    issues: list[Row]
    pulls: list[Row]
    reviews: list[Row]
    commits: list[Row]


def rows(plan: Plan, project_id: int, issues: list[Issue], *, is_tended: bool = True) -> Rows:
    """Somebody says something to what is open now and then, where it `is_tended`."""
    random = plan.random("touched", project_id)
    made = Rows([], [], [], [])
    for number, each in enumerate(issues, 1):
        key = node_id("I", project_id, number)
        touched = [each.created_at, *filter(None, (each.closed_at, each.first_response_at))]
        if each.closed_at is None and is_tended:
            touched.append(max(each.created_at, plan.as_of - timedelta(days=random.expovariate(1 / 20))))
        updated_at = max([*touched, *(at for _, _, at in each.pull.reviews)] if each.pull else touched)
        state = "closed" if each.closed_at else "open"
        reason = (each.state_reason or "completed") if each.closed_at and each.pull is None else None
        labels = sorted(label_id(project_id, name) for name in each.labels)
        made.issues.append((
            key, -(project_id * 1_000_000 + number), project_id, number, each.pull is not None, each.title, each.body,
            state, reason, each.author, each.author == BOT, [each.assignee] if each.assignee else [], labels,
            each.comments, each.created_at, updated_at, each.closed_at, updated_at, each.first_response_at,
            each.reopened, updated_at,
        ))  # fmt: skip
        if each.pull is not None:
            _add_pull(plan, made, project_id, number, each, each.pull)
    return made


def _add_pull(plan: Plan, made: Rows, project_id: int, number: int, issue: Issue, pull: Pull) -> None:
    key = node_id("I", project_id, number)
    added = pull.lines * 3 // 4
    merged_by = pull.reviews[-1][0] if pull.merged_at and pull.reviews else None
    made.pulls.append((
        key, project_id, pull.is_draft, pull.merged_at, merged_by, "main", f"topic-{number}", added, pull.lines - added,
        1 + pull.lines // 40, pull.commits, pull.first_commit_at, pull.ready_at,
        pull.reviews[0][2] if pull.reviews else None,
    ))  # fmt: skip
    for nth, (who, said, at) in enumerate(pull.reviews):
        made.reviews.append((node_id("V", project_id, number, nth), key, project_id, who, False, said, at))
    if pull.merged_at is None:
        return
    for nth in range(pull.commits):
        authored_at = pull.first_commit_at + (issue.created_at - pull.first_commit_at) * nth / pull.commits
        made.commits.append((
            project_id, plan.sha("commit", project_id, number, nth), issue.author, issue.author == BOT,
            issue.author.removeprefix("demo-").title(), issue.title, authored_at, pull.merged_at,
        ))  # fmt: skip


def label_id(project_id: int, name: str) -> int:
    """Below zero, where GitHub has no numbers."""
    return -(project_id * 100 + LABELS.index(name))
