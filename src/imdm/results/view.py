"""A table as a reader sees it: the one form from which Markdown, LaTeX, HTML and the terminal's text are written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from imdm.errors import UserError

NONE = "–"
DAGGER = "†"


@dataclass(frozen=True)
class Cell:
    """Text as shown, the number it sorts by, and how it is marked: `win`, `lose`, `tie`, `paper`, `disagree` or nothing."""

    text: str
    sort: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class View:
    """A table.

    Attributes:
        name: the stem of its files.
        columns: their heads.
        body: lines of cells. The first cell of each names its group.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    body: list[list[Cell]]

    @property
    def grouped(self) -> bool:
        """Whether several lines have the same name."""
        return len({line[0].text for line in self.body}) < len(self.body)

    @property
    def words(self) -> list[int]:
        """The columns that hold words, which stand at the left, and no numbers."""
        columns = ([line[place] for line in self.body if line[place].text != NONE] for place in range(len(self.columns)))
        return [place for place, cells in enumerate(columns) if cells and all(cell.sort is None for cell in cells)]


def write_view(path: str | Path, view: View) -> None:
    """Write a view as JSON."""
    Path(path).write_text(json.dumps(asdict(view), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_view(path: str | Path) -> View:
    """Read what `write_view` wrote.

    Raises:
        UserError: the file is missing or no view.
    """
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
        return View(**tree | {"body": [[Cell(**cell) for cell in line] for line in tree["body"]]})
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `snakemake {Path(path).with_suffix('.csv')}` for it.") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path} is no table of this project; run `snakemake {Path(path).with_suffix('.csv')}` again.") from None
