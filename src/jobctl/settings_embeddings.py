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
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds

_URL: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?")
PACKAGED: Final = "wordllama"


def _url(value: object) -> object:
    if isinstance(value, str) and not _URL.fullmatch(value):
        raise ValueError("is no address such as https://api.example.org/v1, without user, password, ? and #")
    return value


class EmbeddingSettings(Table):
    provider: Literal["wordllama", "http"] = PACKAGED
    url: Annotated[str, BeforeValidator(_url)] | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    dimensions: Annotated[int, Field(ge=1, le=16_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=2_048)] = 256
    timeout_s: Seconds = 30.0


def read_embeddings(value: object) -> EmbeddingSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, EmbeddingSettings):
        return value
    settings = read_table(value, EmbeddingSettings, '[embeddings] and below it provider = "http"')
    if settings.provider == "http" and (settings.url is None or settings.model is None):
        raise ValueError('has provider = "http" and therefore needs url and model')
    if settings.provider == PACKAGED and (settings.url is not None or settings.model is not None):
        raise ValueError(f'has url or model, which {PACKAGED} does not use: set provider = "http"')
    return settings
