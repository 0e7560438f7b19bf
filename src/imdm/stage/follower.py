"""The other processes of a training on several devices: they write nothing, and begin after their first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.stage.output import AlreadyMade, Output, launch

_PATIENCE = 30  # seconds that they wait for a sign of the first


class Follower:
    """The same place as the first process's `Output`, whose arguments it has.

    It waits with the first process for another training that writes the same output.

    Raises:
        UserError: there is no sign of the first process for half a minute, or it makes something else.
        AlreadyMade: another training has finished the output.
    """

    def __init__(self, out: str | Path, stage: str, fingerprint: str, *more: Any):
        self.place = Output(out, stage, fingerprint, *more)
        self.partial, self.fingerprint, self.resumed = self.place.partial, fingerprint, True

    def __enter__(self) -> Follower:
        deadline = time.monotonic() + _PATIENCE
        while (mark := self.place.mark() or {}).get("launch") != launch():
            if self.partial.exists():
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                if self.place.made():
                    raise AlreadyMade
                raise UserError(f"{self.partial} was not begun by the first process of this training; look at its messages.")
            time.sleep(0.1)
        if mark["fingerprint"] != self.fingerprint:
            raise UserError(f"{self.partial} is made by a first process with other parameters or inputs; start all with the same words.")
        return self

    def __exit__(self, *_: Any) -> None:
        pass
