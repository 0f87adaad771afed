"""The modules of launch/ can be imported as its commands see them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "launch"))
