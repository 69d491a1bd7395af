"""What the API refuses about one set of message parameters, in a batch and at /v1/messages alike."""

from __future__ import annotations

from review_pipeline.simulator.catalogue import Model, find_model
from review_pipeline.simulator.usage import input_tokens
from review_pipeline.simulator.wire import ErrorBody, JsonObject

# From this version on the API refuses sampling parameters, even at their defaults.
NO_SAMPLING_SINCE = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")
_REFUSED_IN_BATCH = ("stream", "speed", "store", "previous_thread_event_id", "cache_hint", "context_hint")


def _invalid(message: str) -> ErrorBody:
    return ErrorBody("invalid_request_error", message)


def find_fault(params: JsonObject, version: str, now: float, *, in_batch: bool) -> ErrorBody | None:
    for name in ("model", "max_tokens", "messages"):
        if name not in params:
            return _invalid(f"{name}: Field required")
    fault = _sampling_fault(params, version) or _shape_fault(params)
    if fault is None and in_batch:
        fault = _batch_fault(params)
    if fault is not None:
        return fault
    model = find_model(str(params["model"]), now)
    if model is None:
        return ErrorBody("not_found_error", f"model: {params['model']}")
    return _limit_fault(params, model)


def _sampling_fault(params: JsonObject, version: str) -> ErrorBody | None:
    named = next((name for name in _SAMPLING if name in params), None)
    if named is None or version < NO_SAMPLING_SINCE:
        return None
    return _invalid(f"{named}: Extra inputs are not permitted")


def _shape_fault(params: JsonObject) -> ErrorBody | None:
    max_tokens, messages = params["max_tokens"], params["messages"]
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        return _invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 1:
        return _invalid("max_tokens: Input should be greater than or equal to 1")
    if not isinstance(messages, list) or not messages:
        return _invalid("messages: at least one message is required")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            return _invalid(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        if not isinstance(message.get("content"), str | list) or not message["content"]:
            return _invalid(f"messages.{number}.content: all messages must have non-empty content")
    return None


def _batch_fault(params: JsonObject) -> ErrorBody | None:
    named = next((name for name in _REFUSED_IN_BATCH if params.get(name)), None)
    return _invalid(f"{named}: not supported in the Message Batches API") if named else None


def _limit_fault(params: JsonObject, model: Model) -> ErrorBody | None:
    asked, max_tokens = input_tokens(params), params["max_tokens"]
    if max_tokens > model.max_output_tokens:
        return _invalid(
            f"max_tokens: {max_tokens} > {model.max_output_tokens}, which is the maximum allowed number of output "
            f"tokens for {params['model']}"
        )
    if asked > model.context_tokens:
        return _invalid(f"prompt is too long: {asked} tokens > {model.context_tokens} maximum")
    if asked + max_tokens > model.context_tokens:
        return _invalid(
            f"input length and `max_tokens` exceed context limit: {asked} + {max_tokens} > {model.context_tokens}, "
            "decrease input length or `max_tokens` and try again"
        )
    return None
