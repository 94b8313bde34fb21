"""Searching the documents that a conversation may see for what the new messages ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proto.messages import Perceive, Perception
from worker.agent.questions import question_of
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable
from worker.organs.body import Body
from worker.organs.host_calls import HostCalls


@dataclass(frozen=True)
class Found:
    """The passages that a search found, or why there was no search."""

    passages: str = ""
    unsearched: str = ""


class Lookup:
    """The searches of one turn. The same question is not searched twice."""

    def __init__(self, message: Perceive, body: Body, calls: HostCalls, log: WorkerLog) -> None:
        self._message = message
        self._body = body
        self._calls = calls
        self._log = log
        self._found: dict[str, Found] = {}

    async def search(self, perceptions: Sequence[Perception], understood: Mapping[int, str]) -> Found:
        """Search for what these messages ask; ``understood`` has the texts of files by the perception's id."""
        question = question_of(perceptions, understood)
        if not question or not self._may_search(perceptions):
            return Found()
        if question not in self._found:
            self._found[question] = await self._searched(question)
        return self._found[question]

    def _may_search(self, perceptions: Sequence[Perception]) -> bool:
        if self._message.datasets is not None or self._message.visitor is not None:
            return bool(self._message.datasets)
        has_documents = self._message.has_documents or any(one.kind == "document" for one in perceptions)
        return has_documents and self._body.has("researcher")

    async def _searched(self, question: str) -> Found:
        datasets = self._message.datasets
        try:
            if datasets is not None:
                return Found(await self._calls.search(question, datasets))
            researcher = self._body.researcher
            return Found(await researcher.search(question)) if researcher else Found()
        except OrganUnreachable as error:
            self._log.warning("organ.failed", organ="researcher", reason=error.reason, hint=error.hint)
            return Found(unsearched=error.shown(visitor=self._message.visitor is not None))
