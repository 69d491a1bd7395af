"""What our definitions add to a process that has to import Dagster anyway."""

from __future__ import annotations

import importlib
import os
from time import perf_counter

from benchmarks.child import ROOT, Timed


def dagster_alone() -> Timed:
    return _imported("dagster")


def definitions(home: str) -> Timed:
    os.environ["REVIEW_PIPELINE_HOME"] = home
    return _imported("review_pipeline.definitions")


def _imported(module: str) -> Timed:
    os.chdir(ROOT)
    started = perf_counter()
    importlib.import_module(module)
    return Timed(perf_counter() - started, {})
