"""What a run's meta.json files tell: whether a file is of this run, and the time and memory behind it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imdm.errors import UserError
from imdm.results.view import NONE, Cell, View
from imdm.stage.artifact import Meta, read_meta, sha256, verify

Metas = dict[Path, Meta]  # meta.json by the artifact's path: its folder, or a file where several artifacts share a folder


class Run:
    """The artifacts that lie in a run's folder, as their meta.json files describe them.

    Args:
        results: the folder results/RUN.
        data: dataset.json of the run's corpus.
        name: `run` of the parameters.
    """

    def __init__(self, results: Path, data: Path, name: str):
        self.results, self.data, self.name = results, data, name
        # Files share what they were made from: each is read once.
        self.meta, self.damaged = functools.cache(self._meta), functools.cache(self._damaged)
        self._traced = functools.cache(self._fault)

    def _meta(self, file: Path) -> Meta | None:
        """The meta.json of the artifact that a file belongs to, None where none names it."""
        meta = read_meta(file)
        return meta if meta and file.name in meta["outputs"] else None

    def fault(self, file: Path) -> str:
        """Why a file is not of this run as the run now is, in words that follow the file's name; empty where it is.

        The bytes of the file and of its inputs are checked, and behind these the digests that their stages recorded.
        """
        meta = self.meta(file) if file.is_file() else None
        if meta is None:
            return "has no meta.json that names it, so nothing tells its run" if file.is_file() else "does not exist"
        if self.damaged(file):
            return "is damaged or was edited"
        damaged = next((path for path in map(self._place, meta["inputs"]) if path and self.damaged(path)), None)
        return f"was made from {damaged}, which is damaged or was edited and must be deleted first" if damaged else self._traced(file)

    def _damaged(self, file: Path) -> bool:
        """Whether a file has not the bytes that its stage wrote."""
        try:
            verify(file)
        except UserError:
            return True
        return False

    def _fault(self, file: Path, direct: bool = True) -> str:
        """What the recorded digests tell; the inputs of what is shown must still be there, `direct`, those behind them need not."""
        meta = self.meta(file)
        if meta is None:
            return ""
        if (name := meta["parameters"].get("run", self.name)) != self.name:
            return f"was made for run {name!r} and not for {self.name!r}"
        for recorded, digest in meta["inputs"].items():
            path = self._place(recorded)
            if path is None:
                if direct and meta["stage"] != "merge":
                    return f"was made from {recorded}, which is not in this run"
                continue
            short, known = shorten(path, self.results), self.meta(path)
            if digest != (known["outputs"][path.name] if known else sha256(path)):
                return f"was made from another {short} than this run's"
            if fault := self._traced(path, direct=False):
                return f"was made from {short}, which {fault}"
        return ""

    def _place(self, recorded: str) -> Path | None:
        """Where an input of an artifact lies in this run, which may have been moved since; None where it lies in neither folder."""
        parts = Path(recorded).relative_to(Path(recorded).anchor).parts
        tails = [Path(*parts[start:]) for start in range(len(parts))]
        places = (folder / tail for tail in tails for folder in (self.results, self.data.parent))
        return next((place for place in places if place.is_file()), None)

    def history(self, files: Iterable[Path]) -> Metas:
        """meta.json of every artifact that the files were made by, each after those of its inputs."""
        metas: Metas = {}

        def add(file: Path) -> None:
            meta = self.meta(file)
            if meta is None:
                return
            shared = file.parent in (self.results / "tables", self.results / "figures")
            path = file.parent / min(meta["outputs"]) if shared else file.parent
            if path not in metas:
                for place in filter(None, map(self._place, meta["inputs"])):
                    add(place)
                metas[path] = meta

        for file in files:
            add(file)
        return metas


def shorten(path: Path, results: Path) -> str:
    """A path below its run's folder; that of the data is kept whole."""
    return (path.relative_to(results) if path.is_relative_to(results) else path).as_posix()


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 8.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def timings(metas: Metas, results: Path) -> View:
    """Time, peak memory and throughput of every artifact."""
    heads = {"host": "Peak memory (MiB)", "gpu": "GPU memory (MiB)"}
    memories, body = [kind for kind in heads if any(kind in meta["peak_memory_mib"] for meta in metas.values())], []
    for path, meta in metas.items():
        spent = Cell(duration(meta["seconds"]) + "*" * meta["resumed"], meta["seconds"])
        numbers = (*map(meta["peak_memory_mib"].get, memories), meta["metrics"].get("tokens_per_second"))
        cells = [Cell(f"{number:,.0f}", number) if number else Cell(NONE) for number in numbers]
        body.append([Cell(meta["stage"]), Cell(shorten(path, results)), spent, *cells])
    caption = "* went on after an interruption; the time is of the last part." * any(meta["resumed"] for meta in metas.values())
    columns = ["Stage", "Artifact", "Time", *(heads[kind] for kind in memories), "Tokens / s"]
    return View("timings", "Time and memory of every stage", caption, columns, body)


@dataclass(frozen=True)
class Settings:
    """The parameter files and `--set` values of a run, for the commands that make it again."""

    files: list[str]
    sets: list[str]

    def command(self, target: str | Path, again: bool = False) -> str:
        """What makes a target of the Snakefile; `again` a file that is there, since Snakemake goes by its time and not by its content."""
        files = [] if self.files == ["params.yaml"] else ["--configfile", *self.files]
        words = ["snakemake", "--cores", "2", *(["--force"] if again else []), str(target), *files]
        return shlex.join([*words, *(["--config", *self.sets] if self.sets else [])])
