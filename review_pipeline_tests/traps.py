"""What other batch pipelines were found to get wrong, by name; each has tests marked with it: `python -m review_pipeline_tests.traps`."""

from __future__ import annotations

from review_pipeline_tests.cases import marked

TRAPS = {
    "retried_create": "an SDK's own retry creates the batch twice",
    "accepted_without_receipt": "the connection breaks, or a 500 or 529 comes, after the batch was accepted",
    "rate_limited_create": "a 429, with and without retry-after, has created nothing",
    "404_after_create": "results or batch are not found for minutes after the creation",
    "clock_skew": "the server's clock is five minutes off ours",
    "clock_jump": "our own clock jumps forwards or backwards",
    "first_page_only": "ours is beyond the first hundred batches of the list",
    "foreign_batch": "another tool's batch of the same workspace is taken for ours",
    "equal_counts": "two candidates hold as many requests",
    "poll_error_is_no_failure": "a poll without an answer fails a batch that runs on and is billed",
    "canceling": "a batch that is being canceled has a status of its own",
    "outer_error_type": "the type of an error is the inner one",
    "unknown_types": "unknown types of errors and results are not the first known one",
    "too_long_by_text": "too long is an invalid request with one of two texts",
    "billing_as_invalid": "no credit looks like an invalid request",
    "cut_at_row": "results that are cut between two lines look whole",
    "cut_in_row": "results are cut within a line",
    "line_separators": "U+2028 within a text is no end of a line",
    "duplicate_ids": "a line comes twice",
    "unknown_ids": "a line comes that nobody asked for",
    "missing_ids": "a line never comes",
    "appended_download": "a download that was cut is gone on with at its end",
    "endless_resubmission": "the count of attempts begins again",
    "oversize_request": "one request above the limit stops the splitting",
    "costs_by_value": "a sum that is passed on and never comes back",
    "price_bands": "prices depend on model, day, size and kind of token",
    "disk_full": "the disk is full",
}


def main() -> None:
    found = marked("trap")
    for name, meaning in TRAPS.items():
        print(f"{name}: {meaning}")
        for test in found.get(name, ["NOT COVERED"]):
            print(f"    {test}")


if __name__ == "__main__":
    main()
