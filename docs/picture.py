"""Draws the picture that opens the README: one text, unmasked at several step counts side by side, as an SVG that moves.

As the README's, of captions (presets/sentences.yaml):
    python docs/picture.py --run results/sentences1 --data data/files-document-24/dataset.json --row 132
    teacher:1 imdm-gumbel/keyed:1 imdm-gumbel/keyed:2 teacher:24
"""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK, Pieces, Speller
from imdm.sampling.files import load_samples

WIDTH, FONT, LINE, CHARACTER = 880, 16, 26, 9.64  # pixels
WRITE, CYCLE = 5.0, 9.0  # seconds: until the last token is written, and until all begins again
_INK = "text {{ fill: {} }} .head {{ fill: {} }} rect {{ fill: {} }}"
STYLE = f"""text {{ font: {FONT}px ui-monospace, Menlo, Consolas, monospace }}
{_INK.format("#1f2937", "#6b7280", "#c7d2fe")}
@media (prefers-color-scheme: dark) {{ {_INK.format("#e5e7eb", "#9ca3af", "#4c5a8a")} }}"""


def main(argv: list[str] | None = None) -> None:
    """Read the samples and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="results/RUN")
    parser.add_argument("--data", required=True, help="its dataset.json")
    parser.add_argument("--row", type=int, default=0, help="which sample; all models draw it with the same seed")
    parser.add_argument("--out", type=Path, default=Path("docs/unmasking.svg"))
    parser.add_argument("shown", nargs="+", metavar="MODEL:STEPS")
    args = parser.parse_args(argv)
    data, blocks = Dataset.open(args.data), []
    speller = Speller.of(data)
    for shown in args.shown:
        model, _, steps = shown.rpartition(":")
        drawn = load_samples(args.run / "samples" / model / "samples.safetensors", data)
        tokens, at = (rows[int(steps)][args.row].tolist() for rows in (drawn.tokens, drawn.unmasked_at))
        blocks.append((f"{model}, {steps} step{'s' * (steps != '1')}", int(steps), speller.pieces(tokens, at)))
    args.out.write_text(svg(blocks), encoding="utf-8")


def svg(blocks: list[tuple[str, int, Pieces]]) -> str:
    """The picture of (head, number of steps, pieces) one below the other."""
    body, styles, y = [], [STYLE], 10
    for head, steps, pieces in blocks:
        y += LINE
        body.append(f'<text class="head" x="10" y="{y}">{escape(head)}</text>')
        y, x = y + LINE, 10.0
        for text, step in pieces:
            text = text.replace(BREAK, "").replace("\n", " ")
            width = len(text) * CHARACTER
            if x + width > WIDTH - 10:
                y, x, text = y + LINE, 10.0, text.lstrip()
                width = len(text) * CHARACTER
            share = 100 * WRITE * (step + 1) / steps / CYCLE
            name = f"s{steps}-{step}"
            space = CHARACTER * (len(text) - len(text.lstrip()))
            box = f'x="{x + space + 1:.1f}" y="{y - 14}" width="{max(width - space - 2, 0):.1f}" height="18" rx="3"'
            body.append(f'<rect class="{name}m" {box}/>')
            body.append(f'<text class="{name}" x="{x:.1f}" y="{y}" xml:space="preserve">{escape(text)}</text>')
            styles.append(
                f"@keyframes {name} {{ 0%, {share:.2f}% {{ opacity: 0 }} {share + 0.01:.2f}%, 100% {{ opacity: 1 }} }} "
                f"@keyframes {name}m {{ 0%, {share:.2f}% {{ opacity: 1 }} {share + 0.01:.2f}%, 100% {{ opacity: 0 }} }} "
                f".{name} {{ animation: {name} {CYCLE}s infinite }} .{name}m {{ animation: {name}m {CYCLE}s infinite }}"
            )
            x += width
        y += 8
    size = f'viewBox="0 0 {WIDTH} {y + 14}" width="{WIDTH}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', "<style>", *dict.fromkeys(styles), "</style>", *body, "</svg>"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
