"""All seeds of the {00, 11} task, side by side; an interrupted stage keeps the seeds that are done."""

from __future__ import annotations

import json
import os
from concurrent.futures import as_completed

from imdm.artifact import write_json
from imdm.job import Job
from imdm.processes import worker_processes
from imdm.synthetic.measure import seed_rows


def rows_of_seeds(job: Job) -> list[dict]:
    """Rows of all seeds, in the order of `synthetic.seeds`, each computed by one of `synthetic.workers` processes."""
    settings, folder = job.params.synthetic, job.dir / ".seeds"
    folder.mkdir(exist_ok=True)
    files = {seed: folder / f"{seed}.json" for seed in settings.seeds}
    missing = [seed for seed, file in files.items() if not file.exists()]
    with worker_processes(settings.workers) as pool, job.progress(len(missing), "seed") as bar:
        running = {pool.submit(seed_rows, settings, seed): files[seed] for seed in missing}
        for future in as_completed(running):
            unfinished = running[future].with_suffix(".tmp")
            write_json(unfinished, future.result())
            os.replace(unfinished, running[future])
            bar.update()
    return [row for file in files.values() for row in json.loads(file.read_text(encoding="utf-8"))]
