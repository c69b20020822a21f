"""The third stage: look after a call that a service works on, until its result lies in a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.providers.base import Finished, Provider, Question, Running


async def wait(
    provider: Provider, question: Question, running: Running, on_progress: Callable[[float | None], None]
) -> Finished:
    """Looks as often as the service's answers say, until it is finished. Looking is free and changes nothing.

    Raises ClipError: the service's failure, or what passes by itself and can be looked at again later.
    """
    while True:
        await asyncio.sleep(running.look_again_seconds)
        answer = await provider.look(question, running)
        if isinstance(answer, Finished):
            return answer
        running = answer
        on_progress(running.progress)
