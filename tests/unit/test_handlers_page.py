"""What docs/handlers.md promises is what there is."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import BaseModel

from jobctl.jobs.work.command import FINAL
from jobctl.jobs.work.http import TRY_AGAIN
from jobctl.outbound.addresses import METADATA, RANGES
from jobctl.outbound.request import HARMLESS
from jobctl.settings_outside import CommandSettings, EndpointSettings

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/handlers.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", ["pyproject.toml", "library_handlers.py"])
def test_the_example_is_the_file_that_is_tested(name: str) -> None:
    assert f"\n{(PROJECT / 'examples/handlers' / name).read_text(encoding='utf-8')}```\n" in PAGE


@pytest.mark.parametrize(("title", "model"), [("`command`", CommandSettings), ("`http`", EndpointSettings)])
def test_each_setting_is_listed_with_its_default(title: str, model: type[BaseModel]) -> None:
    told = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]*?) ?\| [^|]*\|$", section(title), re.MULTILINE))
    assert told.keys() == model.model_fields.keys()
    for name, field in model.model_fields.items():
        default = "" if field.is_required() or field.default is None else str(field.default)
        spoken = {"True": "true", "False": "false", "()": "[]", "(80, 443)": "[80, 443]", "30.0": "30"}
        assert told[name].strip("`") == spoken.get(default, default), name


def test_the_exit_codes_are_those_that_are_final() -> None:
    told = re.findall(r"^\| ([0-9, ]+) \| fails for good", section("`command`"), re.MULTILINE)
    assert {int(code) for codes in told for code in codes.split(", ")} == FINAL


def test_the_statuses_are_those_that_are_tried_again() -> None:
    (told,) = re.findall(r"^\| ([0-9, x]+) \| is tried again", section("`http`"), re.MULTILINE)
    assert set(told.split(", ")) == {*map(str, TRY_AGAIN), "5xx"}


def test_the_ranges_are_those_that_are_refused() -> None:
    rows = re.findall(r"^\| allowed [^|]*\| (.*) \|$", section("Addresses"), re.MULTILINE)
    told = [{ip_network(text) for text in re.findall(r"`([^`]+)`", row)} for row in rows]
    private = {each.network for each in RANGES if each.is_private}
    metadata = {each.network for each in METADATA}
    assert told == [private, {each.network for each in RANGES} - private - metadata, metadata]


def test_the_headers_that_go_elsewhere_are_named() -> None:
    told = re.search(r"only the headers (.*?);", section("Addresses"), re.DOTALL)
    assert told is not None
    assert {name.lower() for name in re.findall(r"`([^`]+)`", told[1])} == HARMLESS
