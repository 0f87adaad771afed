"""Matching saved tensors with a network's own."""

from __future__ import annotations

import torch

from accel.learning.partial import TensorMatch

SAVED = {"a": torch.ones(2), "b": torch.ones(3, 4), "gone": torch.ones(())}
OWN = {"a": torch.zeros(2), "b": torch.zeros(3, 5), "more": torch.zeros(7)}


def test_names_and_shapes_decide() -> None:
    match = TensorMatch.of(SAVED, OWN)
    assert match.kept == ["a"] and not match.is_whole
    assert match.new == ["b [3 x 5]", "more [7]"]
    assert match.dropped == ["b [3 x 4]", "gone []"]
    assert TensorMatch.of(SAVED, SAVED).is_whole


def test_the_rest_stays_the_networks_own() -> None:
    merged = TensorMatch.of(SAVED, OWN).merge(SAVED, OWN)
    assert list(merged) == list(OWN)
    assert merged["a"] is SAVED["a"] and merged["b"] is OWN["b"]
