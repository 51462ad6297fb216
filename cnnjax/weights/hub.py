"""Download weights from the Hugging Face hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from cnnjax.errors import Failed, missing_extra

__all__ = ["download", "is_hub_id"]

_FILES = ("model.safetensors", "pytorch_model.bin")


def is_hub_id(source: str) -> bool:
    """Tell whether `source` reads like `owner/repository`.

    >>> is_hub_id("timm/resnet50.a1_in1k"), is_hub_id("runs/1/best.pth")
    (True, False)
    """
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) is not None


def download(repository: str, names: Sequence[str] = _FILES) -> Path:
    """Return a file of a hub repository, from the hub's cache where it is there already.

    It is the first of `names` that the repository has; by default its weights. Raises `Failed`
    where huggingface_hub is not installed (extra `hub`), the hub does not answer and the cache has
    nothing, or the repository does not exist or has none of the files.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise missing_extra("huggingface_hub", "hub") from None
    for name in names:
        try:
            return Path(hf_hub_download(repository, name))
        except LocalEntryNotFoundError as error:
            raise Failed(
                f"{repository}: not in the local cache, and the hub cannot be reached; download "
                f"{name} elsewhere and pass its path"
            ) from error
        except EntryNotFoundError:
            continue
        except RepositoryNotFoundError as error:
            raise Failed(
                f"{repository}: the hub has no such repository, or it is private"
            ) from error
        except Exception as error:  # whatever the transport raises
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise Failed(f"{repository}: the download failed ({reason})") from error
    raise Failed(f"{repository}: has none of {', '.join(names)}")
