"""How large a batch may be."""

from jobctl.jobs.ingest_branch.job import batch_bytes_within


def test_batch_grows_with_the_memory_limit_and_never_shrinks_to_nothing():
    assert batch_bytes_within(120) == 2_000_000
    assert batch_bytes_within(240) == 8_000_000
    assert batch_bytes_within(32) == 200_000
