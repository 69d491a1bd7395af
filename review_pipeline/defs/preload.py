"""What the processes of steps have imported before they start."""

from __future__ import annotations

# What a forked step would otherwise import by itself: a step costs 0.3 CPU-seconds with this list, 2 without.
# Python skips unknown names in silence, so a test imports each of them.
PRELOAD = [
    "dagster._cli",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.storage.fs_io_manager",
    "dagster._core.execution.plan.execute_step",
    "sqlalchemy.dialects.sqlite",
]
