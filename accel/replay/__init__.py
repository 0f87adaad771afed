"""Replay: the newest steps, each frame stored once, and draws from them.

Knows rollouts and frame stacks; knows no environment, network, algorithm or configuration. Start
with `replay.py` (what a learner calls), then `ring.py` (where the steps lie), `window.py` (which of
them may be drawn) and `transitions.py` (how they are read; `sequences.py` and `episodes.py` are
other ways).
"""

from accel.replay.episodes import EpisodeReader
from accel.replay.replay import Draw, Replay
from accel.replay.ring import FrameRing, bytes_needed, overlap, ring_fields, ring_rows
from accel.replay.sequences import SequenceReader, Sequences
from accel.replay.transitions import TransitionReader, Transitions

__all__ = [
    "Draw",
    "EpisodeReader",
    "FrameRing",
    "Replay",
    "SequenceReader",
    "Sequences",
    "TransitionReader",
    "Transitions",
    "bytes_needed",
    "overlap",
    "ring_fields",
    "ring_rows",
]
