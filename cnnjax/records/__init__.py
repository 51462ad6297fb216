"""Where results come from, and how they lie on disk."""

from cnnjax.records.provenance import command_line, commit, hardware, versions

__all__ = ["command_line", "commit", "hardware", "versions"]
