"""From what the report says to the letter: page, text, pictures, tables.

jinja2, mjml and vl-convert are the extra `report` and are imported here, when they are used. A directory of the team's
own stands before the built-in templates, file by file; a fault in one of its files is a fault of configuration.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobctl.errors import ConfigurationError
from jobctl.reports import charts, palette, tables, text_parts, views
from jobctl.reports.letter import Image, Letter
from jobctl.reports.links import Links
from jobctl.reports.model import Bug, Pull, Report
from jobctl.reports.png import packed
from jobctl.reports.view import View

if TYPE_CHECKING:
    from jinja2 import Environment

TEXT: Final = "report.txt.j2"
PAGE: Final = "report.mjml.j2"
VEGA_LITE: Final = "5.21"
SCALE: Final = 2  # pixels of a picture for each one of the mail's


def require_packages() -> None:
    """Raises ConfigurationError where the extra is not installed: before anything is read or written."""
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "mjml", "vl_convert") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the report needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'jobctl[report]'",
        )


class Shown(NamedTuple):
    """A report in the shape in which it is shown, with what will be drawn of it."""

    report: Report
    view: View
    drawn: Mapping[str, charts.Chart]


def shown(report: Report, links: Links) -> Shown:
    drawn = charts.all_charts(report)
    return Shown(report, views.view_of(report, links, drawn), drawn)


def letter_of(of: Shown, bugs: Sequence[Bug], pulls: Sequence[Pull], *, templates: Path | None = None) -> Letter:
    """`bugs` and `pulls` are those of the tables, more than the report shows."""
    values = _values(of)
    environment = _environment(templates)
    return Letter(
        subject=of.view.subject,
        html=_page(_filled(environment, PAGE, values), templates),
        text=_filled(environment, TEXT, values),
        images=tuple(
            Image(views.content_id(name), _png(chart), chart.alt)
            for name, chart in of.drawn.items()
            if _is_shown(name, of.view)
        ),
        attachments=tables.attachments(of.report, bugs, pulls),
    )


def text_of(of: Shown, *, templates: Path | None = None) -> str:
    """The text part alone, for which nothing is drawn."""
    return _filled(_environment(templates), TEXT, _values(of))


def page_of(letter: Letter) -> str:
    """The page as a file that holds its pictures: what a mail client shows, for a browser."""
    by_name = {f"cid:{image.content_id}": image.png for image in letter.images}

    def held(match: "re.Match[str]") -> str:
        png = by_name.get(match[1])
        return match[0] if png is None else f'src="data:image/png;base64,{base64.b64encode(png).decode()}"'

    return re.sub(r'src="(cid:[^"]*)"', held, letter.html)


def _values(of: Shown) -> Mapping[str, Any]:
    return {"view": of.view, "report": of.report, "light": palette.LIGHT, "dark": palette.DARK}


def _is_shown(name: str, view: View) -> bool:
    wanted = views.content_id(name)
    return any(section.picture is not None and section.picture.content_id == wanted for section in view.sections)


def _environment(templates: Path | None) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined, select_autoescape

    if templates is not None and not templates.is_dir():
        raise ConfigurationError(
            f"[report] templates: {templates} is no directory", hint="create it, or remove templates from jobctl.toml"
        )
    built_in = PackageLoader("jobctl.reports", "templates")
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(templates), built_in]) if templates is not None else built_in,
        autoescape=select_autoescape(disabled_extensions=("txt.j2",), default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {
        "wrapped": text_parts.wrapped,
        "heading": text_parts.heading,
        "tiles": text_parts.tiles,
        "facts": text_parts.facts,
        "columns": text_parts.columns,
    }
    environment.filters.update(filters)
    return environment


def _filled(environment: "Environment", name: str, values: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        return environment.get_template(name).render(values)
    except TemplateSyntaxError as error:
        place = f"{error.filename or name}, line {error.lineno}"
        raise ConfigurationError(
            f"a template of the report cannot be read: {place}: {error.message}", hint=MEND
        ) from None
    except TemplateError as error:
        raise ConfigurationError(
            f"{name}, a template of the report, cannot be filled: {error.message}", hint=MEND
        ) from None


MEND: Final = "mend it in the directory that [report] templates names, or remove it there for the built-in one"


def _page(source: str, templates: Path | None) -> str:
    import mjml

    try:
        html: str = mjml.mjml2html(source)
    except Exception as error:  # noqa: BLE001 - the parser, in another language, raises whatever it likes
        where = f" of {templates}" if templates is not None else ""
        raise ConfigurationError(f"{PAGE}{where} is no MJML: {error}", hint=MEND) from None
    # It gives each picture a height that no HTML has; and indentation is a tenth of a mail.
    return re.sub(r"\n\s+", "\n", html.replace(' height="auto"', ""))


def _png(chart: charts.Chart) -> bytes:
    import vl_convert

    return packed(vl_convert.vegalite_to_png(chart.spec, vl_version=VEGA_LITE, scale=SCALE, allowed_base_urls=[]))
