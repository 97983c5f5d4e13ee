"""The demo's projects and what happens to each in its year: docs/demo.md tells it to whoever looks for it. Pure."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

WORSE_FROM: Final = 0.6  # of the year
LEFT_AT: Final = 0.55
NEW_FROM: Final = 0.75
WAVES: Final = 12


class Story(NamedTuple):
    """How bugs, pull requests and the time things take depend on how much of the year is over."""

    bugs: Callable[[float], float]
    pulls: Callable[[float], float]
    slowness: Callable[[float], float]


def _steady(_share: float) -> float:
    return 1.0


def _rising(share: float) -> float:
    return 1.0 + max(0.0, share - WORSE_FROM) * 9


def _falling(share: float) -> float:
    return 1.0 + max(0.0, WORSE_FROM - share) * 7


def _fewer_hands(share: float) -> float:
    return 1.0 if share < WORSE_FROM else 0.55


def _unheeded(share: float) -> float:
    return 1.0 if share < LEFT_AT else 0.4


def _waves(share: float) -> float:
    return 3.2 if share * WAVES % 1 < 0.18 else 0.5


def _until_left(share: float) -> float:
    return 1.0 if share < LEFT_AT else 0.0


STORIES: Final[Mapping[str, Story]] = {
    "steady": Story(_steady, _steady, _steady),
    "worsens": Story(_rising, _fewer_hands, _rising),
    "recovers": Story(_falling, _steady, _falling),
    "abandoned": Story(_unheeded, _until_left, _steady),
    "waves": Story(_waves, _steady, _steady),
    "new": Story(_steady, _steady, _steady),
}


class Profile(NamedTuple):
    """A project as its team would describe it; the hours are medians."""

    name: str
    team: str
    criticality: str
    language: str
    people: int = 6
    bugs: float = 1.3  # a week
    others: float = 1.1
    pulls: float = 2.1
    response_h: float = 6.0
    pickup_h: float = 5.0
    review_h: float = 10.0
    fix: float = 1.0  # how long a bug takes, against the others
    story: str = "steady"


PROFILES: Final = (
    Profile("atlas", "payments", "critical", "Java", people=7, bugs=1.56, story="worsens"),
    Profile("beacon", "payments", "high", "Go", people=5, bugs=1.08),
    Profile("comet", "data", "critical", "Python", people=8, bugs=0.72, pulls=4.2, response_h=2, pickup_h=2, review_h=4,
            fix=0.5),
    Profile("delta", "data", "high", "Python", people=5, bugs=1.08, story="recovers"),
    Profile("ember", "growth", "medium", "Ruby", people=3, bugs=0.84, pulls=1.4, story="abandoned"),
    Profile("falcon", "platform", "high", "Rust", people=6, bugs=1.44, pulls=2.8, story="waves"),
    Profile("glacier", "platform", "medium", "Go", people=4, bugs=1.8, pulls=3.15, story="new"),
    Profile("harbor", "mobile", "high", "Kotlin", people=6, pickup_h=60, review_h=50),
    Profile("iris", "mobile", "medium", "Swift", people=4),
    Profile("jade", "growth", "medium", "TypeScript", people=5, bugs=1.68, response_h=20),
    Profile("krypton", "platform", "critical", "C++", people=5, bugs=0.96, review_h=24),
    Profile("lumen", "data", "medium", "Scala", people=3, bugs=0.84, pulls=1.4),
    Profile("meridian", "payments", "critical", "Java", people=8, pulls=3.5),
    Profile("nimbus", "platform", "high", "Terraform", people=4, bugs=0.72, pulls=2.8),
    Profile("orchid", "growth", "low", "TypeScript", people=2, bugs=0.6, pulls=0.84, response_h=60, pickup_h=30),
    Profile("prism", "data", "medium", "Python", people=4),
    Profile("quartz", "payments", "medium", "Java", people=4, fix=1.6),
    Profile("raven", "mobile", "low", "Dart", people=2, bugs=0.72, pulls=1.05, pickup_h=20),
    Profile("sable", "growth", "medium", "PHP", people=3, bugs=1.56, pulls=1.4, fix=2.0),
    Profile("tundra", "platform", "low", "Shell", people=2, bugs=0.36, pulls=0.7),
    Profile("umbra", "data", "high", "Python", people=6, pulls=2.8, response_h=4),
    Profile("vertex", "mobile", "high", "TypeScript", people=6, bugs=1.68, pulls=2.8),
    Profile("willow", "growth", "low", "JavaScript", people=3, bugs=0.72, pulls=1.12),
    Profile("yonder", "platform", "medium", "Go", people=4, bugs=0.84),
    Profile("zephyr", "payments", "high", "Kotlin", people=5, bugs=1.2, pulls=2.52),
)  # fmt: skip
FIRST_NAMES: Final = (
    *("ada", "bo", "cleo", "dev", "eli", "fay", "gus", "hana", "ivo", "june", "kai", "lea", "mo", "nia", "omar"),
    *("pia", "quinn", "rosa", "sam", "tove", "uri", "vera", "wim", "xena", "yuki", "zoe"),
)
BOT: Final = "demo-updates[bot]"


def people_of(number: int) -> list[str]:
    """Of the project with this number; some work on several."""
    profile = PROFILES[number]
    return [f"demo-{FIRST_NAMES[(number * 5 + each) % len(FIRST_NAMES)]}" for each in range(profile.people)]
