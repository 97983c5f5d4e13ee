"""What the sources said, before anybody judged it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jobctl.settings_reading.fault import Fault


class Value(NamedTuple):
    """A value as it was found, and the directory that a relative path in it counts from."""

    raw: object
    origin: str
    directory: Path


@dataclass(slots=True)
class Found:
    """All that the sources said. `weaker` are values that a stronger source hid: their secrets are secrets too."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    weaker: list[tuple[str, Value]] = field(default_factory=list[tuple[str, Value]])
    faults: list[Fault] = field(default_factory=list[Fault])
    notes: list[str] = field(default_factory=list[str])
    files: list[Path] = field(default_factory=list[Path])
    env_file: Path | None = None
    config_file: Path | None = None

    def add(self, name: str, value: Value) -> None:
        """Keep the first, which is the strongest."""
        if name in self.values:
            self.weaker.append((name, value))
        else:
            self.values[name] = value


class Names(NamedTuple):
    """The settings there are, by field, with the name each has in the environment; and which are secret."""

    env: Mapping[str, str]
    secret: frozenset[str]

    def field_of(self) -> dict[str, str]:
        return {env: name for name, env in self.env.items()}
