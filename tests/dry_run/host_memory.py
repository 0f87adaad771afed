"""Which memory of the host a GPU may copy to and from by itself."""

from __future__ import annotations

from torch import Tensor
from torch.storage import UntypedStorage


class HostMemory:
    """What was registered by address (cudaHostRegister) and what torch allocated locked."""

    def __init__(self) -> None:
        self._registered: dict[int, int] = {}  # bytes, by address
        self._locked: dict[int, UntypedStorage] = {}  # kept, so that no other takes their place

    def register(self, address: int, num_bytes: int) -> int:
        """Return the error of cudaHostRegister: 0, or 712 if it is registered already."""
        if address in self._registered:
            return 712
        self._registered[address] = num_bytes
        return 0

    def unregister(self, address: int) -> int:
        """Return the error of cudaHostUnregister: 0, or 713 if it is not registered."""
        return 0 if self._registered.pop(address, None) is not None else 713

    def lock(self, tensor: Tensor) -> Tensor:
        """Remember that `tensor`'s memory is locked; return it."""
        storage = tensor.untyped_storage()
        self._locked[storage.data_ptr()] = storage
        return tensor

    def is_locked(self, tensor: Tensor) -> bool:
        """Whether all of `tensor`'s memory is."""
        if tensor.untyped_storage().data_ptr() in self._locked:
            return True
        first = tensor.data_ptr()
        last = first + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride()))
        last += tensor.element_size()
        return any(start <= first and last <= start + n for start, n in self._registered.items())

    def all_given_up(self) -> bool:
        """Whether whatever was registered is unregistered."""
        return not self._registered
