"""No reader of a file ends in a traceback, hangs, or takes over what it can know to be damaged.

A failure writes its file to tests/fuzz/found; commit it with the cure. What was tried is shown as a table at the end:
`python -m pytest tests/fuzz -m "slow or not slow"`.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fuzz.damage import TRIED
from fuzz.readers import READERS, Reader
from imdm.errors import UserError
from imdm.params import load_params
from script import MICRO

FOUND = Path(__file__).with_name("found")
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
SECONDS = float(os.environ.get("IMDM_FUZZ_SECONDS", "10"))  # of a reader, in `make check`


class Stuck(BaseException):
    """No reader's `except Exception` takes it for damage."""


def stuck(*_: object) -> None:
    raise Stuck("the reader has not come to an end in two minutes")


def outcome(name: str, reader: Reader, path: Path, content: bytes, as_it_was: object) -> None:
    """Read a file of this content, and count how it went."""
    path.write_bytes(content)
    signal.signal(signal.SIGALRM, stuck)
    signal.alarm(120)
    try:
        value = reader.read(path)
    except UserError as error:
        text = str(error)
        assert "\n" not in text and len(text) < 1500 and text.endswith((".", "?", ")")), text
        TRIED[name]["refused"] += 1
    except BaseException:
        TRIED[name]["traceback or stuck"] += 1
        FOUND.mkdir(exist_ok=True)
        (FOUND / f"{name.replace(' ', '_')}@new").write_bytes(content)
        raise
    else:
        same = repr(value) == as_it_was
        TRIED[name]["read as before" if same else "silent" if reader.sealed else "read: sound, with other values"] += 1
        assert same or not reader.sealed, "damage was not noticed"
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("seconds", [0, pytest.param(SECONDS, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused(name, seconds, tmp_path):
    """The same twenty files in each `make test`; other ones in `make check`."""
    reader = READERS[name]
    path = reader.make(tmp_path)
    content, as_it_was, end = path.read_bytes(), repr(reader.read(path)), time.monotonic() + seconds

    @settings(max_examples=20, deadline=None, suppress_health_check=CHECKS, database=None, phases=[Phase.generate], derandomize=not seconds)
    @given(st.data())
    def damage(data: st.DataObject) -> None:
        outcome(name, reader, path, reader.damage(data, content), as_it_was)

    damage()
    while time.monotonic() < end:
        damage()


@pytest.mark.parametrize("file", sorted(FOUND.glob("*@*")), ids=lambda file: file.name)
def test_found_files_are_refused(file, tmp_path):
    """Files that once ended in a traceback, hung or were taken over, by READER@WHAT."""
    name = next(name for name in READERS if name.replace(" ", "_") == file.name.partition("@")[0])
    path = READERS[name].make(tmp_path)
    shutil.copy(file, path)
    with pytest.raises(UserError):
        READERS[name].read(path)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["noise_dim", "run", "sampling.steps", "runtime", "variants.imdm", "corpus.path", "x", ""]), st.text(max_size=30))
def test_any_value_of_set(key, value):
    try:
        load_params(MICRO, [f"{key}={value}"])
        TRIED["--set"]["read: sound, with other values"] += 1
    except UserError as error:
        assert "\n" not in str(error)
        TRIED["--set"]["refused"] += 1
