"""The weekly quality report: numbers, charts and a page, as values and text; files are the workflow's business."""
