"""The lives of a job and of a seed: every state, every way from one to the next.

A job:   queued > planning > copying > verifying > waiting > publishing > done
Rule: everything that says which state may follow which stands here.
"""

from collections.abc import Mapping
from enum import StrEnum


class JobKind(StrEnum):
    SYNC = "sync"
    VERIFY = "verify"
    ROLLBACK = "rollback"


class JobState(StrEnum):
    QUEUED = "queued"
    PLANNING = "planning"
    COPYING = "copying"
    VERIFYING = "verifying"
    WAITING = "waiting"
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        """Nothing follows."""
        return not JOB_WAYS[self]

    @property
    def at_work(self) -> bool:
        """It is queued or has begun, and has not come to an end, not even for the time being."""
        return self in WORKING

    @property
    def reads_seed(self) -> bool:
        """It needs the seed mounted, now or soon."""
        return self in READING


_J = JobState
_WRONG = frozenset({_J.FAILED, _J.CANCELLED})
_CUT = _WRONG | {_J.INTERRUPTED}

JOB_WAYS: Mapping[JobState, frozenset[JobState]] = {
    _J.QUEUED: _CUT | {_J.PLANNING, _J.VERIFYING, _J.PUBLISHING},
    _J.PLANNING: _CUT | {_J.COPYING, _J.VERIFYING, _J.WAITING, _J.DONE},
    _J.COPYING: _CUT | {_J.VERIFYING, _J.WAITING, _J.DONE},
    _J.VERIFYING: _CUT | {_J.PLANNING, _J.WAITING, _J.DONE},
    _J.WAITING: _CUT | {_J.PUBLISHING},
    _J.PUBLISHING: _WRONG | {_J.DONE},
    _J.INTERRUPTED: _WRONG | {_J.QUEUED},
    _J.DONE: frozenset(),
    _J.FAILED: frozenset(),
    _J.CANCELLED: frozenset(),
}
"""An older revision that was adopted goes from verifying back to planning: it is updated next. A rollback has
nothing to do before it publishes."""

READING = frozenset({_J.QUEUED, _J.PLANNING, _J.COPYING, _J.VERIFYING})
WORKING = READING | {_J.WAITING, _J.PUBLISHING}


class SeedState(StrEnum):
    MOUNTING = "mounting"
    SCANNING = "scanning"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"

    @property
    def busy(self) -> bool:
        """It is being looked at, or a job of it has not ended."""
        return self in BUSY


_S = SeedState

BUSY = frozenset({_S.MOUNTING, _S.SCANNING, _S.WORKING})

SEED_WAYS: Mapping[SeedState, frozenset[SeedState]] = {
    _S.MOUNTING: frozenset({_S.SCANNING, _S.WORKING, _S.FAILED, _S.GONE}),
    _S.SCANNING: frozenset({_S.WORKING, _S.DONE, _S.FAILED, _S.GONE}),
    _S.WORKING: frozenset({_S.DONE, _S.FAILED, _S.GONE, _S.MOUNTING}),
    _S.DONE: frozenset({_S.MOUNTING, _S.WORKING, _S.FAILED, _S.GONE}),
    _S.FAILED: frozenset({_S.MOUNTING, _S.WORKING, _S.DONE, _S.GONE}),
    _S.GONE: frozenset(),
}


def job_step(state: JobState, following: JobState) -> JobState:
    """The next state of a job; a step that the table does not have is a bug of ours."""
    if following is state or following in JOB_WAYS[state]:
        return following
    raise AssertionError(f"a job cannot go from {state} to {following}")


def seed_step(state: SeedState, following: SeedState) -> SeedState:
    """The next state of a seed; a step that the table does not have is a bug of ours."""
    if following is state or following in SEED_WAYS[state]:
        return following
    raise AssertionError(f"a seed cannot go from {state} to {following}")
