"""Lets tests import stage scripts and the graph; last on the path, since `tabulate` and others are also packages."""

import sys

from checkout import ROOT

sys.path += [str(ROOT / "stages"), str(ROOT / "workflow")]

import graph  # noqa: E402

import forks  # noqa: E402

graph.snakemake = forks.snakemake  # it asks for dry runs alone, and of these there are many
