"""The index of weights that are cut into several files, as the Hugging Face libraries write it."""

import re
from pathlib import Path
from typing import IO, TypedDict

from cnnjax.errors import Failed
from cnnjax.files import decoded, printable

__all__ = ["index_of", "is_index", "read_index"]

_MOST_INDEX = 2**24  # bytes; a thousand tensors take about 100,000
_MOST_SHARDS = 256  # all are open at once


class _Index(TypedDict):
    weight_map: dict[str, str]


def is_index(beginning: bytes) -> bool:
    """Tell whether a file that begins so is JSON, as an index is."""
    return beginning.lstrip()[:1] == b"{"


def read_index(stream: IO[bytes]) -> dict[str, str]:
    """Return the name of the file for every tensor, all of them beside the index.

    Raises:
        Failed: for a file that is no index, or one that names files elsewhere, or too many.
    """
    stream.seek(0)
    content = stream.read(_MOST_INDEX + 1)
    if len(content) > _MOST_INDEX:
        raise Failed(f"more than {_MOST_INDEX:,} bytes, which no index of shards has")
    index = decoded(content, _Index, "an index of shards")["weight_map"]
    for shard in set(index.values()):
        # Not pathlib's name alone: a backslash is a separator elsewhere.
        if Path(shard).name != shard or "\\" in shard or shard in ("", ".."):
            raise Failed(f"its index names {printable(shard)!r}, which is no file beside it")
    if len(set(index.values())) > _MOST_SHARDS:
        raise Failed(f"its index names more than {_MOST_SHARDS} files")
    return index


def index_of(path: Path) -> Path | None:
    """Return the index beside a file that is one of several shards by its name, or None."""
    match = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})(\.\w+)", path.name)
    if match is None or int(match[2]) == 1:
        return None
    index = path.with_name(f"{match[1]}{match[3]}.index.json")
    return index if index.exists() else None
