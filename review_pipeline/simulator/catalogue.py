"""The models this API offers, as dated data (collected 2026-11-22)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from review_pipeline.simulator.wire import JsonObject


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    name: str
    released: str
    context_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    line: str = "opus"
    aliases: tuple[str, ...] = ()
    forced_tool_use: bool = True
    retires: str | None = None


MODELS = (
    Model("claude-fable-5-2", "Claude Fable 5.2", "2026-10-20", line="fable"),
    Model("claude-mythos-5-2", "Claude Mythos 5.2", "2026-10-20", line="mythos"),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-13", line="haiku"),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-22", line="sonnet"),
    Model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-08", forced_tool_use=False),
    Model("claude-fable-5-1", "Claude Fable 5.1", "2026-08-18", line="fable"),
    Model("claude-mythos-5-1", "Claude Mythos 5.1", "2026-08-18", line="mythos"),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-06-30", line="sonnet"),
    Model("claude-fable-5", "Claude Fable 5", "2026-06-09", line="fable"),
    Model("claude-mythos-5", "Claude Mythos 5", "2026-06-09", line="mythos"),
    Model("claude-opus-5", "Claude Opus 5", "2026-06-02"),
    Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-12"),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16"),
    Model("claude-mythos-preview", "Claude Mythos Preview", "2026-04-07", line="mythos"),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-05"),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", line="sonnet"),
    Model(
        "claude-haiku-4-5-20251001",
        "Claude Haiku 4.5",
        "2025-10-15",
        200_000,
        64_000,
        line="haiku",
        aliases=("claude-haiku-4-5",),
    ),
    Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", 200_000, 64_000, aliases=("claude-opus-4-5",)),
    Model(
        "claude-sonnet-4-5-20250929",
        "Claude Sonnet 4.5",
        "2025-09-29",
        200_000,
        64_000,
        line="sonnet",
        aliases=("claude-sonnet-4-5",),
        retires="2026-11-30",
    ),
)

_BY_NAME = {name: model for model in MODELS for name in (model.id, *model.aliases)}


def find_model(name: str, now: float) -> Model | None:
    """None for an unknown model and for one that has been retired by `now`."""
    model = _BY_NAME.get(name)
    if model is None or _lifecycle(model, now) == "retired":
        return None
    return model


def listed_model(name: str) -> Model | None:
    return _BY_NAME.get(name)


def model_json(model: Model, now: float) -> JsonObject:
    lifecycle = _lifecycle(model, now)
    return {
        "type": "model",
        "id": model.id,
        "display_name": f"{model.name} (offline analyser, no model is called)",
        "created_at": _midnight(model.released),
        "lifecycle": lifecycle,
        "line": model.line,
        "deprecated_at": _midnight("2026-06-30") if lifecycle != "active" else None,
        "retires_at": _midnight(model.retires) if model.retires else None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": _capabilities(),
    }


def _capabilities() -> JsonObject:
    yes, no = {"supported": True}, {"supported": False}
    return {
        "batch": yes,
        "citations": no,
        "code_execution": no,
        "context_management": no,
        "effort": {"supported": True, "low": yes, "medium": yes, "high": yes, "max": no},
        "image_input": no,
        "pdf_input": no,
        "server_tools": no,
        "structured_outputs": yes,
        "thinking": {"supported": False, "types": {"adaptive": no, "enabled": no}},
    }


def _lifecycle(model: Model, now: float) -> str:
    if model.retires is None:
        return "active"
    return "retired" if now >= datetime.fromisoformat(model.retires).replace(tzinfo=UTC).timestamp() else "deprecated"


def _midnight(day: str) -> str:
    return f"{day}T00:00:00Z"
