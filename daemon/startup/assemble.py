"""Puts the routes together: each group takes what it uses."""

from __future__ import annotations

from collections import Counter
from functools import partial

from daemon.api.app import RouteGroup
from daemon.api.channels import identify, keep
from daemon.api.config import ConfigRoutes
from daemon.api.export import ArchiveRoutes
from daemon.api.feed import FeedRoutes
from daemon.api.health import HealthRoutes
from daemon.api.history import HistoryRoutes
from daemon.api.knowledge import KnowledgeRoutes
from daemon.api.lifecycle import LifecycleRoutes
from daemon.api.logs import LogRoutes
from daemon.api.metrics import MetricsRoutes
from daemon.api.openapi import OpenApiRoutes
from daemon.api.perception import PerceptionRoutes
from daemon.api.personas import PersonaRoutes
from daemon.api.sockets import SocketRoutes
from daemon.api.streams import FormReader
from daemon.api.uploads import UploadRoutes
from daemon.archives.restore import Restorer
from daemon.startup.daemon import Daemon


def route_groups(daemon: Daemon, request_counts: Counter[tuple[str, str, int]]) -> list[RouteGroup]:
    """The persona API's routes in the order in which they are searched: what is used most comes first."""
    settings, log, stopping = daemon.settings, daemon.log, daemon.stopping
    limits = settings.limits
    personas, supervisor, ledger = daemon.personas, daemon.supervisor, daemon.ledger
    hubs, inbox, uploads = daemon.hubs, daemon.inbox, daemon.uploads
    editing = daemon.channels.editing
    forms = FormReader(uploads=uploads, stopping=stopping, shutdown_timeout=settings.http.shutdown_timeout)
    return [
        PerceptionRoutes(supervisor=supervisor, hubs=hubs, inbox=inbox, message_chars=limits.message_chars),
        UploadRoutes(
            supervisor=supervisor,
            hubs=hubs,
            inbox=inbox,
            personas=personas,
            uploads=uploads,
            forms=forms,
            limits=limits,
            log=log,
        ),
        FeedRoutes(
            personas=personas,
            supervisor=supervisor,
            feeds=daemon.feeds,
            uploads=uploads,
            forms=forms,
            max_bytes=limits.feed,
            log=log,
        ),
        PersonaRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            hubs=hubs,
            pairing=daemon.pairing,
            identify=partial(identify, daemon),
            keep=partial(keep, daemon),
            editing=editing,
            max_personas=limits.personas,
        ),
        ConfigRoutes(providers=settings.providers),
        ArchiveRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            restorer=Restorer(personas=personas, ledger=ledger, identify=supervisor.identify, editing=editing, log=log),
            hubs=hubs,
            uploads=uploads,
            forms=forms,
            limits=limits,
            state_dir=settings.state_dir,
            log=log,
        ),
        LifecycleRoutes(
            personas=personas, supervisor=supervisor, consolidation=daemon.consolidation, hubs=hubs, log=log
        ),
        HistoryRoutes(personas=personas, ledger=ledger),
        KnowledgeRoutes(personas=personas, log=log),
        HealthRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            hubs=hubs,
            state_dir=settings.state_dir,
            started_at=daemon.started_at,
            stopping=stopping,
        ),
        LogRoutes(tail=daemon.tail),
        MetricsRoutes(
            personas=personas,
            supervisor=supervisor,
            ledger=ledger,
            inbox=inbox,
            hubs=hubs,
            request_counts=request_counts,
            webhook_counts=daemon.webhook_requests,
            started_at=daemon.started_at,
        ),
        OpenApiRoutes(),
        SocketRoutes(personas=personas, hubs=hubs),
    ]
