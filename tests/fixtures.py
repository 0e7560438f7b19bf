"""Real text and vocabularies that aren't part of the project: folder data of IMDM_FIXTURES, by default ../shared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FIXTURES = Path(os.environ.get("IMDM_FIXTURES", Path(__file__).resolve().parents[2] / "shared")) / "data"
TRAINING, HELD_OUT = "training-monolingual.tokenized.shuffled/news.en-", "heldout-monolingual.tokenized.shuffled/news.en.heldout-"


def fixture(name: str) -> Path:
    if not (FIXTURES / name).exists():
        pytest.skip(f"{FIXTURES / name} is absent; set IMDM_FIXTURES")
    return FIXTURES / name
