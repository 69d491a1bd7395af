"""A whole batch goes out: our plan on disk, streamed from there, against the SDK's list in memory."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from benchmarks import data
from benchmarks.child import Timed


def ours(base_url: str, scratch: str, files: int) -> Timed:
    from review_pipeline.adapters.anthropic_batches import AnthropicBatches
    from review_pipeline.adapters.cutting import cut_costs
    from review_pipeline.adapters.ledger import AuditLedger, LedgerDatabase
    from review_pipeline.adapters.results import BatchResults
    from review_pipeline.adapters.spool import Spool
    from review_pipeline.core.cost import PriceTable
    from review_pipeline.workflows.audit import plan_audit
    from review_pipeline.workflows.submission import Sender

    home = Path(scratch)
    ledger, spool = AuditLedger(LedgerDatabase(home / "ledger.sqlite")), Spool(home / "spool")
    api = AnthropicBatches("none", base_url)
    sender = Sender(api, ledger, spool, BatchResults(PriceTable(())), lambda: data.NOW, timedelta(minutes=5))
    started = perf_counter()
    plan_audit(
        data.audit(),
        data.CELL,
        data.GeneratedRepository(files),
        ledger,
        spool,
        cut_costs=cut_costs,
        nonce="nonce",
        now=data.NOW,
    )
    planned = perf_counter()
    sent = sender.send_due(data.CELL)
    seconds = perf_counter() - started
    facts = {"plan_us": int(1e6 * (planned - started)), "requests": sum(submission.requests for submission in sent)}
    facts["body_bytes"] = sum(submission.body_bytes for submission in sent)
    facts["received_bytes"] = sum(int((submission.batch_id or "_0").rpartition("_")[2]) for submission in sent)
    return Timed(seconds, facts)


def sdk_list(base_url: str, files: int) -> Timed:
    """What one writes first: a list of requests, handed to create()."""
    import anthropic

    from review_pipeline.core.prompt import message_params, render_file
    from review_pipeline.core.selection import split_lines

    client = anthropic.Anthropic(api_key="none", base_url=base_url, max_retries=0)
    client.messages.batches.retrieve("warm-up")
    audit, repository = data.audit(), data.GeneratedRepository(files)
    started = perf_counter()
    requests = []
    for entry, content in repository.read(repository.tree(data.COMMIT)):
        lines = split_lines(content.decode())
        shown = render_file(entry.path, "python", entry.blob, lines, 1, len(lines))
        params = message_params(data.MODEL, audit.max_tokens, audit.prompt, shown)
        requests.append({"custom_id": hashlib.sha256(entry.path.encode()).hexdigest()[:60], "params": params})
    batch = client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
    seconds = perf_counter() - started
    return Timed(seconds, {"requests": len(requests), "received_bytes": int(batch.id.rpartition("_")[2])})
