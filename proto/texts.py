"""Bounded strings and units for the fields of messages."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

MAX_TEXT: Final = 256 * 1024
"""Characters in one text that a worker sends."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]

Reason = Annotated[str, msgspec.Meta(max_length=2000)]

Nanoseconds: TypeAlias = int

MediaName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""A bare file name in the persona's media folder, never a path."""

MemoryName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z")]
"""The name of a memory file without its ``.md``."""

Title = Annotated[str, msgspec.Meta(max_length=255)]
"""A file's name on the person's device. It is shown and quoted, never used as a path."""

Label = Annotated[str, msgspec.Meta(max_length=1024)]
"""A name that people see, or an id that a provider gave."""

DatasetName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
"""A bare folder name in a persona's ``datasets``."""
