"""What a comparison found, for people: tables on a terminal, and one page with figures."""

from cnnjax.report.page import check_packages, write_report
from cnnjax.report.table import print_tables

__all__ = ["check_packages", "print_tables", "write_report"]
