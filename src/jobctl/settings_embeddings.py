"""The table `embeddings` of `jobctl.toml`: what makes vectors of the items' texts.

    [embeddings]
    provider = "http"                      # or "wordllama", which ships in a package and needs no network
    url = "https://api.example.org/v1"     # of an endpoint that speaks OpenAI's /v1/embeddings
    model = "text-embedding-3-small"
    dimensions = 512                       # of its vectors; wordllama: 256, 128 or 64
    batch_size = 256                       # texts in one request
    timeout_s = 30

The key is no part of the file: JOBCTL_EMBEDDINGS_API_KEY has it. Whoever changes provider, model or dimensions gives
JOBCTL_EMBED_MODEL_VERSION another name, too.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jobctl.durations import LONGEST_S, parse_duration
from jobctl.settings_sources import did_you_mean

_URL: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?")
PACKAGED: Final = "wordllama"


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _url(value: object) -> object:
    if isinstance(value, str) and not _URL.fullmatch(value):
        raise ValueError("is no address such as https://api.example.org/v1, without user, password, ? and #")
    return value


class EmbeddingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: Literal["wordllama", "http"] = PACKAGED
    url: Annotated[str, BeforeValidator(_url)] | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    dimensions: Annotated[int, Field(ge=1, le=16_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=2_048)] = 256
    timeout_s: Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=LONGEST_S, allow_inf_nan=False)] = 30.0

    def shown(self) -> dict[str, object]:
        """What was set, for people."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_embeddings(value: object) -> EmbeddingSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, EmbeddingSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError('is a table of jobctl.toml: [embeddings] and below it provider = "http"')  # noqa: TRY004
    try:
        settings = EmbeddingSettings.model_validate(cast(Mapping[str, object], value))
    except ValidationError as error:
        raise ValueError("; ".join(_fault(detail) for detail in error.errors(include_url=False))) from None
    if settings.provider == "http" and (settings.url is None or settings.model is None):
        raise ValueError('has provider = "http" and therefore needs url and model')
    if settings.provider == PACKAGED and (settings.url is not None or settings.model is not None):
        raise ValueError(f'has url or model, which {PACKAGED} does not use: set provider = "http"')
    return settings


def _fault(detail: ErrorDetails) -> str:
    last = str(detail["loc"][-1])
    if detail["type"] == "extra_forbidden":
        meant = did_you_mean(last, EmbeddingSettings.model_fields)
        known = f"did you mean {meant}?" if meant else f"one of {', '.join(EmbeddingSettings.model_fields)}"
        return f"has {last!r}, which is not known: {known}"
    if detail["type"] == "value_error":
        return f"has {last}, which {detail.get('ctx', {}).get('error', detail['msg'])}"
    text = detail["msg"]
    return f"has {last}, which is wrong: {text[:1].lower() + text[1:]}"
