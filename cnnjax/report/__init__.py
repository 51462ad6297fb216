"""What a comparison found, for people: tables on a terminal, and one page with figures."""

from cnnjax.report.page import write_report
from cnnjax.report.table import print_tables

__all__ = ["print_tables", "write_report"]
