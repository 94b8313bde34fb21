"""The list of a persona's channels in config.json, as the register compares it with the rows."""

from __future__ import annotations

import msgspec

from daemon.ledger import Mirrored
from daemon.personas.channel_records import PAIRED, claim_of, id_of
from proto.records import Channel, Persona


def listed_ids(persona: Persona | None) -> set[str]:
    """Return the ids of the channels in her list."""
    return {channel for record in (persona.channels if persona else None) or [] if (channel := id_of(record))}


def mirror_of(persona: Persona) -> list[Mirrored]:
    """Return her list in the ledger's terms."""
    return [
        Mirrored(
            channel,
            record.type,
            record.name,
            verified=record.verified_at is not None,
            addable=record.type in PAIRED,
            claim=claim_of(record) or "",
        )
        for record in persona.channels or []
        if (channel := id_of(record))
    ]


def renamed(persona: Persona, names: dict[str, str]) -> list[Channel]:
    """Return her list with new names for the channels with these ids."""
    return [
        msgspec.structs.replace(record, name=names.get(id_of(record) or "", record.name))
        for record in persona.channels or []
    ]
