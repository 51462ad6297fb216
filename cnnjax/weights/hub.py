"""Download weights from the Hugging Face hub."""

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnjax.errors import Failed, missing_extra
from cnnjax.files import printable, reading
from cnnjax.weights.read import read_index

__all__ = ["download", "is_hub_id"]

_INDEX = "model.safetensors.index.json"
_FILES = ("model.safetensors", "pytorch_model.bin", _INDEX)
_SECONDS = 10  # that the hub has to answer whether it has a file


def is_hub_id(source: str) -> bool:
    """Tell whether `source` reads like `owner/repository`.

    >>> is_hub_id("timm/resnet50.a1_in1k"), is_hub_id("runs/1/best.pth")
    (True, False)
    """
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) is not None


def download(repository: str, names: Sequence[str] = _FILES) -> Path:
    """Return a file of a hub repository, from the hub's cache where it is there already.

    Args:
        repository: its id, `owner/name`.
        names: files, of which it is the first that the cache has, or else that the repository has;
            by default its weights. An index of shards comes with all of its shards.

    Raises:
        Failed: where huggingface_hub is not installed (extra `hub`), the cache has nothing and the
            hub does not answer, or the repository does not exist or has none of the files.
    """
    try:
        import huggingface_hub as hub
    except ImportError:
        raise missing_extra("huggingface_hub", "hub") from None
    with _quiet(), _worded(repository, names[0]):
        found = _cached(hub, repository, names) or _fetched(hub, repository, names)
        if found.name == _INDEX:
            with reading(found, repository) as stream:
                shards = set(read_index(stream).values())
            for shard in sorted(shards):
                if _cached(hub, repository, [shard]) is None:
                    hub.hf_hub_download(repository, shard)
    return found


def _cached(hub: Any, repository: str, names: Sequence[str]) -> Path | None:
    """Return the first file that the cache has: no question to the hub, so none unanswered."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    for name in names:
        with contextlib.suppress(LocalEntryNotFoundError):
            return Path(hub.hf_hub_download(repository, name, local_files_only=True))
    return None


def _fetched(hub: Any, repository: str, names: Sequence[str]) -> Path:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for name in names:
        try:
            # The download itself would ask six times, and for half a minute, where nobody answers.
            hub.get_hf_file_metadata(hub.hf_hub_url(repository, name), timeout=_SECONDS)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            continue
        return Path(hub.hf_hub_download(repository, name))
    raise Failed(f"{repository}: has none of {', '.join(names)}")


@contextlib.contextmanager
def _worded(repository: str, name: str) -> Iterator[None]:
    """Raise `Failed` in one line for what the hub's package raises."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except Failed:
        raise
    except RepositoryNotFoundError as error:
        raise Failed(f"{repository}: the hub has no such repository, or it is private") from error
    except Exception as error:  # whatever the transport raises, too
        full = isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError)
        if full or isinstance(error, HfHubHTTPError | ValueError):
            reason = printable(next(iter(str(error).splitlines()), type(error).__name__))
            raise Failed(f"{repository}: the download failed ({reason})") from error
        raise Failed(
            f"{repository}: not in the local cache, and the hub cannot be reached; download "
            f"{name} elsewhere and pass its path"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package from warning of what is said in one line here."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
