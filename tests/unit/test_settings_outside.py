"""Commands and endpoints of jobctl.toml: what is read, what is refused and why, and what nobody is shown."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.redact import Redactor
from jobctl.settings_outside import masked, telling_parts
from jobctl.settings_queue import QueueSettings
from jobctl.settings_reading.environment import environment_for_commands
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_reading.load import Loaded, load

HEADER, PART, TOKEN = "h34d3r-c4n4ry", "p4th-c4n4ry-p4th", "t0k3n-c4n4ry"
TOML = f"""
[queue.commands.rebuild]
argv = ["/usr/local/bin/rebuild", "--all"]
timeout_s = "10m"
environment = ["GITHUB_TOKEN"]

[queue.endpoints.crm]
url = "https://crm.example.org/hooks/{PART}?key=q-{PART}"
headers = {{ X-Key = "Key {HEADER}", Accept = "application/json" }}
allow = ["10.1.0.0/16", "hooks.internal"]

[queue.endpoints.any]
url_from_payload = true
hosts = [".example.org"]
timeout_s = 5
"""


def loaded(tmp_path: Path, toml: str, *, mode: int = 0o600, **environ: str) -> Loaded:
    path = tmp_path / "jobctl.toml"
    path.write_text(toml)
    path.chmod(mode)
    return load(environ={"HOME": str(tmp_path), **environ}, config_file=path)


def faults(tmp_path: Path, toml: str, tokens: str = "") -> str:
    with pytest.raises(InvalidSettings) as raised:
        loaded(tmp_path, toml, JOBCTL_ENDPOINT_TOKENS=tokens)
    return "\n".join(f"{fault.message} -> {fault.mend}" for fault in raised.value.faults)


def test_commands_and_endpoints_are_read(tmp_path: Path) -> None:
    queue = loaded(tmp_path, TOML).settings.queue_settings
    rebuild = queue.commands["rebuild"]
    assert (rebuild.argv, rebuild.timeout_s) == (("/usr/local/bin/rebuild", "--all"), 600)
    assert rebuild.environment == ("GITHUB_TOKEN",)
    crm, any_ = queue.endpoints["crm"], queue.endpoints["any"]
    assert crm.web_url is not None and crm.web_url.origin == "https://crm.example.org"
    assert crm.allow == ("10.1.0.0/16", "hooks.internal")
    assert (crm.allow_private, crm.url_from_payload) == (False, False)
    assert (any_.url_from_payload, any_.hosts, any_.ports) == (True, (".example.org",), (80, 443))


def test_no_table_costs_nothing_and_allows_nothing() -> None:
    assert (QueueSettings().commands, QueueSettings().endpoints, QueueSettings().secrets()) == ({}, {}, ())


COMMAND, ENDPOINT = "[queue.commands.x]\n", "[queue.endpoints.x]\n"
OWN_URL = 'url = "https://x.example"\n'
WRONG = {
    COMMAND: "has commands.x without argv",
    COMMAND + "argv = []": "has commands.x.argv, which is no list of words",
    COMMAND + 'argv = "rm -rf /"': "has commands.x.argv, which is no list of words",
    COMMAND + 'argv = ["rebuild"]': "has commands.x.argv, which begins with no absolute path",
    COMMAND + 'argv = ["/bin/x", 3]': "has commands.x.argv, which is no list of words",
    COMMAND + 'argv = ["/bin/x"]\nenvironment = ["A=B"]': "has commands.x.environment, which is no list of variables",
    COMMAND + 'argv = ["/bin/x"]\ntimeout = 3': "has 'commands.x.timeout', which is not known: did you mean timeout_s?",
    COMMAND + 'argv = ["/bin/x"]\ntimeout_s = 0': "has commands.x.timeout_s",
    '[queue.commands."a b"]\nargv = ["/bin/x"]': "has commands.a b, which is no name",
    '[queue.commands]\nx = "/bin/x"': "has commands.x, which is wrong",
    ENDPOINT: "has endpoints.x, which has no url",
    ENDPOINT + 'url = "x.example"': "has endpoints.x.url, which must start with http:// or https://",
    ENDPOINT + 'url = "https://me:pw@x.example"': "has endpoints.x.url, which has a user name or password in it",
    ENDPOINT + "url = 3": "has endpoints.x.url, which is no URL",
    ENDPOINT + 'url = "http://x.example"': "has endpoints.x, which has a url of http://",
    ENDPOINT + OWN_URL + "urll = 1": "has 'endpoints.x.urll', which is not known: did you mean url?",
    ENDPOINT + OWN_URL + 'hosts = ["a.example"]': "has endpoints.x, which has hosts or ports, which are for",
    ENDPOINT + OWN_URL + 'hosts = ["*.example"]': "has endpoints.x.hosts, which is no list of hosts",
    ENDPOINT + OWN_URL + 'headers = { "X Y" = "a" }': "has endpoints.x.headers, which has 'X Y', which is no name",
    ENDPOINT + OWN_URL + 'headers = { X = "a\\r\\nY: b" }': "which has a value for X that no header may have",
    ENDPOINT + OWN_URL + 'allow = ["10.0.0.1/8"]': "which has '10.0.0.1/8', which is no network",
    ENDPOINT + OWN_URL + 'allow = ["10.0.0.0/8", "*"]': "which has '*', which is neither a network nor a host's name",
    ENDPOINT + OWN_URL + 'allow = "10.0.0.0/8"': "has endpoints.x.allow, which is no list",
    ENDPOINT + OWN_URL + "ports = [0]": "has endpoints.x.ports.0, which is wrong",
    ENDPOINT + 'url_from_payload = true\nheaders = { X = "a" }': "has endpoints.x, which has headers, but no url",
}


@pytest.mark.parametrize("toml", WRONG)
def test_each_fault_says_where_it_is_and_what_is_wrong(tmp_path: Path, toml: str) -> None:
    assert WRONG[toml] in faults(tmp_path, toml)


@pytest.mark.parametrize(
    "toml",
    [
        f'url = "https://me:{TOKEN}@x.example"',
        f'url = "ftp://x.example/{TOKEN}"',
        f'url = "https://x.example/a b/{TOKEN}"',
        f'url = "https://x.example"\nheaders = {{ X = "{TOKEN}\\n" }}',
        f'url = "https://x.example"\nheaders = {{ Authorization = ["{TOKEN}"] }}',
        f'url = ["{TOKEN}"]',
    ],
)
def test_a_fault_does_not_show_what_may_be_secret(tmp_path: Path, toml: str) -> None:
    assert TOKEN not in faults(tmp_path, ENDPOINT + toml)


def test_a_token_is_for_an_endpoint_that_has_a_url(tmp_path: Path) -> None:
    found = loaded(tmp_path, TOML, JOBCTL_ENDPOINT_TOKENS=f"crm={TOKEN}=").settings
    assert found.endpoint_token_of() == {"crm": f"{TOKEN}="}
    for given, said in {
        f"crn={TOKEN}": "names 'crn', which is not an endpoint -> did you mean crm?",
        f"any={TOKEN}": "has a token for 'any', which has no url",
        TOKEN: "is not of the form NAME=TOKEN",
        "crm=": "is not of the form NAME=TOKEN",
        "crm=short": "has a token for crm that is shorter than 8 characters",
        f"crm=ü{TOKEN}": "or not ASCII",
    }.items():
        text = faults(tmp_path, TOML, given)
        assert said in text and TOKEN not in text


def test_the_redactor_knows_tokens_headers_and_the_telling_parts_of_a_url(tmp_path: Path) -> None:
    settings = loaded(tmp_path, TOML, JOBCTL_ENDPOINT_TOKENS=f"crm={TOKEN}").settings
    text = f"{TOKEN} | Key {HEADER} | {HEADER} | {PART} | q-{PART} | application/json | crm.example.org | hooks"
    redacted = Redactor(settings.secrets(), personal=False).text(text)
    assert "c4n4ry" not in redacted
    assert redacted.endswith("application/json | crm.example.org | hooks")


def test_a_file_with_telling_endpoints_is_its_owners_alone(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as raised:
        loaded(tmp_path, TOML, mode=0o644)
    assert "holds a secret and is open to others" in str(raised.value)
    plain = '[queue.endpoints.x]\nurl = "https://x.example/hook"\nheaders = { Accept = "text/plain" }'
    assert loaded(tmp_path, plain, mode=0o644).settings.queue_settings.endpoints
    for broken in ("[queue]\nendpoints = 3", "[queue.endpoints]\nx = 3", ENDPOINT + "headers = 3\nurl = 3"):
        assert "open to others" not in faults(tmp_path, broken)


@pytest.mark.parametrize(
    ("url", "parts", "shown"),
    [
        ("https://h.example", [], "https://h.example"),
        ("https://h.example/v1/hooks", [], "https://h.example/v1/hooks"),
        (f"https://h.example/v1/{PART}/x", [PART], "https://h.example/v1/***/x"),
        ("https://h.example/v1?format=json", [], "https://h.example/v1?***"),
        (f"https://h.example/v1?a=b&key={PART}#f", [PART], "https://h.example/v1?***"),
        (f"https://h.example?{PART}", [PART], "https://h.example?***"),
    ],
)
def test_parts_of_a_url_that_may_be_secrets_are_told_from_the_rest(url: str, parts: list[str], shown: str) -> None:
    assert (telling_parts(url), masked(url)) == (parts, shown)


def test_config_show_has_no_secret_and_config_check_names_the_fault(tmp_path: Path) -> None:
    path = tmp_path / "jobctl.toml"
    path.write_text(TOML)
    path.chmod(0o600)

    def jobctl(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        environment = {"HOME": str(tmp_path), "JOBCTL_CONFIG": str(path), **environ}
        return subprocess.run(
            [sys.executable, "-m", "jobctl", *words], env=environment, capture_output=True, text=True, check=False
        )

    shown = jobctl("config", "show", JOBCTL_ENDPOINT_TOKENS=f"crm={TOKEN}")
    as_json = jobctl("config", "show", "--json", JOBCTL_ENDPOINT_TOKENS=f"crm={TOKEN}")
    assert (shown.returncode, as_json.returncode) == (0, 0), shown.stderr + as_json.stderr
    assert "c4n4ry" not in shown.stdout + as_json.stdout + shown.stderr
    (queue,) = [item["value"] for item in json.loads(as_json.stdout)["items"] if item["setting"] == "queue"]
    assert queue["commands"]["rebuild"]["argv"] == ["/usr/local/bin/rebuild", "--all"]
    assert queue["endpoints"]["crm"]["url"] == "https://crm.example.org/hooks/***?***"
    assert queue["endpoints"]["crm"]["headers"] == {"X-Key": "***", "Accept": "application/json"}
    assert "https://crm.example.org/hooks/***?***" in shown.stdout

    path.write_text(TOML.replace("hosts = ", "hostz = "))
    checked = jobctl("config", "check")
    assert checked.returncode == 78
    assert "'endpoints.any.hostz', which is not known: did you mean hosts?" in checked.stdout
    assert "c4n4ry" not in checked.stdout


def test_a_command_gets_no_token_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBCTL_ENDPOINT_TOKENS", f"crm={TOKEN}")
    monkeypatch.setenv("GITHUB_TOKEN", "kept-by-name")
    assert "JOBCTL_ENDPOINT_TOKENS" not in environment_for_commands()
    assert environment_for_commands(["GITHUB_TOKEN"])["GITHUB_TOKEN"] == "kept-by-name"


def test_jobctl_started_by_a_task_takes_the_names_it_finds(tmp_path: Path) -> None:
    """A command of a task may call jobctl, whose unknown JOBCTL_ names are faults."""
    names = ("JOBCTL_TASK_ID", "JOBCTL_TASK_TYPE", "JOBCTL_TASK_ATTEMPT", "JOBCTL_TASK_USER")
    assert load(environ={"HOME": str(tmp_path), **dict.fromkeys(names, "1")})
