"""A client that knows the API from its description alone, as a generated one does, and believes no answer unchecked.

Any in this module: JSON, of the API and of its description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx

TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class Described:
    """Calls operations by their ``operationId``; an answer that is not as described is an AssertionError."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._document: Any = http.get("/openapi.json").json()
        self._operations: dict[str, tuple[str, str, Any]] = {
            operation["operationId"]: (method, path, operation)
            for path, item in self._document["paths"].items()
            for method, operation in item.items()
        }

    def call(self, name: str, status: int = 200, body: Any = None, **parameters: str | int) -> Any:
        """Send a request with a JSON body or none; returns what came, of the type that the description has for it."""
        method, path, operation = self._operations[name]
        named = {one["name"]: one["in"] for one in operation["parameters"]}
        assert not parameters.keys() - named.keys(), f"{name} takes {sorted(named)}"
        for key in re.findall(r"\{(\w+)\}", path):
            path = path.replace(f"{{{key}}}", str(parameters[key]))
        query = {key: value for key, value in parameters.items() if named[key] == "query"}
        if body is not None:
            sent = operation["requestBody"]["content"]["application/json"]["schema"]
            assert not list(self.faults(sent, body)), f"the body of {name}"
        answer = self._http.request(method, path, params=query, json=body)
        assert answer.status_code == status, f"{name}: {answer.status_code} {answer.text}"
        return self._read(name, operation["responses"], answer)

    def faults(self, schema: Any, value: Any, at: str = "$") -> Iterator[str]:
        """What of ``value`` the schema does not allow."""
        if ref := schema.get("$ref"):
            yield from self.faults(self._document["components"]["schemas"][ref.rpartition("/")[2]], value, at)
        if choices := schema.get("anyOf"):
            tried = [list(self.faults(choice, value, at)) for choice in choices]
            yield from () if [] in tried else min(tried, key=len)
        if not _is_of(schema.get("type"), value):
            yield f"{at} is a {type(value).__name__} and no {schema['type']}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at} is none of {schema['enum']}"
        if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{at} does not match {schema['pattern']}"
        for number, one in enumerate(value if isinstance(value, list) else ()):
            yield from self.faults(schema.get("items", {}), one, f"{at}[{number}]")
        if isinstance(value, dict):
            yield from self._members(schema, value, at)

    def _members(self, schema: Any, value: dict[str, Any], at: str) -> Iterator[str]:
        known = schema.get("properties", {})
        # What the description leaves out, a client would never know of.
        other = schema.get("additionalProperties", not known)
        yield from (f"{at} has no {key}" for key in schema.get("required", ()) if key not in value)
        for key, one in value.items():
            if key not in known and other is False:
                yield f"{at} has {key}"
            else:
                yield from self.faults(known.get(key, other if isinstance(other, dict) else {}), one, f"{at}.{key}")

    def _read(self, name: str, answers: Any, answer: httpx.Response) -> Any:
        described = answers.get(str(answer.status_code))
        assert described, f"{name}: {answer.status_code} is not described: {answer.text}"
        if "content" not in described:
            assert not answer.content, f"{name}: {answer.text}"
            return None
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in described["content"], f"{name}: {media_type} is not described"
        if media_type not in ("application/json", "application/problem+json"):
            return answer.content
        found = list(self.faults(described["content"][media_type]["schema"], answer.json()))
        assert not found, f"{name}: {found}"
        return answer.json()


def _is_of(kinds: str | list[str] | None, value: object) -> bool:
    """Whether a value is of one of the types; a truth value is no number."""
    names = [kinds] if isinstance(kinds, str) else kinds or list(TYPES)
    return any(isinstance(value, TYPES[name]) and isinstance(value, bool) <= (name == "boolean") for name in names)
