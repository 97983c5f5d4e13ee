"""What is wrong with the settings, each fault with where it was said and the way to mend it."""

from typing import NamedTuple

from jobctl.errors import ConfigurationError


class Fault(NamedTuple):
    """One thing that is wrong, where it was said, and the way to mend it."""

    setting: str
    origin: str
    message: str
    mend: str


class InvalidSettings(ConfigurationError):
    """All that is wrong with the settings, at once."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        if len(faults) == 1:
            super().__init__(f"{faults[0].message} ({faults[0].origin})", hint=faults[0].mend)
        else:
            texts = "; ".join(f"{fault.message} ({fault.origin})" for fault in faults)
            super().__init__(
                f"{len(faults)} faults in the settings: {texts}", hint="jobctl config check tells how to mend each"
            )
        self.faults = faults
