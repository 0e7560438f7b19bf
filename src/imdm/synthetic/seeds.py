"""All seeds of the {00, 11} task, side by side; an interrupted stage keeps the seeds that are done."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed

from imdm.artifact import write_json
from imdm.job import Job
from imdm.synthetic.measure import seed_rows


def rows_of_seeds(job: Job) -> list[dict]:
    """Rows of all seeds, in the order of `synthetic.seeds`, each computed by one of `synthetic.workers` processes."""
    settings, folder = job.params.synthetic, job.dir / ".seeds"
    folder.mkdir(exist_ok=True)
    files = {seed: folder / f"{seed}.json" for seed in settings.seeds}
    missing = [seed for seed, file in files.items() if not file.exists()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, spawn, _end_with_parent) as pool, job.progress(len(missing), "seed") as bar:
        try:
            running = {pool.submit(seed_rows, settings, seed): files[seed] for seed in missing}
            for future in as_completed(running):
                unfinished = running[future].with_suffix(".tmp")
                write_json(unfinished, future.result())
                os.replace(unfinished, running[future])
                bar.update()
        except BaseException:  # SIGTERM too: the pool would wait for seeds that nobody is going to read
            for worker in multiprocessing.active_children():
                worker.kill()
            raise
    return [row for file in files.values() for row in json.loads(file.read_text(encoding="utf-8"))]


def _end_with_parent() -> None:
    """Make a worker end with its parent; after a SIGKILL of that one it would wait for more work for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
