"""A GitHub on which people work, and which answers badly at times: made, changed and spoilt by a seed's numbers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from bench_github import FAULTS, MIXES, Asked, Fault, GitHub, Reply, error_reply, json_reply, redirects_to
from bench_github_truth import Account, Issue, Repo, Truth

WORDS = (
    "breaks",
    "mend",
    "slow",
    "naïve",
    "日本",
    "a 'quoted' one",
    "<b>",
    "100%",
    "back\\slash",
    "🙂",
    "",
    "tab\there",
)
PEOPLE = ("ann", "bob", "cat", "dan", "eve", None)
BOTS = ("helper[bot]", "dependabot[bot]")
REVIEWS = ("APPROVED", "CHANGES_REQUESTED", "COMMENTED")

# Beside bench_github.FAULTS: what is documented of some address, at any address.
STATUSES: dict[str, Fault] = {
    "409": lambda reply: error_reply(409, "Git Repository is empty."),
    "451": lambda reply: json_reply(451, {"message": "Repository access blocked", "block": {"reason": "dmca"}}),
    "202": lambda reply: json_reply(202, {}),
    "204": lambda reply: Reply(204),
    "503 with retry-after": lambda reply: error_reply(503, "Unavailable", Retry_After="7"),
    "403 of access": lambda reply: error_reply(403, "Resource not accessible by personal access token"),
    "422": lambda reply: error_reply(422, "Validation Failed"),
    "304 that nobody asked for": lambda reply: Reply(304),
}
EVERY_FAULT = FAULTS | STATUSES


@dataclass
class World:
    """`big` has several pages. `done` counts what was done to it. With `hides` that is also what no list of changes
    tells, so that only a reconcile sees it."""

    truth: Truth
    rng: random.Random
    big: Repo
    others: list[Repo]
    hides: bool = True
    done: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def repos(self) -> list[Repo]:
        return [self.big, *self.others]

    def change(self) -> None:
        """Something that somebody does."""
        with self.truth.lock:
            names = [name for name in CHANGES if self.hides or name not in HIDDEN]
            name = self.rng.choices(names, [CHANGES[each][1] for each in names])[0]
            repo = self.big if self.rng.random() < 0.6 else self.rng.choice(self.others)
            if CHANGES[name][0](self, repo):
                self.done[name] = self.done.get(name, 0) + 1

    def open_doors(self) -> None:
        with self.truth.lock:
            for repo in self.repos:
                repo.access, repo.has_issues = "ok", True

    def who(self) -> str | None:
        if self.rng.random() < 0.15:
            return self.truth.account(self.rng.choice(BOTS), "Bot").login
        return self.rng.choice(PEOPLE)

    def account(self) -> Account | None:
        login = self.who()
        return self.truth.account(login) if login is not None else None

    def text(self) -> str:
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randint(1, 4))).strip() or "nothing"

    def issue(self, repo: Repo) -> Issue | None:
        return self.rng.choice(list(repo.issues.values())) if repo.issues else None

    def pull(self, repo: Repo) -> Issue | None:
        pulls = repo.pulls()
        return self.rng.choice(pulls) if pulls else None


def make_world(
    rng: random.Random, clock: Callable[[], float], *, big: tuple[int, int] = (150, 350), others: int = 2
) -> World:
    """Of the two months before now; from then on its changes have the moments of `clock`."""
    truth = Truth()
    truth.now = datetime.fromtimestamp(int(clock()), UTC) - timedelta(days=60)
    truth.seconds_a_change = 600
    small = [truth.repo(f"octo/small{n}") for n in range(others)]
    made = World(truth, rng, truth.repo("octo/big"), small, hides=rng.random() < 0.6)
    for repo in made.repos:
        count = rng.randint(*big) if repo is made.big else rng.randint(0, 25)
        _fill(made, repo, count)
    truth.follows = clock
    return made


def _fill(made: World, repo: Repo, count: int) -> None:
    truth, rng = made.truth, made.rng
    for name in ("bug", "ops", "docs"):
        truth.label(repo, name)
    for number in range(rng.randint(0, 2)):
        truth.milestone(repo, f"{number}.0")
    for _ in range(count):
        # Now and then many in one second, as an import makes them.
        truth.seconds_a_change = 0 if rng.random() < 0.3 else rng.randint(1, 5_000)
        if rng.random() < 0.4:
            truth.open_pull(repo, made.text(), made.who(), draft=rng.random() < 0.2)
        else:
            truth.open_issue(repo, made.text(), made.who(), made.text())
    for _ in range(count // 2):
        truth.seconds_a_change = rng.randint(0, 600)
        act = rng.choice((_comment, _close, _merge, _review, _put_label, _set_milestone, _assign))
        act(made, repo)
    for _ in range(rng.choice((0, 3, 130))):
        truth.push(repo, made.account(), made.text())
    for number in range(rng.randint(0, 3)):
        truth.release(repo, f"v{number}")
    if rng.random() < 0.1:
        repo.commits.clear()  # an empty repository
        repo.ever.clear()
        repo.languages.clear()


# What people do: each gives whether it could be done ------------------------------------------------------------------


def _open_issue(made: World, repo: Repo) -> bool:
    made.truth.open_issue(repo, made.text(), made.who(), made.text())
    return True


def _open_pull(made: World, repo: Repo) -> bool:
    made.truth.open_pull(repo, made.text(), made.who(), draft=made.rng.random() < 0.4)
    return True


def _edit(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is not None:
        made.truth.edit(issue, title=made.text(), body=made.text())
    return issue is not None


def _comment(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is not None:
        made.truth.comment(issue, made.who())
    return issue is not None


def _close(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is None or issue.state == "closed":
        return False
    made.truth.close(issue, made.rng.choice(("completed", "not_planned")))
    return True


def _reopen(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is None or issue.state == "open" or (issue.pull is not None and issue.pull.merged_at is not None):
        return False
    made.truth.reopen(issue)
    return True


def _merge(made: World, repo: Repo) -> bool:
    pull = made.pull(repo)
    if pull is None or pull.state == "closed":
        return False
    made.truth.merge(pull)
    made.truth.push(repo, pull.author, f"Merge #{pull.number}\n\nwith a body")
    return True


def _review(made: World, repo: Repo) -> bool:
    pull = made.pull(repo)
    if pull is not None:
        for _ in range(made.rng.choice((1, 1, 1, 2, 120))):
            made.truth.review(pull, made.rng.choice(REVIEWS), made.who())
    return pull is not None


def _dismiss(made: World, repo: Repo) -> bool:
    pull = made.pull(repo)
    if pull is None or pull.pull is None or not pull.pull.reviews:
        return False
    review = made.rng.choice(pull.pull.reviews)
    if made.rng.random() < 0.5:
        made.truth.dismiss(pull, review)
    else:
        made.truth.delete_review(pull, review)
    return True


def _push_to_pull(made: World, repo: Repo) -> bool:
    pull = made.pull(repo)
    if pull is not None:
        made.truth.push_to_pull(pull, made.who())
    return pull is not None


def _draft(made: World, repo: Repo) -> bool:
    pull = made.pull(repo)
    if pull is None or pull.pull is None:
        return False
    if pull.pull.draft:
        made.truth.ready(pull)
    else:
        made.truth.draft_again(pull)
    return True


def _put_label(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    free = [label for label in repo.labels if issue is not None and label not in issue.labels]
    if issue is not None and free:
        made.truth.put_label(issue, made.rng.choice(free))
    return bool(free)


def _take_label(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is None or not issue.labels:
        return False
    made.truth.take_label(issue, made.rng.choice(issue.labels))
    return True


def _rename_label(made: World, repo: Repo) -> bool:
    made.truth.rename_label(repo, made.rng.choice(repo.labels), f"label {made.rng.randrange(10**6)}")
    return True


def _new_label(made: World, repo: Repo) -> bool:
    made.truth.label(repo, f"label {made.rng.randrange(10**6)}")
    return True


def _delete_label(made: World, repo: Repo) -> bool:
    if len(repo.labels) < 2:
        return False
    made.truth.delete_label(repo, made.rng.choice(repo.labels))
    return True


def _set_milestone(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is not None:
        made.truth.set_milestone(issue, made.rng.choice([None, *repo.milestones]))
    return issue is not None


def _milestone(made: World, repo: Repo) -> bool:
    if repo.milestones and made.rng.random() < 0.5:
        made.truth.close_milestone(made.rng.choice(repo.milestones))
    else:
        made.truth.milestone(repo, made.text())
    return True


def _assign(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is not None:
        made.truth.assign(issue, *made.rng.sample(("ann", "bob", "cat", "dan"), made.rng.randint(0, 3)))
    return issue is not None


def _push(made: World, repo: Repo) -> bool:
    for _ in range(made.rng.choice((1, 2, 3, 110))):
        made.truth.push(repo, made.account(), made.text())
    repo.languages = {"Python": made.rng.randrange(1, 10**6), "Rust": made.rng.randrange(1, 10**6)}
    return True


def _force_push(made: World, repo: Repo) -> bool:
    if len(repo.commits) < 3:
        return False
    made.truth.force_push(repo, made.rng.randint(1, min(5, len(repo.commits) - 1)))
    return True


def _release(made: World, repo: Repo) -> bool:
    """Its tag is pushed with it."""
    made.truth.release(repo, f"v{made.rng.randrange(10**6)}")
    made.truth.push(repo, made.account(), "release")
    return True


def _describe(made: World, repo: Repo) -> bool:
    repo.description, repo.stars = made.text(), made.rng.randrange(1_000)
    repo.updated_at = made.truth.tick()
    return True


def _delete_issue(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is not None:
        made.truth.delete_issue(repo, issue.number)
    return issue is not None


def _transfer_issue(made: World, repo: Repo) -> bool:
    issue = made.issue(repo)
    if issue is None or issue.pull is not None:
        return False
    made.truth.transfer_issue(repo, issue.number, made.rng.choice([each for each in made.repos if each is not repo]))
    return True


def _rename(made: World, repo: Repo) -> bool:
    """Or transfer to another owner; somebody may take the former name at once."""
    former = repo.full_name
    owner = made.rng.choice((None, "octo", "newocto"))
    made.truth.rename(repo, f"renamed{made.rng.randrange(10**6)}", owner)
    if made.rng.random() < 0.4:
        taken = made.truth.repo(former)
        made.truth.label(taken, "theirs")
        for _ in range(3):
            made.truth.open_issue(taken, "somebody else's")
    return True


def _many_at_once(made: World, repo: Repo) -> bool:
    """In one second, or as few as the clock allows, more than a page."""
    issues = list(repo.issues.values())
    made.rng.shuffle(issues)
    label = made.rng.choice(repo.labels)
    for issue in issues[: made.rng.choice((20, 99, 100, 101, 250))]:
        if label not in issue.labels:
            made.truth.put_label(issue, label)
        else:
            made.truth.edit(issue, body=made.text())
    return bool(issues)


def _shut(made: World, repo: Repo) -> bool:
    """For a while nobody may see it; it is the same when it can be seen again."""
    repo.access = made.rng.choice(("forbidden", "missing", "blocked", "ok", "ok"))
    return True


def _switch_issues(_made: World, repo: Repo) -> bool:
    """Off, and on again: they are the same then."""
    repo.has_issues = not repo.has_issues
    return True


Change = Callable[[World, Repo], bool]
CHANGES: dict[str, tuple[Change, int]] = {
    "open issue": (_open_issue, 10),
    "open pull": (_open_pull, 8),
    "edit": (_edit, 20),
    "comment": (_comment, 15),
    "close": (_close, 10),
    "reopen": (_reopen, 8),
    "merge": (_merge, 8),
    "review": (_review, 12),
    "dismiss": (_dismiss, 4),
    "push to pull": (_push_to_pull, 6),
    "draft": (_draft, 4),
    "label": (_put_label, 8),
    "unlabel": (_take_label, 4),
    "rename label": (_rename_label, 3),
    "new label": (_new_label, 2),
    "delete label": (_delete_label, 1),
    "set milestone": (_set_milestone, 4),
    "milestone": (_milestone, 3),
    "assign": (_assign, 4),
    "push": (_push, 4),
    "force push": (_force_push, 3),
    "release": (_release, 2),
    "describe": (_describe, 3),
    "delete": (_delete_issue, 5),
    "transfer": (_transfer_issue, 5),
    "rename": (_rename, 3),
    "many at once": (_many_at_once, 3),
    "shut": (_shut, 2),
    "switch issues": (_switch_issues, 1),
}
HIDDEN = frozenset({"rename label", "new label", "delete label", "milestone", "delete", "transfer"})


# What goes wrong ------------------------------------------------------------------------------------------------------


@dataclass
class Storm:
    """While it is over a server, answers go wrong and the world changes between them; `met` counts what went wrong.
    `on_request` is called with each, before it is answered."""

    github: GitHub
    world: World
    faults: float = 0.05
    limits: float = 0.01
    changes: float = 0.3
    on_request: Callable[[Asked], object] | None = None
    met: dict[str, int] = field(default_factory=dict[str, int])

    def __enter__(self) -> Self:
        self.github.before_reply, self.github.chaos = self._before, self._after
        return self

    def __exit__(self, *_: object) -> None:
        self.github.before_reply = self.github.chaos = None
        self.world.open_doors()

    def _before(self, asked: Asked) -> None:
        rng = self.world.rng
        with self.github._lock, self.world.truth.lock:
            while rng.random() < self.changes:
                self.world.change()
            if rng.random() < self.limits:
                name = rng.choice(list(MIXES))
                self.github.limit_next(MIXES[name])
                self._meet(name)
        if self.on_request is not None:
            self.on_request(asked)

    def _after(self, asked: Asked, reply: Reply) -> Reply:
        rng = self.world.rng
        with self.github._lock:
            if reply.status != 200 or rng.random() >= self.faults:
                return reply
            name = rng.choice([*EVERY_FAULT, "301"])
            self._meet(name)
            fault = redirects_to(self._elsewhere()) if name == "301" else EVERY_FAULT[name]
            return fault(reply) if name in ("html", "no word", "cut") or reply.body else reply

    def _elsewhere(self) -> str:
        """To another repository's number, to one that there is not, in a circle, or to nobody who may be told."""
        path = self.world.rng.choice(
            [*(f"/repositories/{repo.id}" for repo in self.world.truth.repos.values()), "/repositories/1", "/x"]
        )
        return self.github.url + path

    def _meet(self, name: str) -> None:
        self.met[name] = self.met.get(name, 0) + 1
