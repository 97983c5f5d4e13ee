from jobctl.cli.sparkline import sparkline


def test_values_are_scaled_from_zero_to_the_greatest_and_gaps_are_seen():
    assert sparkline([0, 1, None, 8]) == "▁▂·█"


def test_what_is_flat_looks_flat_and_nothing_is_nothing():
    assert sparkline([5, 5]) == "██"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([None]) == "·"


def test_a_negative_value_is_the_lowest_block():
    assert sparkline([-3, 3]) == "▁█"
