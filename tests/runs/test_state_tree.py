from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.runs.checkpoint import load_checkpoint, save_checkpoint

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=40)
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(tree=_TREES)
def test_plain_values_come_back_as_they_were(
    tree: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tree") / "a.pt"
    save_checkpoint(path, {"tree": tree})
    loaded = load_checkpoint(path)["tree"]
    assert loaded == tree
    assert type(loaded) is type(tree)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint32", "uint64", "int64", "float16", "<f8"])
def test_arrays_come_back_as_tensors_of_the_same_values(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)[:, ::-1]
    save_checkpoint(tmp_path / "a.pt", {"array": array})
    loaded = load_checkpoint(tmp_path / "a.pt")["array"]
    assert isinstance(loaded, torch.Tensor)
    np.testing.assert_array_equal(loaded.numpy(), array)
    assert loaded.numpy().dtype == array.dtype


def test_generator_states_go_through_and_replay(tmp_path: Path) -> None:
    numpy_rng, torch_rng = np.random.default_rng(3), torch.Generator().manual_seed(3)
    numpy_rng.random(5)
    state = {"numpy": numpy_rng.bit_generator.state, "torch": torch_rng.get_state()}
    save_checkpoint(tmp_path / "a.pt", state)
    expected = numpy_rng.random(4), torch.rand(4, generator=torch_rng)
    loaded = load_checkpoint(tmp_path / "a.pt")
    numpy_rng.bit_generator.state = loaded["numpy"]
    torch_rng.set_state(loaded["torch"])
    np.testing.assert_array_equal(numpy_rng.random(4), expected[0])
    assert torch.equal(torch.rand(4, generator=torch_rng), expected[1])


def test_views_and_parameters_are_stored_without_what_surrounds_them(tmp_path: Path) -> None:
    huge = torch.zeros(1_000_000)
    parameter = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    save_checkpoint(tmp_path / "a.pt", {"view": huge[:4], "parameter": parameter})
    assert (tmp_path / "a.pt").stat().st_size < 10_000
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(loaded["view"], huge[:4])
    assert torch.equal(loaded["parameter"], parameter.detach())
    assert not loaded["parameter"].requires_grad


class _Color(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "bad", [object(), {1, 2}, _Color.RED, np.array(["a"]), np.array([None]), lambda: 0, 1j, 2**3000]
)
def test_other_values_are_refused_by_their_key_path(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(TypeError, match=r"state\['sampler'\]\['envs'\]\[1\]: "):
        save_checkpoint(tmp_path / "a.pt", {"sampler": {"envs": [0, bad]}})
    assert not list(tmp_path.iterdir())


def test_keys_that_are_not_strings_or_integers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"state\['a'\]: key \(1, 2\)"):
        save_checkpoint(tmp_path / "a.pt", {"a": {(1, 2): 3}})
