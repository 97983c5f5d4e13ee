"""What the tables of `jobctl.toml` have in common: frozen models, read with every fault in an operator's words."""

from collections.abc import Mapping
from typing import Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from jobctl.did_you_mean import did_you_mean


class Table(BaseModel):
    """A table, or one inside a table. Keys that are not its fields are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def shown(self) -> dict[str, object]:
        """What was set, for people and without secrets."""
        return self.model_dump(mode="json", exclude_unset=True)


Read = TypeVar("Read", bound=Table)
NO_TABLES: Final[Mapping[str, type[Table]]] = {}


def read_table(value: object, model: type[Read], example: str, inner: Mapping[str, type[Table]] = NO_TABLES) -> Read:
    """The table as its model. `example` is how one begins, `[sync] and below it projects_at_once = 5`; `inner` are the
    models of the tables in it, by their first key. Raises ValueError with every fault."""
    if isinstance(value, model):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"is a table of jobctl.toml: {example}")  # noqa: TRY004 - pydantic collects only ValueError
    try:
        return model.model_validate(cast("Mapping[str, object]", value))
    except ValidationError as error:
        raise ValueError(faults_of(error, model, inner)) from None


def faults_of(error: ValidationError, model: type[Table], inner: Mapping[str, type[Table]] = NO_TABLES) -> str:
    """All faults that pydantic found, in words that go on after the table's name."""
    return "; ".join(_fault(detail, model, inner) for detail in error.errors(include_url=False))


def _fault(detail: ErrorDetails, model: type[Table], inner: Mapping[str, type[Table]]) -> str:
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    where = ".".join(path)
    said = detail.get("ctx", {}).get("error", detail["msg"])
    if not where:
        return f"does not fit together: {said}"
    if detail["type"] == "extra_forbidden":
        known = (inner.get(path[0], model) if path[1:] else model).model_fields
        meant = did_you_mean(path[-1], known)
        return f"has {where!r}, which is not known: " + (
            f"did you mean {meant}?" if meant else f"one of {', '.join(known)}"
        )
    if detail["type"] == "missing":
        return f"has {'.'.join(path[:-1])} without {path[-1]}"
    if detail["type"] == "value_error":
        return f"has {where}, which {said}"
    text = detail["msg"]
    return f"has {where}, which is wrong: {text[:1].lower() + text[1:]}"
