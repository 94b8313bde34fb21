"""The bodies of ``/v1``: the documented fields, and two of our own.

``account`` names one of the operator's ``[accounts]``; ``instructions`` stand in the prompt of the channel.

Unknown fields are ignored, as in the documented system.
"""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeVar, get_args

import msgspec
from starlette.requests import Request

from daemon.api.bodies import Body, is_json
from daemon.api.errors import Unprocessable
from daemon.api.v1.objects import ChannelType
from daemon.api.v1.problems import Refused
from daemon.http.answers import Fault
from proto.records import NAME_PATTERN

T = TypeVar("T", bound=msgspec.Struct)

E164: Final = r"^\+[1-9][0-9]{1,14}\Z"
MAX_DATASETS: Final = 32

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=NAME_PATTERN)]
Phone = Annotated[str, msgspec.Meta(pattern=E164)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Id = Annotated[str, msgspec.Meta(max_length=100)]
DatasetIds = Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=MAX_DATASETS)]
Words = Annotated[str, msgspec.Meta(max_length=4096)]
"""A text to send or to follow; an empty one counts as none."""

WANTED: Final = {
    "channelType": f"Input should be one of: {', '.join(get_args(ChannelType))}",
    "phoneNumber": "Input should be a phone number in E.164, such as +491701234567",
}
"""Messages for fields whose rule the general messages do not explain."""


class CreateChannel(msgspec.Struct, rename="camel"):
    """The body of create. Which fields are needed depends on ``channelType``."""

    name: Name
    channel_type: ChannelType
    phone_number: Phone | None = None
    bot_token: Token | None = None
    system_prompt_id: Id | None = None
    model_id: Id | None = None
    dataset_ids: DatasetIds | None = None
    welcome_message: Words | None = None
    fallback_message: Words | None = None
    account: Id | None = None
    instructions: Words | None = None


class UpdateChannel(msgspec.Struct, rename="camel"):
    """The body of update: absent fields stay, null sets the default."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    model_id: Id | msgspec.UnsetType | None = msgspec.UNSET
    dataset_ids: DatasetIds | msgspec.UnsetType | None = msgspec.UNSET
    welcome_message: Words | msgspec.UnsetType | None = msgspec.UNSET
    fallback_message: Words | msgspec.UnsetType | None = msgspec.UNSET
    account: Id | msgspec.UnsetType | None = msgspec.UNSET
    instructions: Words | msgspec.UnsetType | None = msgspec.UNSET
    channel_type: ChannelType | msgspec.UnsetType = msgspec.UNSET
    phone_number: Phone | msgspec.UnsetType | None = msgspec.UNSET
    bot_token: Token | msgspec.UnsetType | None = msgspec.UNSET
    system_prompt_id: Id | msgspec.UnsetType | None = msgspec.UNSET


class JsonBody(Generic[T]):
    """A body whose content type must be JSON or absent."""

    def __init__(self, kind: type[T]) -> None:
        self._body = Body(kind)

    async def read(self, request: Request) -> T:
        """Read and decode. Raises Refused (415), Unprocessable."""
        if not is_json(request.scope["headers"]):
            raise Refused(415, "The body must be JSON: send it with 'Content-Type: application/json'.")
        try:
            return await self._body.read(request)
        except Unprocessable as error:
            raise Unprocessable([_in_words(fault) for fault in error.faults]) from error


def _in_words(fault: Fault) -> Fault:
    field = str(fault.loc[1]) if len(fault.loc) > 1 else ""
    if fault.type not in ("value_error", "string_pattern_mismatch") or field not in WANTED:
        return fault
    return Fault(fault.type, fault.loc, WANTED[field])


CREATE: Final = JsonBody(CreateChannel)
UPDATE: Final = JsonBody(UpdateChannel)
