"""`dsp`: transforms on this computer with filters, rooms and tape, led by the prompt's words; no key, no model, no cost.

Only the service's side; the sound is made in `bridge/audio/dsp`, in an audio process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from bridge.providers.base import Answer, Finished, Model, Provider, Question, Upload


class Dsp(Provider):
    name: ClassVar[str] = "dsp"
    local: ClassVar[bool] = True
    models: ClassVar[tuple[Model, ...]] = (
        Model("dsp", kinds=frozenset({"transform"}), upload=Upload(container="wav", subtype="FLOAT")),
    )

    def __init__(self, run_task: Callable[..., Awaitable[dict[str, Any]]]) -> None:
        self._run_task = run_task

    async def ask(self, question: Question) -> Answer:
        """Runs the engine over the clip. The same question gives the same bytes."""
        assert question.audio is not None
        result = question.work_dir / f"result-{question.label}.wav"
        done = await self._run_task(
            "dsp",
            priority=question.priority,
            source_path=str(question.audio),
            target_path=str(result),
            prompt=question.prompt,
            negative_prompt=question.negative_prompt,
            strength=question.strength,
            seed=question.seed,
        )
        return Finished(result, seed=question.seed, notes=(f"Effects: {', '.join(done['words'])}.",))
