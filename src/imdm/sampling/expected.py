"""Expected work of the sampler, which runs the network only in steps that unmask something.

N equal steps put each of n masked positions into a step that is uniform on 0..N-1, independently. So a row needs
N (1 - (1 - 1/N)^n) network calls on average, and its masks are embedded once in each of them while they last.
"""

from __future__ import annotations

from collections.abc import Callable


def expected_calls(steps: int, masked: int) -> float:
    """Network calls of a row that starts with `masked` positions: the expected number of distinct steps."""
    return steps * (1 - (1 - 1 / steps) ** masked)


def expected_embedded(steps: int, masked: int) -> float:
    """Mask states embedded over all calls of a row.

    A position is embedded in its own step, and in each step before it that is some other position's.
    """
    return masked * (1 + (steps - 1) / 2 * (1 - (1 - 1 / steps) ** max(0, masked - 1)))


def perturbed(expectation: Callable[[int, int], float], steps: int, length: int) -> float:
    """Mean of `expectation(steps, n)` for a block masked at t ~ U(0, 1): n is then uniform on 0..L."""
    return sum(expectation(steps, n) for n in range(length + 1)) / (length + 1)


def expected_work(steps: int, masked: int | None, length: int) -> tuple[float, float, float]:
    """Calls, embedded mask states and drawn tokens of a row that starts with `masked` masks; None: with as many as t ~ U(0, 1) masks."""
    if masked is None:
        return perturbed(expected_calls, steps, length), perturbed(expected_embedded, steps, length), length / 2
    return expected_calls(steps, masked), expected_embedded(steps, masked), masked
