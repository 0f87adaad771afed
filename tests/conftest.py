"""What tests of several rooms use."""

import pytest
from recorded import Recorded


@pytest.fixture
def graphs() -> Recorded:
    """What takes CUDA graphs' place where there is no GPU."""
    return Recorded()
