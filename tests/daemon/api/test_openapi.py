"""The description of the API: valid OpenAPI 3.1, and in a form that generators of clients take without a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import pytest

from daemon.api.openapi import document
from daemon.api.openapi_schemas import plain

# Any in this file: parts of a JSON document.

IDS: Final = {
    "perception": ("read", "hear", "attach", "feed", "retry"),
    "personas": (
        *("listPersonas", "listProviders", "createPersona", "restorePersona", "exportPersona", "updatePersona"),
        *("deletePersona", "startPersona", "stopPersona", "restartPersona", "sleep"),
    ),
    "channels": ("addChannel", "removeChannel", "pairChannel"),
    "memory": (
        *("getConversation", "getKnowledge", "getMedia"),
        *("listMemoryFiles", "getMemoryHistory", "getMemoryVersion", "undoMemory"),
        *("listInstructions", "getInstruction", "putInstruction", "deleteInstruction"),
    ),
    "costs": ("getUsage", "getBudget", "changeBudget", "forecastFeed"),
    "daemon": ("getStatus", "getLogs", "getLiveness", "getReadiness", "getMetrics", "getOpenApi"),
    "v1": (
        *("listChannels", "getChannelOptions", "createChannel", "getChannel", "updateChannel", "deleteChannel"),
        *("pauseChannel", "resumeChannel", "testChannel"),
        *("listConversations", "eraseConversation", "eraseSender", "listMessages"),
    ),
}
"""By tag, the operations that clients were generated for: each stays where it is, under this name."""

Method: TypeAlias = Literal["get", "post", "put", "patch", "delete"]

READ_BY_GENERATORS: Final = re.compile(r"application/(json|octet-stream|[\w.-]+\+json)|text/\w+")
"""The types of answers that openapi-python-client reads (its parser/responses.py); others it leaves out."""


class Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A part of an OpenAPI 3.1 document with the fields that ours uses (https://spec.openapis.org/oas/v3.1.0)."""


class Schema(Part):
    """A schema (https://json-schema.org/draft/2020-12/json-schema-validation)."""

    ref: str | None = msgspec.field(default=None, name="$ref")
    title: str = ""
    description: str = ""
    type: str | list[str] | None = None
    enum: list[str] | None = None
    default: Any = None
    properties: dict[str, Schema] = {}
    required: list[str] = []
    additional_properties: bool | Schema = True
    items: Schema | None = None
    any_of: list[Schema] = []
    format: Literal["uuid", "date-time", "binary"] | None = None
    pattern: str | None = None
    min_length: int = 0
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    max_items: int | None = None


class MediaType(Part):
    """A body in one type."""

    schema: Schema


class Header(Part):
    """A header of an answer."""

    schema: Schema


class Parameter(Part):
    """A parameter of a path, a query or the headers."""

    name: str
    place: Literal["path", "query", "header"] = msgspec.field(name="in")
    required: bool
    schema: Schema


class RequestBody(Part):
    """The body of a request."""

    content: Annotated[dict[str, MediaType], msgspec.Meta(min_length=1)]
    required: bool


class Answer(Part):
    """One answer."""

    description: Annotated[str, msgspec.Meta(min_length=1)]
    content: dict[str, MediaType] = {}
    headers: dict[str, Header] = {}


class Operation(Part):
    """An operation; the description has nothing optional here that a generator needs."""

    operation_id: Annotated[str, msgspec.Meta(pattern="^[a-z]+([A-Z][a-z]+)*$")]
    tags: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]
    summary: Annotated[str, msgspec.Meta(min_length=1)]
    parameters: list[Parameter]
    responses: dict[Annotated[str, msgspec.Meta(pattern="^[2-5][0-9]{2}$")], Answer]
    request_body: RequestBody | None = None
    security: list[dict[str, list[str]]] | None = None


class Named(Part):
    """A tag or a licence."""

    name: str
    description: str = ""
    identifier: str = ""


class Info(Part):
    """About the API."""

    title: str
    version: str
    license: Named
    description: str = ""


class Server(Part):
    """Where the API is."""

    url: str
    description: str


class Components(Part):
    """What the operations refer to."""

    schemas: dict[Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9]+$")], Schema]
    security_schemes: dict[str, dict[str, str]]


class Document(Part):
    """The whole description."""

    openapi: Annotated[str, msgspec.Meta(pattern=r"^3\.1\.\d+$")]
    info: Info
    servers: Annotated[list[Server], msgspec.Meta(min_length=1)]
    tags: list[Named]
    paths: dict[Annotated[str, msgspec.Meta(pattern="^/")], dict[Method, Operation]]
    components: Components
    security: list[dict[str, list[str]]]


@pytest.fixture(scope="module")
def described() -> Document:
    """The document, read as OpenAPI 3.1 has it: what does not belong into it is no field of ours."""
    return msgspec.json.decode(msgspec.json.encode(document()), type=Document)


def operations(described: Document) -> Iterator[tuple[str, Operation]]:
    """Each operation with its path."""
    return ((path, one) for path, item in described.paths.items() for one in item.values())


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Each object in a JSON document."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(one)


def test_operations_keep_their_names(described: Document) -> None:
    """Each operation has a name of its own, in any spelling, and none that clients know is gone."""
    tagged = {(tag, one.operation_id) for _, one in operations(described) for tag in one.tags}
    assert tagged >= {(tag, name) for tag, names in IDS.items() for name in names}
    names = [one.operation_id for _, one in operations(described)]
    assert max(Counter(name.lower() for name in names).values()) == 1


def test_tags_are_described_and_used(described: Document) -> None:
    """The groups of operations are those that the document describes."""
    assert {tag for _, one in operations(described) for tag in one.tags} == {tag.name for tag in described.tags}
    assert all(tag.description for tag in described.tags)


def test_the_server_is_where_the_document_comes_from(described: Document) -> None:
    """The address is relative: behind a proxy the daemon does not know its own."""
    assert [server.url for server in described.servers] == ["/"]


def test_references_resolve(described: Document) -> None:
    """Each reference is to a schema that is there."""
    references = {part["$ref"] for part in parts(document()) if "$ref" in part}
    assert references
    assert references <= {f"#/components/schemas/{name}" for name in described.components.schemas}


def test_parameters_are_those_of_the_path(described: Document) -> None:
    """Each name in a path is a required parameter, and no parameter is given twice."""
    for path, one in operations(described):
        placed = [(parameter.place, parameter.name) for parameter in one.parameters]
        assert len(placed) == len(set(placed)), path
        assert {name for place, name in placed if place == "path"} == set(re.findall(r"\{(\w+)\}", path)), path
        assert all(parameter.required == (parameter.place == "path") for parameter in one.parameters), path


def test_each_answer_can_be_read_by_a_generated_client(described: Document) -> None:
    """One of the types of an answer is one that generators know; an answer without a body has no type."""
    for path, one in operations(described):
        for status, answer in one.responses.items():
            known = [media_type for media_type in answer.content if READ_BY_GENERATORS.fullmatch(media_type)]
            assert known or not answer.content, (path, status)


def test_what_every_route_can_answer_is_described(described: Document) -> None:
    """A wrong token, a foreign Host, and a ledger that is busy or cannot be read: every operation tells of them."""
    for path, one in operations(described):
        assert {"401", "403", "503"} <= set(one.responses), path


def test_schemas_are_plain() -> None:
    """Choices have a type; patterns are ECMA's, and without halves of characters, which no engine of UTF-8 compiles."""
    for part in parts(document()):
        assert not isinstance(part.get("enum"), list) or part.get("type") == "string", part
        if isinstance(pattern := part.get("pattern"), str):
            assert r"\Z" not in pattern
            assert r"\ud8" not in pattern
            re.compile(pattern)


def test_choices_do_not_take_the_names_of_schemas(described: Document) -> None:
    """A choice without a name is named after its schema and field, which must not be another schema.

    ``status`` of ``Persona`` was such a one: it was taken for ``PersonaStatus``, and four answers were left out.
    """
    names = {name.lower() for name in described.components.schemas}
    for name, schema in described.components.schemas.items():
        for field, inner in schema.properties.items():
            if inner.enum:
                assert f"{name}{field.replace('_', '')}".lower() not in names, (name, field)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"pattern": r"^[^\x00\ud800-\udfff]+\Z"}, {"pattern": r"^[^\x00]+$"}),
        ({"pattern": r"^\\Z$"}, {"pattern": r"^\\Z$"}),
        ({"enum": ["b", "a"]}, {"type": "string", "enum": ["b", "a"]}),
        (
            {"enum": ["sick", "hibernate", "active"], "default": "active"},
            {"$ref": "#/components/schemas/Status", "default": "active"},
        ),
        (
            {"properties": {"enum": {"anyOf": [{"enum": ["a"]}]}}},
            {"properties": {"enum": {"anyOf": [{"type": "string", "enum": ["a"]}]}}},
        ),
        ({"properties": {"pattern": {"type": "string"}}}, {"properties": {"pattern": {"type": "string"}}}),
    ],
)
def test_what_generators_do_not_take_is_rewritten(given: dict[str, Any], taken: dict[str, Any]) -> None:
    """Also inside other schemas; a field that has the name of a keyword stays as it is."""
    assert plain({"schema": given}) == {"schema": taken}
