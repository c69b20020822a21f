"""Decides when a file has come to rest, from looks at it: pure, with the time as an argument.

What is looked at, and what happens to a file that rests, is for the modules beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# a file that has been looking unfinished for so long is shown to people as a job that waits
VISIBLE_AFTER_SECONDS: Final = 2.0
LOOK_MIN_SECONDS: Final = 0.1
LOOK_MAX_SECONDS: Final = 1.0


@dataclass
class Settling:
    """One file's way to rest.

    It rests when the system said that its writer closed it, or when size and time were the same for `settle_seconds`.
    """

    settle_seconds: float
    mark: tuple[int, int]
    first_seen: float
    changed_at: float = field(init=False)
    closed: bool = False

    def __post_init__(self) -> None:
        self.changed_at = self.first_seen

    def saw(self, now: float, mark: tuple[int, int], *, closed: bool) -> None:
        """One more look: what the file's size and time are, and whether a close was told since the last one."""
        if mark != self.mark:
            self.mark = mark
            self.changed_at = now
            self.closed = False
        self.closed = self.closed or closed

    def rests(self, now: float) -> bool:
        return self.closed or self.quiet_seconds(now) >= self.settle_seconds

    def quiet_seconds(self, now: float) -> float:
        """For how long size and time have been the same."""
        return now - self.changed_at

    def is_overdue(self, now: float) -> bool:
        """Whether it has been coming for so long that people should see it waiting."""
        return now - self.first_seen >= VISIBLE_AFTER_SECONDS

    def next_look(self, now: float) -> float:
        """When to look again, if it was not taken at this look."""
        rest_at = self.changed_at + self.settle_seconds
        visible_at = self.first_seen + VISIBLE_AFTER_SECONDS
        soonest = min((at for at in (rest_at, visible_at) if at > now), default=now + self.settle_seconds)
        return min(max(soonest, now + LOOK_MIN_SECONDS), now + LOOK_MAX_SECONDS)
