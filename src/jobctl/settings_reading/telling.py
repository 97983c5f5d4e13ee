"""A bad value in words for an operator: what is wrong with it, and how to mend it."""

from collections.abc import Mapping

from jobctl.settings import ENV_NAMES, SECRETS, TABLES, Settings
from jobctl.settings_reading.fault import Fault
from jobctl.settings_reading.found import Found, Value


def plain(kind: str, context: Mapping[str, object], text: str) -> str:
    """pydantic's words for a programmer in words for an operator."""
    if kind == "value_error":
        return str(context.get("error", text))
    if kind == "literal_error":
        return f"must be one of {context.get('expected')}"
    words = {
        "int_parsing": "is not a whole number",
        "int_type": "is not a whole number",
        "int_from_float": "is not a whole number",
        "float_parsing": "is not a number",
        "float_type": "is not a number",
        "finite_number": "is not a number",
        "bool_parsing": "is neither true nor false",
        "bool_type": "is neither true nor false",
        "string_type": "is not text",
        "path_type": "is not a path",
        "string_pattern_mismatch": "has characters that are not allowed in it",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "greater_than": f"must be more than {context.get('gt')}",
        "less_than": f"must be less than {context.get('lt')}",
    }
    return words.get(kind, text[:1].lower() + text[1:])


def value_fault(name: str, value: Value, text: str) -> Fault:
    """A bad value, shown unless it is secret or the text shows it already."""
    said = ENV_NAMES[name] if not value.origin.startswith("config file") else name
    is_told = name in SECRETS or name in (*TABLES, "schedules") or repr(value.raw) in text
    is_told = is_told or "is not shown" in text
    shown = "" if is_told else f" (it is {str(value.raw)[:80]!r})"
    default: object = Settings.model_fields[name].default
    known = "" if name in SECRETS or default is None or default == () or isinstance(default, Mapping) else str(default)
    mend = (
        f"set {said} to a right value or unset it"
        if not known or known == "PydanticUndefined"
        else f"unset {said} for the default, {known}"
    )
    return Fault(name, value.origin, f"{said} {text}{shown}", mend)


def without_secrets(found: Found) -> tuple[Fault, ...]:
    """The faults, cleaned of every secret that any source holds: a value in the wrong place is shown nowhere."""
    from jobctl.redact import Redactor

    named = [*found.values.items(), *found.weaker]
    redactor = Redactor((str(value.raw) for name, value in named if name in SECRETS), personal=False)
    return tuple(
        Fault(fault.setting, redactor.text(fault.origin), redactor.text(fault.message), redactor.text(fault.mend))
        for fault in found.faults
    )
