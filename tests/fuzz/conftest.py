"""Counts what the readers were given, and shows it."""

from __future__ import annotations

from collections import Counter

from fuzz.damage import TRIED

COLUMNS = ("refused", "read as before", "read: sound, with other values", "silent", "traceback or stuck")


def pytest_terminal_summary(terminalreporter) -> None:
    if TRIED:
        total = sum(TRIED.values(), Counter())
        lines = [("reader", "tried", *COLUMNS), *(_line(name, counts) for name, counts in TRIED.items()), _line("all", total)]
        terminalreporter.write_line("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _line(name: str, counts: Counter) -> tuple[str, ...]:
    return name, str(counts.total()), *(str(counts[column]) for column in COLUMNS)
