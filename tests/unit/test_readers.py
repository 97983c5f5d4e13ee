"""What a file's bytes become: records one by one, none lost, none that takes others along."""

import contextlib
import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobctl.branches import csv_rows, json_array, ndjson, text
from jobctl.branches.readers import Format, format_of, read_records
from jobctl.branches.sources import open_source
from jobctl.errors import DataError, UsageError

SMALL_LIMIT = 1_000


@pytest.fixture
def small_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit for one record that a test can exceed."""
    monkeypatch.setattr(text, "RECORD_BYTES", SMALL_LIMIT)
    monkeypatch.setattr(text, "KEPT_BYTES", 50)


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        part = self._data.read(min(self._step, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


def stream(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def array(data: bytes, step: int = 1 << 20) -> list[str]:
    return [record for _, record in json_array.records(io.BufferedReader(Trickle(data, step), step))]


def lines(data: bytes) -> list[str]:
    return [record for _, record in ndjson.records(stream(data))]


def rows(data: bytes, delimiter: str | None = None) -> list[str]:
    return [record for _, record in csv_rows.records(stream(data), data[:65536], delimiter)]


def objects(data: bytes, delimiter: str | None = None) -> list[object]:
    return [json.loads(row) for row in rows(data, delimiter)]


# Text that PostgreSQL can hold ---------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
@example(b'{"a":"\xff"}')
@example(b'"\\\x00"')
@example(b"\xed\xa0\x80")
def test_any_bytes_become_text_that_postgresql_can_hold(data: bytes) -> None:
    stored = text.storable(data)
    assert "\0" not in stored
    assert stored.encode() is not None


@given(st.text(max_size=200))
def test_text_without_nul_and_surrogates_stays_as_it_is(value: str) -> None:
    expected = value.replace("\0", "")
    assert text.storable(expected.encode()) == expected


def test_bytes_that_are_no_utf8_stay_inside_their_string_as_escapes() -> None:
    assert json.loads(text.storable(b'{"name":"caf\xe9","n":"a\x00b"}')) == {"name": "caf\udce9", "n": "a\0b"}


def test_an_escape_after_a_backslash_does_not_turn_into_plain_characters() -> None:
    with pytest.raises(ValueError, match="escape"):
        json.loads(text.storable(b'"\\\x00"'))
    assert json.loads(text.storable(b'"\\\\\x00"')) == "\\\0"


def test_a_record_of_nothing_but_bad_bytes_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MENDED", 1_000)
    monkeypatch.setattr(text, "KEPT_BYTES", 100)
    stored = text.storable(b"\0" * 5_000)
    assert len(stored) < 1_000
    assert "cut by jobctl: 5000 bytes" in stored


# NDJSON --------------------------------------------------------------------------------------------------------------


def test_ndjson_gives_each_line_as_it_stands_whether_json_or_not() -> None:
    data = b'{"a": 1}\r\n\n  {"a":NaN}  \nnot json\n[1\n"x"\n'
    assert list(ndjson.records(stream(data))) == [
        (1, '{"a": 1}'),
        (3, '{"a":NaN}'),
        (4, "not json"),
        (5, "[1"),
        (6, '"x"'),
    ]


def test_ndjson_that_breaks_off_in_its_last_record_is_refused() -> None:
    with pytest.raises(DataError, match="line 2, the last one, breaks off"):
        lines(b'{"a":1}\n{"a":')


@pytest.mark.parametrize("last", [b'{"a":2}', b"{oops}", b"oops", b'{"a":2', b'{"a":' + b"9" * 5_000 + b"}"])
def test_ndjson_without_a_last_line_end_is_read_unless_it_breaks_off(last: bytes) -> None:
    if last == b'{"a":2':
        assert lines(b'{"a":1}\n' + last + b"\n") == ['{"a":1}', last.decode()]
    else:
        assert lines(b'{"a":1}\n' + last) == ['{"a":1}', last.decode()]


@pytest.mark.usefixtures("small_records")
def test_a_line_over_the_limit_is_kept_cut_and_takes_no_other_along() -> None:
    long = b'{"id":"' + b"x" * 5_000 + b'"}'
    first, second, third = lines(b'{"a":1}\n' + long + b'\n{"a":2}\n')
    assert (first, third) == ('{"a":1}', '{"a":2}')
    assert second.startswith('{"id":"xxx')
    assert f"cut by jobctl: {len(long) + 1} bytes" in second
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(second)


@pytest.mark.usefixtures("small_records")
def test_two_long_lines_are_told_apart_and_the_same_one_is_the_same() -> None:
    one, two = b"x" * 5_000, b"x" * 4_999 + b"y"
    first, second, third = lines(one + b"\n" + two + b"\n" + one + b"\n")
    assert first == third
    assert first != second


# JSON array ----------------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(JSON_VALUES, max_size=8),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 40),
)
def test_the_array_splitter_gives_the_elements_that_json_loads_gives(
    values: list[object], indent: int | None, ascii_only: bool, step: int
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    found = [json.loads(element) for element in array(b" \n" + data + b"\n ", step)]
    assert found == json.loads(json.dumps(values))


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(1, 8))
@example(b'{"a":"x}, {"b":1}', 1)
@example(b"]", 1)
@example(b'"\\', 1)
def test_any_bytes_between_brackets_are_split_or_refused_alike_however_they_arrive(data: bytes, step: int) -> None:
    def outcome(step: int) -> list[str] | None:
        try:
            return array(b"[" + data + b"]", step)
        except DataError:
            return None

    assert outcome(step) == outcome(1 << 20)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text("abc", min_size=1), st.text("xyz{}[],:\\\"' \n"), min_size=1), max_size=6),
    st.sampled_from(
        [b"oops", b"{bad}", b'{"a":[1}', b'{"a":1]}', b"[1,{]", b"+", b'{"a":\x00}', b'{"a":"\xff"}', b"NaN"]
    ),
    st.sampled_from([b"[%s]", b"[\n%s\n]\n"]),
    st.randoms(use_true_random=False),
)
def test_a_broken_element_leaves_the_others_whole(
    values: list[object], broken: bytes, frame: bytes, shuffle: random.Random
) -> None:
    elements = [json.dumps(value).encode() for value in values]
    place = shuffle.randint(0, len(elements))
    everything = [*elements[:place], broken, *elements[place:]]
    found = array(frame % b", ".join(everything))
    assert [element for element in found if element.encode() in elements] == [element.decode() for element in elements]
    assert len(found) == len(everything)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'[{"a":1, {"b":2}, {"c":3}]', ['{"a":1', '{"b":2}', '{"c":3}'], id="closing brace missing"),
        pytest.param(b'[{"a":1} {"b":2}\n{"c":3}]', ['{"a":1}', '{"b":2}', '{"c":3}'], id="commas missing"),
        pytest.param(
            b'[{"a":"x},\n{"b":"y"},\n{"c":1}]', ['{"a":"x}', '{"b":"y"}', '{"c":1}'], id="quote missing, lines"
        ),
        pytest.param(
            b'[{"a":"x}, {"b":"y"}, {"c":1}]', ['{"a":"x}', '{"b":"y"}', '{"c":1}'], id="quote missing, one line"
        ),
        pytest.param(b'[{"a":1]}, {"b":2}]', ['{"a":1]}', '{"b":2}'], id="stray bracket"),
        pytest.param(b'[{"a":1}, {"b":"x]', ['{"a":1}', '{"b":"x'], id="last one unclosed"),
        pytest.param(b"[1,,2,]", ["1", "2"], id="commas to spare"),
    ],
)
def test_an_element_that_hides_its_end_costs_itself_alone(data: bytes, expected: list[str]) -> None:
    assert array(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"[",
        b'[{"a":1}',
        b'[{"a":1},',
        b'[{"a":1},{"a":',
        b'[{"a":"x',
        b'[{"a":"x\\',
        b'[{"a":1}] {"b":2}',
        b"[1][2]",
        b"{}",
    ],
)
def test_an_array_that_is_cut_or_followed_by_more_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        array(data)


@pytest.mark.parametrize("depth", [10_000, 300_000])
def test_deep_nesting_is_an_element_like_any_other(depth: int) -> None:
    deep = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert array(b"[1, " + deep + b", 2]", 8192) == ["1", deep.decode(), "2"]


@pytest.mark.parametrize("count", [1, 19, 20, 21, 199, 200, 201, 999, 1_000, 1_001, 5_000])
def test_strings_may_be_many_and_have_many_escapes(count: int) -> None:
    """Some matches are bounded, so that they take little memory: what is beyond the bound is read all the same."""
    escapes, flat = '\\"]},[{\\\\' * count, {f"{n}, ]": "\\" for n in range(count)}
    values = [escapes, [escapes, 1], {"a": escapes}, flat, *flat]
    assert [json.loads(element) for element in array(json.dumps(values).encode())] == values


@pytest.mark.parametrize(
    "part",
    [b'"', b"\\", b'\\"', b'"\\', b'""', b'"\n', b'"a\n', b'"a",', b"[", b"]", b"{", b"}", b"},", b'{"a":"\\"[",'],
)
@pytest.mark.parametrize("start", [b"[", b'["', b'[{"'])
def test_no_array_takes_quadratic_time(start: bytes, part: bytes) -> None:
    """Nothing is asserted on time: with a quadratic pattern this test takes minutes and is noticed."""
    with contextlib.suppress(DataError):
        array(start + part * (250_000 // len(part)) + b'"}]')


@pytest.mark.usefixtures("small_records")
def test_an_element_over_the_limit_is_kept_cut_and_takes_no_other_along() -> None:
    long = b'{"id":"' + b"x,{" * 2_000 + b'"}'
    first, second, third = array(b'[{"a":1}, ' + long + b' , {"a":2}]', 64)
    assert (first, third) == ('{"a":1}', '{"a":2}')
    assert second.startswith('{"id":"x,{x')
    assert "cut by jobctl" in second


def test_elements_are_numbered_from_one() -> None:
    assert [number for number, _ in json_array.records(stream(b"[7, 8, 9]"))] == [1, 2, 3]


# CSV -----------------------------------------------------------------------------------------------------------------


def test_csv_rows_become_objects_of_texts() -> None:
    assert objects(b'id,name\n1,"A ""b"", c"\n2,"two\nlines"\n') == [
        {"id": "1", "name": 'A "b", c'},
        {"id": "2", "name": "two\nlines"},
    ]


def test_csv_rows_tell_the_line_they_begin_on() -> None:
    data = b'id,name\n1,"two\nlines"\n2,x\n'
    assert [number for number, _ in csv_rows.records(stream(data), data)] == [2, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_delimiter_is_seen_in_the_header(delimiter: str) -> None:
    data = delimiter.join(["id", '"a,b;c\td|e"', "name"]) + "\n" + delimiter.join(["1", "x", "y"]) + "\n"
    assert objects(data.encode()) == [{"id": "1", "a,b;c\td|e": "x", "name": "y"}]


def test_csv_delimiter_can_be_given() -> None:
    assert objects(b"id:na,me\n1:x\n", ":") == [{"id": "1", "na,me": "x"}]


def test_csv_columns_without_a_name_or_with_one_twice_get_one() -> None:
    assert objects(b"id,,name,name\n1,2,3,4\n") == [{"id": "1", "column_2": "2", "name": "3", "name_2": "4"}]


def test_csv_short_rows_lack_the_last_fields_and_long_rows_are_refused_unless_the_surplus_is_empty() -> None:
    assert objects(b"a,b\n1\n1,2,,\n1,2,3\n") == [
        {"a": "1"},
        {"a": "1", "b": "2"},
        ["csv: 3 fields, the header has 2", "1", "2", "3"],
    ]


def test_csv_rows_without_content_are_none() -> None:
    assert objects(b"a,b\n\n,\n  , \n1,2\n") == [{"a": "1", "b": "2"}]


def test_csv_stray_quote_costs_its_line_and_not_what_follows() -> None:
    found = objects(b'id,name\n1,"stray\n2,x\n3,"quoted"\n4,y\n')
    assert found[1:] == [{"id": "2", "name": "x"}, {"id": "3", "name": "quoted"}, {"id": "4", "name": "y"}]
    assert isinstance(found[0], list)
    assert found[0][1] == '1,"stray'


def test_csv_stray_quote_that_nothing_closes_costs_its_line_and_not_what_follows() -> None:
    assert [type(row) for row in objects(b'id,name\n1,"stray\n2,x\n3,y\n')] == [list, dict, dict]


def test_csv_quote_that_stays_open_for_too_many_lines_is_a_stray_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "ROW_LINES", 5)
    found = objects(b'id,name\n1,"stray\n' + b"2,x\n" * 20 + b'3,"end"\n')
    assert [type(row) for row in found] == [list, *[dict] * 21]


@pytest.mark.usefixtures("small_records")
def test_csv_row_over_the_limit_is_kept_cut_and_takes_no_other_along() -> None:
    found = objects(b"id,name\n1,x\n2," + b"y" * 5_000 + b"\n3,z\n")
    assert [type(row) for row in found] == [dict, list, dict]
    assert "cut by jobctl" in str(found[1])


def test_csv_keeps_bytes_that_are_no_utf8_and_nul_characters() -> None:
    assert objects(b"id,name\n1,caf\xe9\n2,a\0b\n") == [{"id": "1", "name": "caf\udce9"}, {"id": "2", "name": "a\0b"}]


@pytest.mark.parametrize("data", [b'id,name\n1,x\n2,"cut', b"id,name\n1,x\n2", b'id,name\n1,x\n2,"two\nlin'])
def test_csv_that_is_cut_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="is cut"):
        rows(data)


def test_csv_without_a_last_line_end_is_whole() -> None:
    assert len(rows(b"id,name\n1,x\n2,y")) == 2


def test_csv_with_line_ends_of_cr_alone_is_refused_with_the_way_out() -> None:
    with pytest.raises(DataError) as raised:
        rows(b"id,name\r1,x\r")
    assert "tr" in raised.value.hint


# Sources -------------------------------------------------------------------------------------------------------------


def read(path: Path | str, fmt: Format | None = None, stdin: io.RawIOBase | None = None) -> list[str]:
    with open_source(path, stdin=stdin) as source:
        return [record for _, record in read_records(source, fmt or format_of(source))]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b"[id\n1\n", Format.csv),
        ("a.tsv.gz", b"id\n1\n", Format.csv),
        ("a.jsonl", b"[1]\n", Format.ndjson),
        ("a.JSON", b" [1]\n", Format.json),
        ("a.json", b'{"a":1}\n{"a":2}\n', Format.ndjson),
        ("export", b'{"a":1}\n', Format.ndjson),
        ("export", b"\xef\xbb\xbf[1]", Format.json),
        ("export.gz", b"id,name\n", Format.csv),
    ],
)
def test_format_is_told_by_the_name_and_else_by_the_first_byte(
    tmp_path: Path, name: str, data: bytes, expected: Format
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with open_source(path) as source:
        assert format_of(source) is expected


def test_a_file_of_one_json_object_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n "records": [\n {"a": 1}\n ]\n}\n')
    with pytest.raises(DataError, match="one JSON object") as raised, open_source(path) as source:
        format_of(source)
    assert "jq" in raised.value.hint


@pytest.mark.parametrize("data", [b"", b" \n\t\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match="is empty"):
        read(path)


def test_gzip_is_told_by_its_first_bytes_and_not_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(b"id\n1\n") + gzip.compress(b"2\n"))
    assert read(path) == ['{"id": "1"}', '{"id": "2"}']


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfid\n1\n")
    assert read(path) == ['{"id": "1"}']


def test_utf16_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id\n1\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16") as raised:
        read(path)
    assert "iconv" in raised.value.hint


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_gzip_file_that_is_cut_is_refused(tmp_path: Path, keep: float) -> None:
    rows = b"".join(b"%d,%d\n" % (n, hash((n, 7)) % 10**9) for n in range(50_000))
    packed = gzip.compress(b"id,name\n" + rows)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    with pytest.raises(DataError, match="gzip file is cut"):
        read(path)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"id\n" + b"1\n" * 1_000))
    packed[-6] ^= 0xFF
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="damaged"):
        read(path)


@pytest.mark.parametrize("step", [1, 3, 4096])
def test_stdin_is_read_packed_or_not_however_it_trickles(step: int) -> None:
    data = b'[{"a":1},{"a":2}]'
    expected = ['{"a":1}', '{"a":2}']
    assert read("-", stdin=Trickle(data, step)) == expected
    assert read("-", stdin=Trickle(gzip.compress(data), step)) == expected


def test_bytes_are_counted_as_they_lie_and_as_they_are_read(tmp_path: Path) -> None:
    data = b"id\n" + b"1\n" * 100_000
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(data))
    with open_source(path) as source:
        assert sum(1 for _ in read_records(source, Format.csv)) == 100_000
        assert source.bytes_decoded == len(data)
        assert source.bytes_read == source.size == path.stat().st_size


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read(path)


@pytest.mark.parametrize("fmt", list(Format))
def test_memory_does_not_grow_with_the_file(fmt: Format) -> None:
    def peak(count: int) -> int:
        record = {Format.csv: b"1,name of a thing\n", Format.ndjson: b'{"id":1,"name":"of a thing"}\n'}
        body = record.get(fmt, b'{"id":1,"name":"of a thing"},\n')
        head, tail = {Format.csv: (b"id,name\n", b""), Format.json: (b"[", b"{}]")}.get(fmt, (b"", b""))

        def parts() -> Iterator[bytes]:
            yield head
            for _ in range(count // 1_000):
                yield body * 1_000
            yield tail

        class Parts(io.RawIOBase):
            def __init__(self) -> None:
                self._parts = parts()
                self._rest = b""

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any, /) -> int:
                while not self._rest:
                    part = next(self._parts, None)
                    if part is None:
                        return 0
                    self._rest = part
                size = min(len(buffer), len(self._rest))
                buffer[:size] = self._rest[:size]
                self._rest = self._rest[size:]
                return size

        tracemalloc.start()
        try:
            with open_source("-", stdin=Parts()) as source:
                assert sum(1 for _ in read_records(source, fmt)) >= count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000)
    # 36,000 records more would be seven million bytes; what other tests left is let go at some moment of its own.
    assert peak(40_000) < peak(4_000) + 2_000_000


def test_a_bomb_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """2 GB of one letter in 2 MB of gzip would be one record; here 200 MB."""
    path = tmp_path / "bomb.ndjson.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(b'{"id":1}\n')
        for _ in range(200):
            packed.write(b"x" * 1_000_000)
        packed.write(b'\n{"id":2}\n')
    tracemalloc.start()
    try:
        first, bomb, last = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (first, last) == ('{"id":1}', '{"id":2}')
    assert "cut by jobctl: 200000001 bytes" in bomb
    assert len(bomb) < 100_000
    assert peak < 3 * text.RECORD_BYTES
