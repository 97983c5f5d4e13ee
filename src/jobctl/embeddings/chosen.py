"""The provider that the settings name."""

from typing import TYPE_CHECKING

from jobctl.embeddings.provider import Provider
from jobctl.errors import ConfigurationError
from jobctl.settings import Settings

if TYPE_CHECKING:
    from jobctl.embeddings.endpoint import Post


def provider_of(settings: Settings, post: "Post") -> Provider:
    """An endpoint is asked through `post`. Threads may share what it gives. Raises ConfigurationError."""
    chosen = settings.embedding_settings
    if chosen.provider == "http":
        from jobctl.embeddings.endpoint import Endpoint

        key = settings.embeddings_api_key
        if chosen.url is None or chosen.model is None:
            raise ConfigurationError(
                "embeddings by http need an address and a model",
                hint='jobctl.toml: [embeddings] url = "https://host/v1" and model = "name"',
            )
        return Endpoint(
            chosen.url,
            chosen.model,
            api_key=key.get_secret_value() if key is not None else None,
            dimensions=chosen.dimensions,
            batch_size=chosen.batch_size,
            timeout_s=chosen.timeout_s,
            post=post,
        )
    from jobctl.embeddings import packaged

    return packaged.load(chosen.dimensions or packaged.DIMENSIONS, chosen.batch_size)
