"""Figures of runs as a person reads them."""

import pytest

from jobctl.cli.stats_views import percent


@pytest.mark.parametrize(
    ("share", "said"), [(None, ""), (0, "0 %"), (0.9946, "99.4 %"), (0.9996, "99.9 %"), (1, "100 %")]
)
def test_what_missed_its_goal_never_looks_as_if_it_had_met_it(share: float | None, said: str) -> None:
    assert percent(share) == said
