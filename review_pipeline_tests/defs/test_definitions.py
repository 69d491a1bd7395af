"""What Dagster loads, as a snapshot: a sensor or an edge that appears by itself is seen here."""

import importlib
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    from review_pipeline.definitions import defs

    return defs.get_repository_def()


def test_the_graph_of_assets_is_the_designed_one(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    edges = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    assert edges == {
        "batch_submissions": [],
        "batch_results": ["batch_submissions"],
        "failure_resubmissions": ["batch_results"],
        "overnight_reviews": ["failure_resubmissions"],
        "findings_history": [
            "batch_results",
            "batch_submissions",
            "failure_resubmissions",
            "overnight_reviews",
            "pull_request_reviews",
        ],
        "pull_request_reviews": [],
        "weekly_quality_report": ["batch_results", "findings_history"],
        "review_feedback": ["pull_request_reviews"],
    }


def test_every_part_of_an_audit_lives_in_one_cell_of_audit_and_day(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    for name in ("batch_submissions", "batch_results", "failure_resubmissions"):
        partitions = graph.get(dg.AssetKey(name)).partitions_def
        assert isinstance(partitions, dg.MultiPartitionsDefinition)
        assert {dimension.name for dimension in partitions.partitions_defs} == {"audit", "date"}
    assert graph.get(dg.AssetKey("findings_history")).partitions_def is None
    assert isinstance(graph.get(dg.AssetKey("weekly_quality_report")).partitions_def, dg.WeeklyPartitionsDefinition)


def test_a_week_of_reports_is_seven_days_of_every_audit(repository: dg.RepositoryDefinition) -> None:
    mapping = repository.asset_graph.get_partition_mapping(
        dg.AssetKey("weekly_quality_report"), dg.AssetKey("batch_results")
    )
    assert type(mapping).__name__ == "MultiToSingleDimensionPartitionMapping"


def test_jobs_schedules_and_sensors_are_these(repository: dg.RepositoryDefinition) -> None:
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    assert jobs == {
        "submit_audit": ["batch_submissions", "findings_history"],
        "collect_batches": ["batch_results", "failure_resubmissions", "findings_history", "overnight_reviews"],
        "refresh_history": ["findings_history"],
        "weekly_report": ["weekly_quality_report"],
        "review_pull_request": [],
        "hear_feedback": ["review_feedback"],
    }
    schedules = {
        schedule.name: (schedule.cron_schedule, schedule.default_status.name) for schedule in repository.schedule_defs
    }
    assert schedules == {
        "nightly_audits": ("0 1 * * *", "STOPPED"),
        "weekly_security_audits": ("0 2 * * 6", "STOPPED"),
        "overnight_backlog": ("0 21 * * *", "STOPPED"),
        "document_checks": ("0 3 * * 0", "STOPPED"),
        "monday_report": ("0 6 * * 1", "STOPPED"),
        "hourly_feedback": ("7 * * * *", "RUNNING"),
    }
    assert {sensor.name: sensor.default_status.name for sensor in repository.sensor_defs} == {
        "open_batches": "RUNNING",
        "new_heads": "RUNNING",
        "github_pull_requests": "RUNNING",
    }


def test_the_checks_that_stop_the_loop_are_blocking(repository: dg.RepositoryDefinition) -> None:
    checks = {
        key.name: (key.asset_key.to_user_string(), repository.asset_graph.get_check_spec(key).blocking)
        for key in repository.asset_graph.asset_check_keys
    }
    assert checks == {
        "every_request_is_accounted_for": ("batch_results", True),
        "ids_in_are_ids_out": ("batch_results", True),
        "anchors_are_verified_or_say_so": ("findings_history", False),
        "fingerprints_are_unique": ("findings_history", False),
        "every_file_is_in_one_state": ("findings_history", False),
        "reviewers_are_independent": ("findings_history", False),
        "report_covers_the_week": ("weekly_quality_report", False),
    }


def test_the_history_has_its_pool_to_itself(repository: dg.RepositoryDefinition) -> None:
    assert repository.assets_defs_by_key[dg.AssetKey("findings_history")].op.pool == "findings_writer"
    instance = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert instance["concurrency"]["pools"]["default_limit"] == 1
    assert instance["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


def test_every_preloaded_name_can_be_imported() -> None:
    from review_pipeline.defs.preload import PRELOAD

    for name in PRELOAD:
        importlib.import_module(name)


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    heavy = ("pandas", "duckdb", "anthropic", "matplotlib", "jinja2.sandbox")
    code = f"import sys, review_pipeline.definitions; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_workspace_names_this_code_location_and_nothing_overrides_it() -> None:
    import tomllib

    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert entry == {
        "python_module": {"module_name": "review_pipeline.definitions", "location_name": "review_pipeline"}
    }
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert not {"dg", "dagster"} & tools.keys()  # with either of them a bare `dagster dev` ignores workspace.yaml


def test_run_history_stays_in_var_without_a_dagster_home() -> None:
    instance = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    folders = [
        instance["storage"]["sqlite"]["base_dir"],
        instance["local_artifact_storage"]["config"]["base_dir"],
        instance["compute_logs"]["config"]["base_dir"],
    ]
    assert all(folder.startswith("var/dagster/") for folder in folders)
