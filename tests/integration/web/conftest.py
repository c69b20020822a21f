"""The real engine with the real HTTP door, in a home of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile as sf

from bridge.config import Config
from bridge.engine import Engine
from bridge.home import Home
from bridge.web.rooms import Rooms
from tests.integration.web.asking import (
    TOKEN,
    door,
)


@pytest.fixture
async def engine(home: Path) -> AsyncIterator[Engine]:
    engine = Engine(Home.at(home), Config())
    await engine.start(resume=False)
    yield engine
    await engine.stop()


@pytest.fixture
def rooms(engine: Engine) -> Rooms:
    return Rooms(
        home=engine.home,
        intake=engine.intake,
        events=engine.events,
        jobs=engine.jobs,
        ledger=engine.ledger,
        presets=engine.presets,
        providers=engine.providers,
        facts=lambda: {"started_at": "2026-01-01T00:00:00.000Z", "token": TOKEN},
    )


@pytest.fixture
async def client(rooms: Rooms) -> AsyncIterator[httpx.AsyncClient]:
    async with door(rooms) as (_, client):
        yield client


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Half a second of noise, 48 kHz, 24 bit, stereo."""
    path = tmp_path / "Kick Loop.wav"
    sf.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, (24_000, 2)), 48_000, subtype="PCM_24")
    return path
