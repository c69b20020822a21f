"""`loopback`: asks for 44.1 kHz stereo WAV and hands back what it was sent; for tests and benchmarks."""

from __future__ import annotations

from typing import ClassVar

from bridge.providers.base import Answer, Finished, Model, Provider, Question, Upload


class Loopback(Provider):
    name: ClassVar[str] = "loopback"
    local: ClassVar[bool] = True
    only_by_name: ClassVar[bool] = True
    models: ClassVar[tuple[Model, ...]] = (
        Model(
            "loopback",
            kinds=frozenset({"transform"}),
            upload=Upload(container="wav", subtype="PCM_24", samplerate=44_100, channels=2),
            result_samplerate=44_100,
        ),
    )

    async def ask(self, question: Question) -> Answer:
        """The very file that was sent is the answer."""
        assert question.audio is not None
        return Finished(question.audio, seed=question.seed)
