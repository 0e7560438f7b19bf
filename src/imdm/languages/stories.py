"""Short stories of two or three sentences in which names, pronouns, colours, objects and days agree."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from imdm.languages.language import places
from imdm.languages.templates import Slot, Templates


def _rows(text: str) -> list[tuple[str, ...]]:
    return [tuple(row.split()) for row in text.split(",")]


def _girls(names: str) -> list[tuple[str, ...]]:
    return [(name, "She", "she", "her", "her") for name in names.split()]


def _boys(names: str) -> list[tuple[str, ...]]:
    return [(name, "He", "he", "him", "his") for name in names.split()]


_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

# The values of each kind of slot: what they show by the number of the form.
_KINDS: dict[str, list[tuple[str, ...]]] = {
    "hero": _girls("Anna Bella Clara Dora Emma Fiona Greta Hanna Ida Julia Kira Laura Maria Nora Olga Paula")
    + _boys("Adam Boris Carl David Emil Felix Georg Hugo Igor Jonas Karl Leo Max Noah Otto Paul"),
    "friend": _girls("Rosa Sara Tina Ulla Vera Wilma Zoe Alma Berta Cora Dina Elsa")
    + _boys("Ralf Sam Tom Udo Viktor Willi Xaver Anton Bruno Ciro Dirk Ernst"),
    "day": [(day, _DAYS[(number + 1) % 7]) for number, day in enumerate(_DAYS)],
    "colour": _rows("red, blue, green, yellow, black, white, brown, grey, pink, purple, silver, golden"),
    "thing": _rows(
        "ball, book, box, bottle, kite, lamp, key, ring, drum, flute, mirror, basket, candle, pencil, watch, shell, stone, coin, doll, "
        "letter, map, cup, spoon, ribbon"
    ),
    "animal": _rows(
        "dog barked puppy, cat meowed kitten, duck quacked duckling, horse neighed foal, cow mooed calf, sheep bleated lamb, pig grunted "
        "piglet, lion roared cub, frog croaked tadpole, hen clucked chick, goose honked gosling, owl hooted owlet, goat cried kid, wolf "
        "howled whelp"
    ),
    "place": _rows(
        "park, garden, forest, village, street, market, valley, meadow, harbour, castle, tower, cave, barn, cellar, attic, yard"
    ),
    "food": _rows("bread, milk, cheese, apples, pears, plums, honey, soup, rice, beans, corn, fish, eggs, cake, nuts, berries"),
    "weather": _rows("rain umbrella, snow sledge, sun hat, wind scarf, frost coat, fog lantern, hail helmet, heat fan"),
    "job": _rows(
        "teacher school chalk, baker bakery oven, doctor hospital needle, farmer farm plough, judge court hammer, cook kitchen pan, "
        "pilot airport radio, sailor port rope, painter studio brush, barber salon comb, miner mine lamp, tailor shop thread"
    ),
}
# {kind} or {kind.form}; all places of a kind in a template show one value.
_TEMPLATES = (
    "{hero} found a {colour} {thing} in the {place} . {hero.1} gave the {colour} {thing} to {friend} . "
    "Now {friend} has the {colour} {thing} .",
    "On {day} {hero} saw a {colour} {animal} in the {place} . The {animal} {animal.1} at {hero.3} . "
    "On {day.1} {hero.2} brought {food} for the {colour} {animal} .",
    "There was {weather} on {day} , so {hero} took {hero.4} {colour} {weather.1} . "
    "{friend} asked for the {colour} {weather.1} , but {hero} kept it .",
    "{hero} is a {job} . {hero.1} works in the {job.1} with {hero.4} {job.2} . {friend} brings {hero.3} {food} .",
    "{hero} has a {colour} {animal} with a {animal.2} . {friend} likes the {animal.2} , but the {animal} {animal.1} at {friend.3} .",
    "{hero} lost {hero.4} {colour} {thing} in the {place} on {day} . {friend} looked for the {thing} with {hero} . "
    "On {day.1} {friend.2} found it , and {hero} thanked {friend.3} .",
)
_PLACE = re.compile(r"\{(\w+)(?:\.(\d))?\}")


def stories(seq_len: int) -> Templates:
    """The language of stories. Raises ValueError: L is too short for the longest."""
    texts = [template.split() for template in _TEMPLATES]
    places(max(map(len, texts)), seq_len)
    fixed = {word for text in texts for word in text if not _PLACE.fullmatch(word)}
    words = sorted(fixed | {word for rows in _KINDS.values() for row in rows for word in row})
    number = {word: index for index, word in enumerate(words)}
    return Templates(words, [_slots(text, number) for text in texts], seq_len)


def _slots(text: list[str], number: dict[str, int]) -> list[Slot]:
    """The slots of a template; the words that are always there are one with a single value."""
    tied: dict[str, list[tuple[int, int]]] = defaultdict(list)  # by kind, position and form
    fixed = {}
    for position, word in enumerate(text, 1):
        if match := _PLACE.fullmatch(word):
            tied[match[1]].append((position, int(match[2] or 0)))
        else:
            fixed[position] = number[word]
    slots = [Slot(np.array([*fixed]), np.array([[*fixed.values()]]))]
    for kind, shown in tied.items():
        tokens = [[number[row[form]] for _, form in shown] for row in _KINDS[kind]]
        slots.append(Slot(np.array([at for at, _ in shown]), np.array(tokens)))
    return slots
