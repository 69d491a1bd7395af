"""What `review-pipeline doctor` says of models before they bite."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import yaml

from review_pipeline.doctor import examine


@pytest.mark.parametrize(
    ("days", "state", "said"),
    [(90, "ok", "prices as of"), (30, "warn", "name its successor"), (0, "fail", "was retired on")],
)
def test_a_model_that_retires_is_told_before_it_bites(tmp_path, monkeypatch, days, state, said):
    retires_on = (date.today() + timedelta(days=days)).isoformat()  # noqa: DTZ011
    price = {
        "model": "claude-old", "valid_from": "2026-01-01", "context_tokens": 200_000, "max_output_tokens": 64_000, "retires_on": retires_on,
        **{f"{name}_usd": "1" for name in ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")},
    }  # fmt: skip
    config = tmp_path / "review_pipeline.yaml"
    config.write_text(
        yaml.safe_dump({"prices": [price], "workloads": {"weekly_security_audit": {"model": "claude-old"}}})
    )
    for name in ("ANTHROPIC_API_KEY", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REVIEW_PIPELINE_CONFIG", str(config))
    monkeypatch.setenv("REVIEW_PIPELINE_HOME", str(tmp_path / "home"))
    (told,) = [one for one in examine() if one.name == "model of weekly_security_audit"]
    assert told.state == state
    assert said in told.said
