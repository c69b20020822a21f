"""Everything between a request and its take, put together in order and taken apart in reverse.

`bridge.daemon` adds triggers and HTTP; a command without a daemon uses this alone.
"""

from __future__ import annotations

import os
from typing import Final, get_args

from bridge.config import Config, ServiceName
from bridge.desktop.filesystems import is_network_path
from bridge.errors import ClipError
from bridge.events import Events
from bridge.home import Home
from bridge.intake import Intake
from bridge.pipeline.runner import Runner
from bridge.presets import Presets
from bridge.providers import Providers
from bridge.providers.base import Settings
from bridge.store import Database, JobStore
from bridge.store.ledger import Ledger
from bridge.worker import Workers

AUDIO_PROCESSES_MAX: Final = 4


def provider_settings(config: Config) -> dict[str, Settings]:
    """Each service's part of the settings, in the form that the providers' room knows."""
    found = {}
    for name in get_args(ServiceName):
        service = config.providers.of(name)
        options = service.model_dump(exclude={"enabled", "model", "base_url"})
        found[name] = Settings(service.enabled, service.model, service.base_url, options)
    return found


class Engine:
    """Everything between a request and its take, without any trigger."""

    def __init__(self, home: Home, config: Config) -> None:
        self.home = home
        self.config = config

    async def start(self, *, resume: bool) -> None:
        """Opens the store and gets ready; with `resume`, jobs of earlier runs go on where they were."""
        self.home.prepare()
        if is_network_path(self.home.root):
            raise ClipError(
                "internal",
                f"The home {self.home.root} lies on a network share, where its database would not be safe.",
                hint="Name a home on this computer's own disk with --home; results may go to a share all the same.",
            )
        self.presets = Presets(self.home.presets_dir)
        self.database = Database.open(self.home.database)
        self.jobs = JobStore(self.database)
        self.ledger = Ledger(self.database)
        self.events = Events(self.jobs)
        await self.events.start()
        self.workers = Workers(min(os.cpu_count() or 1, AUDIO_PROCESSES_MAX))
        self.providers = Providers(self.config.providers.order, provider_settings(self.config), self.workers.run)
        self.runner = Runner(self.home, self.config, self.jobs, self.events, self.workers, self.providers)
        self.intake = Intake(self.home, self.config, self.presets, self.jobs, self.workers, self.providers, self.runner)
        if resume:
            for job in await self.jobs.living():
                self.runner.add(job)

    async def stop(self) -> None:
        """The reverse of `start`; living jobs stay where they are."""
        await self.runner.stop()
        await self.providers.close()
        await self.workers.close()
        self.database.close()
