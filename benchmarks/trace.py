"""What a network is asked to do: calls, tokens through its body, masks embedded, time in its blocks."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from imdm.diffusion.states import is_masked
from imdm.network.network import Network


def clock() -> float:
    """Seconds, when all that was started is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass
class Counts:
    """Of one network.

    Attributes:
        calls: forward passes of the body.
        tokens: positions that went through it.
        masked: mask states that were embedded.
        body_seconds: time within the blocks, forward and backward.
    """

    calls: float = 0
    tokens: float = 0
    masked: float = 0
    body_seconds: float = 0.0

    def each(self, times: int) -> Counts:
        """Of one of so many equal pieces of work."""
        return Counts(*(value / times for value in astuple(self)))


class Trace:
    """Counts while it is open; the clocks slow the work, so it isn't timed meanwhile.

    The body's clocks hang on the embedding and on `hidden`, not on the blocks, which may be compiled.
    """

    def __init__(self, network: Network):
        self.network, self.counts, self.started = network, Counts(), 0.0

    def __enter__(self) -> Counts:
        embed, hidden = self.network.vocab_embed, self.network.hidden
        self.hooks = [embed.register_forward_pre_hook(self._embed), embed.register_forward_hook(self._enter)]

        def traced(*args: Any, **options: Any) -> Tensor:
            out = hidden(*args, **options)
            self._leave()
            if out.requires_grad:
                out.register_hook(self._start)
            return out

        self.network.hidden = traced
        return self.counts

    def __exit__(self, *_: Any) -> None:
        del self.network.hidden
        for hook in self.hooks:
            hook.remove()

    def _embed(self, module: Any, given: tuple[Any, ...]) -> None:
        self.counts.masked += int(is_masked(given[0], self.network.config.vocab_size).sum())

    def _enter(self, module: Any, given: tuple[Any, ...], out: Tensor) -> None:
        self.counts.calls += 1
        self.counts.tokens += out.shape[0] * out.shape[1]
        if out.requires_grad:
            out.register_hook(self._leave)
        self._start()

    def _start(self, *_: Any) -> None:
        self.started = clock()

    def _leave(self, *_: Any) -> None:
        self.counts.body_seconds += clock() - self.started
