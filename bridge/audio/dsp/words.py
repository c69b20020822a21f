"""The table from words of a prompt to effects: what a producer says, and what is then done.

Only facts: `prompt` reads prompts with this table, `effects` says what each named effect does with its numbers. A
row's forms are matched by stem, so `distort` also hears "distorted" and "distortion"; two or three words with a space
are one form, and one that begins with = is heard only as it is written. The rows live by family in `words_sound`,
`words_place` and `words_motion`.
"""

from __future__ import annotations

from typing import Final

from bridge.audio.dsp.word import Step, Word
from bridge.audio.dsp.words_motion import PITCH, TIME
from bridge.audio.dsp.words_place import MOOD, SPACE
from bridge.audio.dsp.words_sound import GRIT, TONE

__all__ = ["FAINT", "LESS", "MORE", "MOST", "NEGATIONS", "WORDS", "Step", "Word"]

WORDS: Final[tuple[Word, ...]] = (*TONE, *SPACE, *GRIT, *PITCH, *TIME, *MOOD)

FAINT: Final = (
    "a hint of", "hint of", "a touch of", "touch of", "a trace of", "trace of", "a pinch of", "barely", "faint",
    "faintly",
)  # fmt: skip
LESS: Final = (
    "slight", "slightly", "subtle", "subtly", "a bit of", "a bit", "bit of", "a little", "little", "gentle",
    "gently", "mild", "mildly", "soft", "softly", "somewhat", "lightly", "some", "kind of", "moderate",
    "moderately", "light", "small",
)  # fmt: skip
MORE: Final = (
    "very", "heavy", "heavily", "strong", "strongly", "really", "big", "deep", "deeply", "lots of", "a lot of",
    "much", "super", "hard", "huge", "large", "long", "full", "rich", "so", "more", "thick",
)  # fmt: skip
MOST: Final = (
    "extreme", "extremely", "massive", "massively", "insane", "insanely", "ultra", "totally", "completely",
    "enormous", "giant", "gigantic", "crazy", "absurdly", "drenched in", "drowned in", "soaked in", "maximum",
    "max", "mega",
)  # fmt: skip
NEGATIONS: Final = ("no", "not", "without", "never", "less", "avoid", "minus", "dont", "non")
"""Words before a form that take it back: "no reverb" in a prompt counts as `reverb` in the negative prompt."""
