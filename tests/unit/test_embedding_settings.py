"""The table `embeddings` of jobctl.toml."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobctl.jobs.embedding_model import provider_of
from jobctl.settings import Settings
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import load

HTTP = '[embeddings]\nprovider = "http"\nurl = "https://e.example/v1"\nmodel = "m"\n'


def loaded(tmp_path: Path, toml: str, **environ: str) -> Settings:
    file = tmp_path / "jobctl.toml"
    file.write_text(toml)
    file.chmod(0o600)
    return load(environ={"HOME": "/nonexistent", **environ}, config_file=file).settings


def test_table_is_read_and_its_key_is_a_secret_of_the_environment(tmp_path: Path) -> None:
    settings = loaded(tmp_path, HTTP + 'dimensions = 512\ntimeout_s = "1m"\n', JOBCTL_EMBEDDINGS_API_KEY="k3y-k3y")
    chosen = settings.embedding_settings
    assert (chosen.url, chosen.model, chosen.dimensions, chosen.timeout_s) == ("https://e.example/v1", "m", 512, 60)
    assert settings.embeddings_api_key == SecretStr("k3y-k3y")
    assert "k3y-k3y" in settings.secrets()
    assert provider_of(settings).model == "http/m"


def test_without_a_table_the_packaged_model_is_meant(tmp_path: Path) -> None:
    chosen = loaded(tmp_path, "").embedding_settings
    assert (chosen.provider, chosen.url, chosen.batch_size) == ("wordllama", None, 256)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("embeddings = 3", r"is a table of jobctl.toml"),
        ("[embeddings]\nprovidr = 1", "did you mean provider"),
        ('[embeddings]\nprovider = "openai"', "provider"),
        ('[embeddings]\nprovider = "http"', "needs url and model"),
        ('[embeddings]\nurl = "https://x/v1"\nmodel = "m"', 'set provider = "http"'),
        ('[embeddings]\nprovider = "http"\nurl = "https://u:p@x/v1"\nmodel = "m"', "no address"),
        ('[embeddings]\nprovider = "http"\nurl = "ftp://x/v1"\nmodel = "m"', "no address"),
        (HTTP + "batch_size = 0", "batch_size"),
        (HTTP + 'timeout_s = "soon"', "timeout_s"),
    ],
)
def test_wrong_table_is_told_in_an_operators_words(tmp_path: Path, toml: str, told: str) -> None:
    with pytest.raises(InvalidSettings, match=told):
        loaded(tmp_path, toml)


def test_start_without_a_table_imports_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys; from jobctl.settings_reading.load import load; load(environ={'HOME': '/nonexistent'})\n"
        "assert not [m for m in sys.modules if 'embedding' in m]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
