"""One side of a case, ready to run: ours, or the predecessors' in one of its forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.trace import clock
from imdm.network.network import Network


@dataclass
class Side:
    """A piece of work that can be repeated.

    Attributes:
        run: does it once, and returns its seconds, measured or estimated from a part.
        network: that generates or is trained; None for work without one.
        tokens: that one run makes or trains on.
        teacher: frozen network of a distillation.
        heads: positions whose logits the result needs, of each network; None for a training: its masked positions.
        calls: network calls of one run, where only a part is run; None: as traced.
        note: how much was run.
        times: how often a run does it.
    """

    run: Callable[[], float]
    tokens: int
    network: Network | None = None
    teacher: Network | None = None
    heads: int | None = None
    calls: float | None = None
    note: str = "all of it"
    times: int = 1

    @property
    def networks(self) -> list[Network]:
        return [network for network in (self.network, self.teacher) if network is not None]


def timed(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """`work` as something that returns the seconds it took, on average where it is done several times without waiting between."""

    def run() -> float:
        start = clock()
        for _ in range(times):
            work()
        return (clock() - start) / times

    return run
