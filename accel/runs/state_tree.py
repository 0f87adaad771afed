"""Turning a state dict into what a checkpoint can hold safely, and back.

Checkpoints are read with `weights_only=True`, so that opening somebody's file cannot run code;
hence only tensors and plain values go in, and anything else is refused at saving, not at loading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_BYTES = "__bytes__"  # bytes travel as uint8 tensors: the safe reader does not know empty bytes
_MAX_INT_BITS = 2000  # longer integers use a pickle code that the safe reader does not know


def to_storable(value: Any, key_path: str = "state") -> Any:
    """Rebuild `value` with tensors detached on the CPU, numpy arrays and bytes as tensors.

    Raises TypeError, naming the key path, for anything that is not a tensor, array, dict (with str
    or int keys), list, tuple, str, bytes, bool, int, float or None.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return _compact(value)
    if isinstance(value, np.ndarray):
        return _from_array(value, key_path)
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, bytes | bytearray):
        return {_BYTES: torch.frombuffer(bytearray(value), dtype=torch.uint8) if value else None}
    if type(value) is int and value.bit_length() > _MAX_INT_BITS:
        raise TypeError(f"{key_path}: an integer of {value.bit_length()} bits cannot be stored")
    if value is None or type(value) in (bool, int, float, str):
        return value
    return _from_container(value, key_path)


def from_storable(value: Any) -> Any:
    """Undo what `to_storable` did to bytes; arrays stay tensors."""
    if isinstance(value, dict):
        if set(value) == {_BYTES}:
            data = value[_BYTES]
            return b"" if data is None else data.numpy().tobytes()
        return {key: from_storable(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(from_storable(item) for item in value)
    return value


def _from_container(value: Any, key_path: str) -> Any:
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{key_path}: key {key!r} is neither a string nor an integer")
        return {key: to_storable(item, f"{key_path}[{key!r}]") for key, item in value.items()}
    if type(value) in (list, tuple):
        items = (to_storable(item, f"{key_path}[{i}]") for i, item in enumerate(value))
        return type(value)(items)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    raise TypeError(
        f"{key_path}: a {kind} cannot be stored in a checkpoint; give tensors, arrays, numbers, "
        "strings, bytes, and dicts, lists or tuples of them"
    )


def _compact(tensor: Tensor) -> Tensor:
    """Detached, on the CPU, and without the rest of a larger storage that it may be a view of."""
    tensor = tensor.detach().cpu()
    is_part = tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
    return tensor.clone() if is_part else tensor


def _from_array(array: np.ndarray, key_path: str) -> Tensor:
    import torch

    try:
        return torch.from_numpy(array.copy())
    except (TypeError, ValueError) as error:  # strings, objects, foreign byte order
        raise TypeError(f"{key_path}: an array of dtype {array.dtype} cannot be stored") from error
