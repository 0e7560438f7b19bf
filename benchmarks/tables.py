"""Results as Markdown tables, and their place on docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.floor import floor_seconds
from benchmarks.measure import ratios
from imdm.results.view import NONE, Cell, View, markdown

START, END = "<!-- tables: python -m benchmarks --page -->", "<!-- end of the tables -->"


def write_page(page: Path, results: list[dict[str, Any]]) -> None:
    """Put the tables of some results where the page has them, and leave its words alone.

    Raises:
        ValueError: the page has no such place.
    """
    text = page.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise ValueError(f"{page} lacks the lines {START} and {END} between which the tables go")
    before, after = text.split(START)[0], text.split(END)[1]
    page.write_text("\n".join([f"{before}{START}\n", *map(sections, results), f"{END}{after}"]), encoding="utf-8")


def sections(result: dict[str, Any]) -> str:
    """Machine and tables of one run."""
    made = [_line(result)]
    if result["cases"]:
        made += [markdown(view(result)) for view in (_comparison, _floor)]
    if {"noise", "pretrain-noise"} <= result["cases"].keys():
        made.append(_noise(result))
    if result["text"]:
        made.append(markdown(_text(result)))
    if result["startup"]:
        made.append(markdown(_startup(result)))
    return "\n".join(made)


def _line(result: dict[str, Any]) -> str:
    about = result["machine"]
    where = about["gpu"] or about["processor"]
    rates = f"{about['flops_per_second'] / 1e9:,.0f} GFLOP/s and {about['bytes_per_second'] / 1e9:,.1f} GB/s measured"
    cores = f"{about['cores']} cores, {about['threads']} threads, load {about['load']} before"
    versions = f"torch {about['torch']}, Python {about['python']}, {about['precision']}"
    return f"## Scale `{result['scale']}`\n\n`{result['command']}` on {where} ({cores}); {versions}; {rates}.\n"


def _comparison(result: dict[str, Any]) -> View:
    rows = []
    for case in result["cases"].values():
        ours = next(iter(case["sides"].values()))
        for label, side in case["sides"].items():
            seconds = median(side["seconds"])
            middle, low, high = ratios(ours["seconds"], side["seconds"])
            ratio = NONE if side is ours else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
            calls = f"{side['calls']:,.0f}" if side["calls"] else NONE
            memory = [f"{value:,.0f}" for value in (side["peak_mib"], side["peak_mib"] - side["loaded_mib"])]
            words = [case["title"], label, _seconds(seconds), ratio, f"{side['tokens'] / seconds:,.0f}", calls, *memory, side["note"]]
            rows.append([Cell(word) for word in words])
    settings = "; ".join(f"{case['title']}: {case['setting']}" for case in result["cases"].values())
    caption = (
        f"Median of {result['rounds']} rounds in turn; ratio: of a round's seconds to ours, median [least, greatest]. Memory: most at "
        f"once in the process, and how much of it after weights and inputs. A side of which a part was run is multiplied up. {settings}."
    )
    columns = ["Case", "Side", "Seconds", "Ratio", "Tokens/s", "Network calls", "Peak MiB", "After weights", "Run"]
    return View("comparison", "Ours and the predecessors' algorithm", caption, columns, rows)


def _floor(result: dict[str, Any]) -> View:
    about, rows = result["machine"], []
    sheet = about.get("data_sheet_flops")
    for case in result["cases"].values():
        ours = next(iter(case["sides"].values()))
        if "phases" not in ours:
            continue
        seconds = median(ours["seconds"])
        least = floor_seconds(ours["phases"], about["flops_per_second"], about["bytes_per_second"])
        flops = sum(part[0] for part in ours["phases"])
        share = ours["body_seconds"] / ours["traced_seconds"]
        words = [case["title"], _seconds(seconds), _seconds(least), f"{seconds / least:.2f}", f"{share:.0%}", f"{flops / 1e9:,.1f}"]
        words += [f"{flops / seconds / 1e9:,.1f}", f"{flops / seconds / about['flops_per_second']:.0%}"]
        rows.append([Cell(word) for word in [*words, *([f"{flops / seconds / sheet:.0%}"] if sheet else [])]])
    caption = (
        "Floor: counted operations and bytes at the rates above. Body: share of the transformer blocks in a run with clocks in it. "
        "Of the peak: sustained over measured rate."
    )
    columns = ["Case", "Ours, s", "Floor, s", "Ours / floor", "Body", "GFLOP", "GFLOP/s", "Of the peak", *(["MFU"] if sheet else [])]
    return View("floor", "Ours and the floor", caption + " MFU: over the data sheet's rate." * bool(sheet), columns, rows)


def _noise(result: dict[str, Any]) -> str:
    shares = []
    for label in ("ours", "peers"):
        alone, step = (median(result["cases"][name]["sides"][label]["seconds"]) for name in ("noise", "pretrain-noise"))
        shares.append(f"{alone / step:.1%} ({label})")
    return f"Noise and its MLP as a share of a pretraining step with infinite masks: {', '.join(shares)}.\n"


def _text(result: dict[str, Any]) -> View:
    rows = []
    for row in result["text"]:
        ratio = f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        words = [row["name"], _seconds(row["ours_s"]), _seconds(row["peers_s"]), ratio, f"{row['tokens'] / row['ours_s']:,.0f}"]
        words.append(f"{row['flops'] / row['ours_s'] / 1e9:,.1f}" if "flops" in row else NONE)
        rows.append([Cell(word) for word in words])
    clock = "Seconds of the GPU" if result["machine"]["gpu"] else "CPU seconds of one thread"
    caption = f"{clock}, median of {result['rounds']} rounds in turn; packing of Python's documentation with a trained "
    caption += "vocabulary, from an empty memo and when all pieces are known; Gen-PPL of four step counts by a random GPT-2."
    return View("text", "Packing and scoring", caption, ["Case", "Ours, s", "Peers, s", "Ratio", "Tokens/s", "GFLOP/s"], rows)


def _startup(result: dict[str, Any]) -> View:
    rows = []
    for row in result["startup"]:
        seconds = row.get("seconds")
        words = [f"{median(seconds):.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}"] if seconds else [NONE, f"skipped: {row['skipped']}"]
        rows.append([Cell(f"`{row['name']}`"), *map(Cell, words)])
    return View("startup", "Start-up", "A process each; the interpreter's own start is included.", ["Command", "Seconds", "Range"], rows)


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
