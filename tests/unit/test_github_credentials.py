"""Which of several credentials asks, and until when each is silent."""

import pytest

from jobctl.github.budget import Budget
from jobctl.github.credentials import Credential, Keyring, Token, Wait, identity_of
from jobctl.github.failures import BudgetSpent, CredentialsRefused
from jobctl.github.pace import Pace

SECRETS = [f"ghp_{number:036d}" for number in range(4)]
PROJECTS = [f"octo/{number}" for number in range(200)]


def tokens(many: int) -> list[Token]:
    return [Token(f"token {number + 1}", SECRETS[number]) for number in range(many)]


def picked(keyring: Keyring, project: str, now: float = 0.0, resource: str = "core") -> Credential:
    found = keyring.pick(project, "octo", resource, now)
    assert found is not None
    assert not isinstance(found, Wait)
    return found


def test_an_identity_tells_tokens_apart_and_nothing_of_them() -> None:
    identities = [identity_of(secret) for secret in SECRETS]
    assert len(set(identities)) == len(SECRETS)
    assert all(len(each) == 32 and not any(part in each for part in ("ghp", "000")) for each in identities)
    assert identity_of(SECRETS[0]) == identities[0]


def test_a_project_keeps_to_its_token_and_projects_are_shared_out() -> None:
    keyring = Keyring(tokens(4))
    chosen = {project: picked(keyring, project).name for project in PROJECTS}
    assert chosen == {project: picked(keyring, project).name for project in PROJECTS}
    assert all(20 < list(chosen.values()).count(f"token {number}") < 80 for number in (1, 2, 3, 4))


def test_another_token_moves_no_project_but_those_it_takes() -> None:
    before = {project: picked(Keyring(tokens(3)), project).name for project in PROJECTS}
    after = {project: picked(Keyring(tokens(4)), project).name for project in PROJECTS}
    assert {after[project] for project in PROJECTS if before[project] != after[project]} == {"token 4"}


def test_a_spent_token_hands_over_for_that_resource_until_its_reset() -> None:
    keyring = Keyring(tokens(2))
    home = picked(keyring, "octo/cat")
    keyring.silence(home.account_of("octo"), "core", 100.0)
    other = picked(keyring, "octo/cat", 99.0)
    assert other is not home
    assert picked(keyring, "octo/cat", 99.0, "graphql") is home
    assert picked(keyring, "octo/cat", 100.0) is home
    keyring.silence(other.account_of("octo"), "core", 70.0)
    assert keyring.pick("octo/cat", "octo", "core", 60.0) == Wait(10.0)


def test_a_later_word_never_shortens_a_silence() -> None:
    keyring = Keyring(tokens(1))
    keyring.silence_all(100.0)
    keyring.silence_all(50.0)
    assert keyring.pick("octo/cat", "octo", "core", 60.0) == Wait(40.0)


def test_a_secondary_limit_silences_all_tokens() -> None:
    keyring = Keyring(tokens(3))
    keyring.silence_all(100.0)
    assert keyring.pick("octo/cat", "octo", "graphql", 0.0) == Wait(100.0)


def test_a_refused_token_is_not_used_again_and_the_last_one_is_an_error_that_names_them() -> None:
    keyring = Keyring(tokens(2))
    keyring.refuse(tokens(2)[0])
    assert {picked(keyring, project).name for project in PROJECTS} == {"token 2"}
    keyring.refuse(tokens(2)[1])
    with pytest.raises(CredentialsRefused) as raised:
        keyring.pick("octo/cat", "octo", "core", 0.0)
    assert "token 1, token 2" in raised.value.message
    assert "GITHUB_TOKEN" in raised.value.hint
    assert not any(secret in str(raised.value) for secret in SECRETS)


def test_without_a_token_nobody_asks() -> None:
    keyring = Keyring([])
    assert keyring.is_anonymous
    assert picked(keyring, "octo/cat").grant("octo").authorization is None
    assert not Keyring(tokens(1)).is_anonymous


def test_the_pace_never_allows_more_than_900_points_in_any_minute() -> None:
    pace, now, sent = Pace(), 0.0, list[float]()
    for _ in range(3_000):
        now += pace.reserve(1.0, now)
        sent.append(now)
    assert all(sent[number + 900] - sent[number] >= 59.9 for number in range(len(sent) - 900))
    assert sent[299] == 0.0


def test_a_rested_pace_is_no_faster_than_its_burst() -> None:
    pace = Pace(burst=3, points_per_s=1.0)
    assert [pace.reserve(1.0, 1_000.0) for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert pace.reserve(1.0, 1_010.0) == 0.0


def test_a_budget_is_spent_to_the_last_request_and_no_further() -> None:
    budget = Budget(2)
    budget.spend()
    budget.spend()
    for _ in range(3):
        with pytest.raises(BudgetSpent, match="2 requests"):
            budget.spend()
    assert budget.spent == 2
    Budget().spend()
