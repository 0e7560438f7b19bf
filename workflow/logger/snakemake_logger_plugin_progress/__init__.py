"""The logger of the default profile: what is done, what runs, and about how long the rest takes.

On a terminal a live view; elsewhere, as in a log file, one line a finished job. Errors and warnings are always shown,
and of a failed job what it said last. `make run` installs it with the library.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

_LAST_LINES = 20  # of a failed job's log
# What Snakemake says where no job runs begins so.
_ANSWERS = ("Nothing to be done", "Unlock", "Report created", "Removing incomplete", "Congratulations")


def duration(seconds: float) -> str:
    """Seconds in words: 8 s, 3 min 05 s, 2 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Remaining:
    """Estimates the time that is left from the jobs of each rule that have ended."""

    def __init__(self, counts: dict[str, int]):
        self.counts, self.seconds, self.start = counts, defaultdict(list), time.monotonic()

    def add(self, rule: str, seconds: float) -> None:
        """Note that a job has ended."""
        self.seconds[rule].append(seconds)

    def estimate(self) -> float | None:
        """Seconds until the last job ends, at the pace so far; None before a tenth of the jobs has ended."""
        ended = [seconds for of_rule in self.seconds.values() for seconds in of_rule]
        if len(ended) * 10 < sum(self.counts.values()):
            return None
        mean = {rule: sum(of_rule) / len(of_rule) for rule, of_rule in self.seconds.items()}
        typical = median(mean.values())  # of a rule none of whose jobs has ended; a long training says nothing of it
        left = sum((count - len(self.seconds.get(rule, ()))) * mean.get(rule, typical) for rule, count in self.counts.items())
        return left * (time.monotonic() - self.start) / sum(ended)


class LogHandler(LogHandlerBase):
    """Shows a workflow's jobs on stderr."""

    writes_to_stream, writes_to_file = True, False
    has_filter = has_formatter = True  # so that Snakemake adds none of its own
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.console = Console(stderr=True)
        self.names: dict[int, tuple[str, str]] = {}  # rule, and what the job makes
        self.started: dict[int, float] = {}
        self.remaining = Remaining({})
        self.done = self.total = 0
        self.shown: dict[int, Any] = {}
        columns = (BarColumn(24), TextColumn("{task.description}"), TimeElapsedColumn())
        self.live = Progress(*columns, console=self.console, transient=True) if self.console.is_terminal else None
        about = self.common_settings
        self.words = DefaultFormatter(about.quiet, about.show_failed_logs)
        self.dry = about.dryrun and DefaultFilter(about.quiet, about.debug_dag, about.verbose, about.dryrun, about.printshellcmds)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in an event of the workflow."""
        event = getattr(record, "event", None)
        if self.dry:  # as Snakemake shows it
            if self.dry.filter(record):
                self.show(self.words.format(record))
        elif event == LogEvent.JOB_ERROR:
            self.fail(record)
        elif record.levelno >= logging.WARNING:
            text = self.words.format(record)
            if "CalledProcessError" not in text:  # a job's exit code, of which the job's own error tells more
                self.show(text)
        elif event == LogEvent.RUN_INFO:
            self.begin({rule: count for rule, count in record.stats.items() if rule != "total"})
        elif event == LogEvent.JOB_INFO:
            first = Path(next(iter(record.output), record.rule_name))
            made = first.with_suffix("") if first.parent.name in ("tables", "figures") or first.suffix == ".html" else first.parent
            self.names[record.jobid] = record.rule_name, "/".join(made.parts[2:])
            if self.live and record.jobid in self.shown:  # the event comes after that of its start
                self.live.update(self.shown[record.jobid], description=" ".join(self.names[record.jobid]))
        elif event == LogEvent.JOB_STARTED:
            for job in record.jobs:
                self.start(job)
        elif event == LogEvent.JOB_FINISHED:
            self.finish(record.job_id)
        elif event is None and record.getMessage().startswith(_ANSWERS):
            self.show(record.getMessage())

    def begin(self, counts: dict[str, int]) -> None:
        """Learn which jobs there are."""
        self.remaining, self.total = Remaining(counts), sum(counts.values())
        self.show(f"{self.total} jobs: {', '.join(f'{count} {rule}' for rule, count in counts.items())}")
        if self.live:
            self.live.start()
            self.shown[-1] = self.live.add_task("", total=self.total)

    def start(self, job: int) -> None:
        """A job begins."""
        self.started[job] = time.monotonic()
        if self.live:
            self.shown[job] = self.live.add_task(" ".join(self.names.get(job, ("", ""))), total=None)

    def finish(self, job: int) -> None:
        """A job has ended well."""
        rule, made = self.names.get(job, ("", ""))
        seconds = time.monotonic() - self.started.get(job, time.monotonic())
        self.remaining.add(rule, seconds)
        self.done += 1
        left = self.remaining.estimate()
        rest = f", about {duration(left)} left" if left and self.done < self.total else ""
        self.show(f"[{self.done:3d} of {self.total}] {rule} {made}: {duration(seconds)}{rest}")
        if self.live:
            if job in self.shown:
                self.live.remove_task(self.shown.pop(job))
            self.live.update(self.shown[-1], completed=self.done, description=f"{self.done} of {self.total}{rest}")

    def fail(self, record: logging.LogRecord) -> None:
        """A job has ended with an error: its name, its log, and what it said last, or why it could not be submitted."""
        rule, made = self.names.get(record.jobid, (record.rule_name, ""))
        logs = [Path(name) for name in record.log if Path(name).is_file()]
        said = [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]]
        said = said or str(record.rule_msg or "").splitlines()[:1]
        self.show("\n  ".join([f"FAILED: {rule} {made} ({', '.join(map(str, logs)) or 'no log'})", *said]))
        if self.live and record.jobid in self.shown:
            self.live.remove_task(self.shown.pop(record.jobid))

    def show(self, text: str) -> None:
        """Print a line, above the live view where there is one."""
        if text:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live view away."""
        if self.live:
            self.live.stop()
        super().close()
