"""A run on one page: what was done, how good it is, what it costs, and where it errs."""

from clinidistill.report.page import write_report

__all__ = ["write_report"]
