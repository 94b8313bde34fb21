"""What each process may reach: its walls, drawn from the settings and from what the process is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from daemon.settings.settings import Settings
from daemon.supervision.provisions import provider_urls
from proto.feeds import Feed
from proto.gateways import Identify
from proto.messages import Prepare, Probe
from proto.records import EMBEDDED, ORGANS, Organ
from proto.walls import Walls

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
PERSONAS: Final = "personas"
SCRATCH: Final = "organs"
"""The folder in the runtime directory for the organ host's passing files."""


class Enclosures:
    """Draws the walls of each process. Paths are handed over as they are; the process resolves them.

    ``account_files`` returns the files of the present accounts' secrets.
    """

    def __init__(
        self, settings: Settings, account_files: Callable[[], list[str]], environ: Mapping[str, str] = os.environ
    ) -> None:
        self._personas = str(settings.state_dir / PERSONAS)
        self._scratch = str(settings.runtime_dir / SCRATCH)
        self._mind_model = settings.organs.mind_model
        self._memory = settings.limits.process_memory
        self._host_memory = settings.organs.memory
        self._secrets = list(_secrets(settings, environ))
        self._account_files = account_files
        urls = [url for kind, url in provider_urls(settings).items() if kind != EMBEDDED]
        urls += [model.url for model in settings.models.values()]
        urls += [environ.get(name, "") for name in PROXIES]
        # Providers name further hosts in their answers, such as Discord's gateway and Slack's files, all on 443.
        self._ports = {443, *_ports(urls)}

    def persona(self, prepare: Prepare) -> Walls:
        """A persona's process fills her media folder, and connects to her organs and her gateways' providers."""
        persona = prepare.persona
        organs = [persona.thinking, *filter(None, (getattr(persona, name) for name in ORGANS))]
        return self._walls([*prepare.urls.values(), *_urls(organs)], write=[prepare.media])

    def probe(self, question: Probe | Identify) -> Walls:
        """A probe connects to one organ or one provider."""
        return self._walls([*question.urls.values(), *_urls([question.organ] if isinstance(question, Probe) else [])])

    def feeder(self, feed: Feed) -> Walls:
        """A feeder reads one export, and connects to her mind."""
        return self._walls([*feed.urls.values(), *_urls([feed.thinking])], read=[feed.path])

    def organ_host(self) -> Walls:
        """The organ host works with the files of all personas, without any network."""
        return Walls(
            read=[self._mind_model] if self._mind_model else [],
            closed=self._closed(),
            personas=self._personas,
            scratch=self._scratch,
            memory=self._host_memory,
        )

    def _closed(self) -> list[str]:
        return [*self._secrets, *self._account_files()]

    def _walls(self, urls: Iterable[str], write: list[str] | None = None, read: list[str] | None = None) -> Walls:
        ports = sorted(self._ports | set(_ports(urls)))
        return Walls(write=write or [], read=read or [], closed=self._closed(), ports=ports, memory=self._memory)


def _urls(organs: Iterable[Organ]) -> list[str]:
    return [organ.url for organ in organs if organ.url]


def _ports(urls: Iterable[str]) -> Iterator[int]:
    for url in urls:
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            continue
        if port:
            yield port


def _secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Where secrets and everybody's words lie, beside those of accounts.

    No process may read a folder with one of these in it.
    """
    yield str(settings.state_dir)
    yield str(settings.runtime_dir)
    if settings.http.token_file:
        yield settings.http.token_file
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        yield folder
    for table in settings.models.values():
        for name, value in msgspec.structs.asdict(table).items():
            if name.endswith("_file") and isinstance(value, str) and value.startswith("/"):
                yield value
