"""A test kit for programs that publish events or read what is made of them: no servers, no clock, no randomness.

`RecordingProducer` stands in for `Producer`; `given(events, now=…)` says which rows, keys and documents events lead to,
by the same independent fold that `tailrace verify` compares the stores with.
"""

from tailrace.testing.recording import RecordingProducer
from tailrace.testing.state import State, given
from tailrace.verification.fold_caches import Expected
from tailrace.verification.fold_log import OneOf

__all__ = ["Expected", "OneOf", "RecordingProducer", "State", "given"]
