import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.schedule import block

BODY = "0 * * * *  /opt/jobctl/bin/jobctl ingest-branch --scheduled\n"
OTHER = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=80).filter(
    lambda text: "jobctl" not in text
)


@given(OTHER)
@example("")
@example("no end")
@example("# m h dom mon dow command\n\n\n")
@example("a\n\n")
def test_what_is_installed_can_be_taken_out_again_without_a_byte_changed(text: str) -> None:
    assert block.remove(block.install(text, BODY)) == text


@given(OTHER)
def test_installing_twice_is_installing_once_and_other_lines_stay_before_it(text: str) -> None:
    once = block.install(text, BODY)
    assert block.install(once, BODY) == once
    assert once.startswith(text) and once.endswith("# END jobctl\n")


@given(OTHER, OTHER)
def test_lines_below_the_block_are_kept(above: str, below: str) -> None:
    above = above + "\n" if above and not above.endswith("\n") else above
    text = above + block.sealed(BODY) + below
    assert block.remove(text) == above + below


@pytest.mark.parametrize(
    "text",
    [
        block.sealed(BODY) * 2,
        block.sealed(BODY).replace("# END jobctl\n", ""),
        block.sealed(BODY).partition("\n")[2],
        "# END jobctl\n# BEGIN jobctl\n",
    ],
)
def test_marks_that_do_not_fit_are_refused_with_their_lines(text: str) -> None:
    with pytest.raises(block.BlockError, match="in line"):
        block.install(text, BODY)


def test_a_block_that_was_edited_is_known() -> None:
    text = block.install("", BODY)
    found, edited = block.find(text), block.find(text.replace("0 * * * *", "5 * * * *"))
    assert found is not None and not found.is_edited
    assert edited is not None and edited.is_edited
