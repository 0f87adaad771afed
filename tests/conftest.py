"""What tests of several rooms use."""

import pytest
import torch
from recorded import Recorded


def pytest_configure(config: pytest.Config) -> None:
    """One thread in each of pytest-xdist's processes: threads that spin take others' cores."""
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a CUDA device is skipped where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def graphs() -> Recorded:
    """What takes CUDA graphs' place where there is no GPU."""
    return Recorded()
