"""The offline transform engine: a prompt's words become effects on a clip, with nothing to sign up for.

What the package offers is `transform`; how takes are fitted to their clip is left to `bridge.audio.conform`.
"""

from __future__ import annotations

from bridge.audio.dsp.chain import Transformed, transform

__all__ = ["Transformed", "transform"]
