"""Commands about pull requests on GitHub: webhook, and the part of `review` that reads and posts them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from review_pipeline.core.forge import Slug
from review_pipeline.ports import Refused
from review_pipeline.settings import RepositoryEntry
from review_pipeline.wiring import Pipeline
from review_pipeline.wiring_forge import ForgeWiring

if TYPE_CHECKING:
    from review_pipeline.report.review import ReviewPage

err = Console(stderr=True, width=None if sys.stderr.isatty() else 120)


def webhook(
    host: Annotated[str, typer.Option(help="Address to listen on; put TLS in front of anything but this one.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8_090,
) -> None:
    """Receive GitHub's webhooks at /github, so that pushes are seen at once instead of at the next look.

    Needs GITHUB_WEBHOOK_SECRET. Events: pull requests, check runs. It only writes to the queue that the sensor
    github_pull_requests works on; while it is down, the sensor sees everything by itself.
    """
    import uvicorn

    from review_pipeline.webhook import application

    app = application(Pipeline.from_environment())
    err.print(f"listening on http://{host}:{port}/github", highlight=False)
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


def entry_on_github(pipeline: Pipeline, name: str) -> RepositoryEntry:
    """By its name in the configuration, or by owner/name whether it is there or not."""
    for entry in pipeline.settings.config.repositories:
        if entry.github and name.lower() in (entry.name.lower(), entry.github.lower()):
            return entry
    try:
        slug = Slug.parse(name)
    except ValueError as error:
        raise Refused(f"{error}, and no repository of the configuration is called so.") from error
    return RepositoryEntry(name=f"{slug.owner}-{slug.name}"[:64], github=str(slug))


def reviewed_on_github(
    pipeline: Pipeline, entry: RepositoryEntry, number: int, progress: Callable[[str, str, str], None], *, posts: bool
) -> ReviewPage:
    wiring = ForgeWiring(pipeline)
    pulls = wiring.pulls(entry)
    target = pulls.prepare(number) if posts else pulls.pinned(number)
    reviewing = pipeline.review(entry, target.base, on_forge=True)
    planned = reviewing.planner.plan(target)
    publisher = wiring.publisher(entry)
    if posts and not planned.row.is_finished and (trouble := publisher.begin(planned.row)):
        err.print(f"that the review is under way could not be told: {trouble}", highlight=False, soft_wrap=True)
    row = reviewing.run(target, progress)
    if posts:
        published = publisher.publish(row)
        told = f"{published.state}: {published.inline} comment(s) at lines, verdict {published.verdict} {published.url}"
        err.print(told, highlight=False, soft_wrap=True)
        for trouble in published.troubles:
            err.print(f"[yellow]not posted:[/] {trouble}", highlight=False, soft_wrap=True)
    return pipeline.page(row)
