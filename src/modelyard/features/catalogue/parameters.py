"""Parameters against an algorithm's form: what is wrong, field by field."""

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from modelyard.features.catalogue import known
from modelyard.features.catalogue.errors import BadParameters


def checked(algorithm: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Every parameter with a value, those not given with the form's own. Raises BadParameters, NotFound."""
    return _read(algorithm, parameters).model_dump(mode="json")


def given(algorithm: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Only the parameters that were given, as the form reads them. Raises BadParameters, NotFound."""
    return _read(algorithm, parameters).model_dump(mode="json", exclude_unset=True)


def _read(algorithm: str, parameters: dict[str, Any]) -> BaseModel:
    form: type[BaseModel] = known.algorithm(algorithm).Parameters
    unknown = sorted(set(parameters) - set(form.model_fields))
    fields = [{"field": name, "message": _unknown(name, form)} for name in unknown]
    familiar = {name: value for name, value in parameters.items() if name in form.model_fields}
    try:
        read = form.model_validate(familiar)
    except ValidationError as error:
        fields += [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
    if fields:
        more = f" ({len(fields) - 1} more)" if len(fields) > 1 else ""
        first = fields[0]
        place = f"{first['field']}: " if first["field"] else ""
        raise BadParameters(
            f"{algorithm} cannot be set so: {place}{first['message']}{more}. It has: {', '.join(form.model_fields)}.",
            fields=fields,
        )
    return read


def _unknown(name: str, form: type[BaseModel]) -> str:
    near = difflib.get_close_matches(name, form.model_fields, n=1)
    return f"unknown parameter; the nearest is {near[0]}" if near else "unknown parameter"
