"""What is kept of a command's output, and what its end comes to."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.jobs.wrapped.conditions import LONGEST_LINE, Conditions, LineWatch, judge, last_line_of, plain
from jobctl.jobs.wrapped.output import KEPT_BYTES, Output
from jobctl.redact import Redactor

SECRET = "correct-horse-battery-staple"
MARK = re.compile(r"\[\.\.\. (\d+) bytes cut \.\.\.\]\n")


def output(path: Path | None = None) -> Output:
    return Output(path, shows=False, redact=Redactor((SECRET,)).text)


@given(st.lists(st.binary(max_size=3_000), max_size=40))
def test_the_end_is_kept_and_the_mark_tells_how_much_is_not(chunks: list[bytes]) -> None:
    kept = Output(None, shows=False, redact=lambda text: text)
    text = "".join(chunk.hex() + "\n" for chunk in chunks)
    for chunk in chunks:
        kept.add(1, (chunk.hex() + "\n").encode())
    end = kept.end()
    mark = MARK.match(end)
    shown = end[mark.end() :] if mark else end
    assert text.endswith(shown) and len(shown) <= KEPT_BYTES
    assert (int(mark[1]) if mark else 0) == len(text) - len(shown)
    assert bool(mark) == (len(text) > KEPT_BYTES)


@pytest.mark.parametrize("filler", ["y", "word "])
def test_no_piece_of_a_secret_is_left_at_the_cut(filler: str) -> None:
    for shift in range(0, 2 * len(SECRET), 3):
        kept = output()
        text = ("start\n" + "n" * shift + f"\n{SECRET}\n" + (filler * 30 + "\n") * 1_000)[: KEPT_BYTES + 40 + shift]
        kept.add(1, text.encode())
        assert not any(SECRET[at:][:8] in kept.end() for at in range(len(SECRET) - 8))


def test_secrets_are_taken_out_of_the_end_and_stay_in_the_file(tmp_path: Path) -> None:
    kept = output(tmp_path / "out" / "x.log")
    kept.add(1, f"password is {SECRET}\n".encode())
    kept.close()
    assert SECRET not in kept.end()
    assert SECRET in (tmp_path / "out" / "x.log").read_text()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "x.log").stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_rotated_away_is_opened_anew(tmp_path: Path) -> None:
    kept = output(tmp_path / "x.log")
    kept.header("run 1")
    kept.add(1, b"before\n")
    (tmp_path / "x.log").rename(tmp_path / "x.log.1")
    kept.add(1, b"after")
    kept.header("run 2")
    kept.close()
    assert (tmp_path / "x.log.1").read_text() == "=== run 1\nbefore\n"
    assert (tmp_path / "x.log").read_text() == "after\n=== run 2\n"


def test_a_file_that_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.log").mkdir()
    kept = output(tmp_path / "x.log")
    kept.add(1, b"said all the same\n")
    kept.close()
    assert kept.end() == "said all the same\n" and "x.log: Is a directory" in kept.lost


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("one\ntwo\n\n  \n", "two"),
        ("0%\r50%\r100%\r\n", "100%"),
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("a\0b\tc\x07\n", "a b c"),
    ],
)
def test_the_last_line_is_plain_words(text: str, last: str) -> None:
    assert last_line_of(text) == last


def test_a_long_line_is_cut_with_a_mark() -> None:
    assert plain("x" * 500, 10) == "x" * 9 + "…"


def watch(conditions: Conditions, *chunks: bytes) -> LineWatch:
    found = LineWatch(conditions)
    for chunk in chunks:
        found.feed(1, chunk)
    found.end()
    return found


def failure(conditions: Conditions, *chunks: bytes, exit_code: int = 0, ran_s: float = 5.0) -> str:
    found = watch(conditions, *chunks)
    return judge(conditions, found, exit_code=exit_code, signal_name=None, ran_s=ran_s, last_line="").failure


def patterns(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(map(re.compile, texts))


@given(st.lists(st.integers(1, 12), max_size=12))
def test_a_pattern_is_found_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    text, chunks = b"first\nan ERROR came\nlast", list[bytes]()
    for size in sizes:
        chunks.append(text[:size])
        text = text[size:]
    conditions = Conditions(fail_on=patterns("^an ERROR came$"))
    assert "an ERROR came" in failure(conditions, *chunks, text)


def test_lines_of_the_two_streams_do_not_run_into_one_another() -> None:
    found = LineWatch(Conditions(fail_on=patterns("ERROR")))
    found.feed(1, b"ERR")
    found.feed(2, b"OR\n")
    found.end()
    assert not found.offence


def test_a_line_without_end_takes_bounded_memory_and_its_beginning_is_judged() -> None:
    found = LineWatch(Conditions(fail_on=patterns("^ERROR"), require=patterns("late")))
    for chunk in (b"ERROR", *[b"x" * 65_536] * 20, b"late"):
        found.feed(1, chunk)
        assert sum(map(len, found._unfinished.values())) <= LONGEST_LINE
    found.end()
    assert found.offence and found.missing == ["late"]


def test_each_condition_has_its_words() -> None:
    assert failure(Conditions()) == ""
    assert failure(Conditions(ok_exit=frozenset({0, 3})), exit_code=3) == ""
    assert failure(Conditions(ok_exit=frozenset({3}))) == "exit code 0"
    assert failure(Conditions(fail_on=patterns("bad")), b"so bad\n") == "--fail-on 'bad' is in its output: so bad"
    assert failure(Conditions(require=patterns("a", "b")), b"a\n") == "--require 'b' is not in its output"
    assert failure(Conditions(min_runtime_s=10)) == "it ended after 5s, sooner than --min-runtime 10s"


def test_the_exit_code_is_passed_on_and_a_condition_that_is_not_met_is_1() -> None:
    none = LineWatch(Conditions())
    codes = [
        judge(Conditions(), none, exit_code=7, signal_name=None, ran_s=1, last_line="").exit_code,
        judge(Conditions(), none, exit_code=137, signal_name="SIGKILL", ran_s=1, last_line="").exit_code,
        judge(Conditions(ok_exit=frozenset({3})), none, exit_code=0, signal_name=None, ran_s=1, last_line="").exit_code,
        judge(Conditions(min_runtime_s=9), none, exit_code=0, signal_name=None, ran_s=1, last_line="").exit_code,
    ]
    assert codes == [7, 137, 1, 1]
