"""Reads a prompt: which words of the table it holds, how strongly each is meant, and which are ruled out.

Free text in, picks out; pure and deterministic. What a pick does to the sound is left to `chain`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from bridge.audio.dsp.words import FAINT, LESS, MORE, MOST, NEGATIONS, WORDS, Word

MAX_PICKS: Final = 8
"""More words than this blur into one another; the first ones count."""

_INTENSITY: Final[dict[str, float]] = {
    **dict.fromkeys(FAINT, 0.4),
    **dict.fromkeys(LESS, 0.6),
    **dict.fromkeys(MORE, 1.35),
    **dict.fromkeys(MOST, 1.7),
}
_LONGEST_FORM: Final = 4
_ENDINGS: Final = ("ness", "ing", "ion", "er", "est", "ed", "ly", "es", "s", "y", "e")
_FILLERS: Final = frozenset(("a", "an", "the", "and", "with", "of", "in", "like", "sound", "sounding"))


@dataclass(frozen=True)
class Pick:
    """A word of the table that was asked for, and how strongly (1 = plainly)."""

    word: Word
    intensity: float


@dataclass(frozen=True)
class Reading:
    """What a prompt asks for. `drawn` says that it held no known word, so the seed and the words' own letters chose."""

    picks: tuple[Pick, ...]
    drawn: bool
    tempo_bpm: float | None


def stem(token: str) -> str:
    """Cut a word's ending off, so that its forms meet: "distorted", "distortion" and "distort" are one."""
    changed = True
    while changed:
        changed = False
        for ending in _ENDINGS:
            if token.endswith("ss") or (ending == "s" and token.endswith("us")):
                break
            if token.endswith(ending) and len(token) - len(ending) >= (4 if ending == "e" else 3):
                token = token[: -len(ending)]
                if len(token) > 3 and token[-1] == token[-2] and token[-1] not in "aeious":
                    token = token[:-1]
                changed = True
                break
    return token


def tokens(text: str) -> list[str]:
    """Split text into plain lower-case words without accents; hyphens and underscores part words, apostrophes vanish.

    Whatever ends a thought (a comma, a full stop) stays as ",", so that an intensifier does not reach across it.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    plain = re.sub(r"['’`]", "", plain)
    return re.findall(r"\w+|,", re.sub(r"[_\-/–—]", " ", re.sub(r"[,.;:!?()|\n]+(?!\d)", " , ", plain)))


@lru_cache(maxsize=1)
def _heard() -> dict[tuple[str, ...], Word]:
    """Every form of the table by what it is heard as: stems, or the words themselves behind a "="."""
    return {_key(form): word for word in WORDS for form in word.forms}


def _key(form: str) -> tuple[str, ...]:
    return ("=", *tokens(form)) if form.startswith("=") else tuple(stem(t) for t in tokens(form))


def _word_at(words: list[str], at: int, length: int) -> Word | None:
    """The table's word that exactly `length` words from `at` on are a form of."""
    heard = words[at : at + length]
    if len(heard) < length:
        return None
    return _heard().get(("=", *heard)) or _heard().get(tuple(stem(t) for t in heard))


def _find(text: str) -> list[tuple[Word, float, bool]]:
    """The table's words in `text`, in order: (word, intensity, whether it is negated)."""
    words = tokens(text)
    found: list[tuple[Word, float, bool]] = []
    intensity, negated, patience = 1.0, False, 0
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST_FORM, len(words) - at), 0, -1):
            modifier = _INTENSITY.get(" ".join(words[at : at + length]))
            word = _word_at(words, at, length)
            follows = modifier is not None and _begins_form(words, at + length)
            if word is not None and not follows:
                found.append((word, intensity, negated))
                intensity, patience = 1.0, 0
                # "no reverb or echo" rules both out, "no reverb, dark" only the first.
                negated = negated and at + length < len(words) and words[at + length] in ("or", "nor")
                break
            if modifier is not None:
                intensity, patience = min(1.8, max(0.4, intensity * modifier)), 3
                break
        else:
            length = 1
            if words[at] in NEGATIONS:
                negated, patience = True, 3
            elif words[at] == ",":
                intensity, negated = 1.0, False
            elif words[at] not in ("or", "nor"):
                patience -= 1
                if patience <= 0:
                    intensity, negated = 1.0, False
        at += length
    return found


def _begins_form(words: list[str], at: int) -> bool:
    """Whether a word of the table follows, at once or after more intensifiers: "deep" in "deep hall" is only a
    measure."""
    while at < len(words) and words[at] in _INTENSITY and _word_at(words, at, 1) is None:
        at += 1
    return any(_word_at(words, at, length) for length in range(1, _LONGEST_FORM + 1))


def read_prompt(prompt: str, negative_prompt: str, seed: int) -> Reading:
    """Read what is asked for.

    Every word of the negative prompt, and every negated one of the prompt, is taken out. Where nothing known is left,
    two or three words are drawn by the seed, weighted by the letters of what was written, so that the same strange
    words lean the same way.
    """
    ruled_out = {word.name for word, _, _ in _find(negative_prompt)}
    asked: dict[str, Pick] = {}
    for word, intensity, negated in _find(prompt):
        if negated:
            ruled_out.add(word.name)
        elif word.name not in asked or intensity > asked[word.name].intensity:
            asked[word.name] = Pick(word, intensity)
    picks = tuple(pick for name, pick in asked.items() if name not in ruled_out)[:MAX_PICKS]
    tempo = re.search(r"(\d{2,3}(?:\.\d+)?)\s*bpm", prompt.lower())
    bpm = float(tempo.group(1)) if tempo else None
    bpm = bpm if bpm is not None and 30 <= bpm <= 300 else None
    if picks:
        return Reading(picks, drawn=False, tempo_bpm=bpm)
    return Reading(_draw(prompt, ruled_out, seed), drawn=True, tempo_bpm=bpm)


def _draw(prompt: str, ruled_out: set[str], seed: int) -> tuple[Pick, ...]:
    pool = [word for word in WORDS if word.name not in ruled_out] or list(WORDS)
    letters = " ".join(t for t in tokens(prompt) if t not in _FILLERS and t != ",")
    leaning = np.array(
        [int.from_bytes(hashlib.sha256(f"{letters}/{word.name}".encode()).digest()[:4], "big") / 2**32 for word in pool]
    )
    weights = 0.02 + leaning**6
    rng = np.random.default_rng((seed, 0x1D2A))
    chosen: list[Pick] = []
    for _ in range(int(rng.integers(2, 4))):
        families = {pick.word.family for pick in chosen}
        left = np.array([0.0 if w.family in families else x for w, x in zip(pool, weights, strict=True)])
        if left.sum() <= 0:
            break
        chosen.append(Pick(pool[int(rng.choice(len(pool), p=left / left.sum()))], 1.0))
    return tuple(chosen)
