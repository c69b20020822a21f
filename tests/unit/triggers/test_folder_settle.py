"""A file is looked at until it has come to rest: at once where its writer closed it, else when nothing changed for a while."""

from __future__ import annotations

import pytest

from bridge.triggers.folder_settle import LOOK_MAX_SECONDS, LOOK_MIN_SECONDS, VISIBLE_AFTER_SECONDS, Settling


def test_a_closed_file_rests_at_once() -> None:
    settling = Settling(0.5, (10, 1), first_seen=100.0)
    assert not settling.rests(100.1)
    settling.saw(100.1, (10, 1), closed=True)
    assert settling.rests(100.1)


def test_a_file_that_goes_on_after_a_close_does_not_rest() -> None:
    settling = Settling(0.5, (10, 1), first_seen=100.0)
    settling.saw(100.1, (10, 1), closed=True)
    settling.saw(100.2, (20, 2), closed=False)
    assert not settling.rests(100.2)
    assert settling.rests(100.7)


def test_without_a_close_it_rests_when_nothing_changed_for_the_time() -> None:
    settling = Settling(0.5, (10, 1), first_seen=100.0)
    for step in range(1, 30):
        settling.saw(100.0 + step * 0.4, (10 + step, step), closed=False)
        assert not settling.rests(100.0 + step * 0.4)
    assert settling.rests(100.0 + 29 * 0.4 + 0.5)


def test_a_change_of_time_alone_counts() -> None:
    settling = Settling(0.5, (10, 1), first_seen=100.0)
    settling.saw(100.4, (10, 2), closed=False)
    assert not settling.rests(100.6)


def test_it_is_overdue_after_two_seconds_however_it_grows() -> None:
    settling = Settling(0.5, (10, 1), first_seen=100.0)
    settling.saw(101.9, (20, 2), closed=False)
    assert not settling.is_overdue(101.9)
    assert settling.is_overdue(100.0 + VISIBLE_AFTER_SECONDS)


@pytest.mark.parametrize("settle_seconds", [0.0, 0.5, 4.0, 3_600.0])
def test_the_next_look_is_neither_at_once_nor_far(settle_seconds: float) -> None:
    settling = Settling(settle_seconds, (10, 1), first_seen=100.0)
    for now in (100.0, 100.49, 101.99, 150.0):
        assert now + LOOK_MIN_SECONDS <= settling.next_look(now) <= now + LOOK_MAX_SECONDS
