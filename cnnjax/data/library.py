"""The package tensorflow_datasets: imported only when it is needed, and kept quiet."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from cnnjax.errors import missing_extra

__all__ = ["import_tfds", "reason", "silence"]

_LONGEST_REASON = 300


def import_tfds() -> Any:
    """Return the module tensorflow_datasets, imported now because that is slow."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing_extra("tensorflow-datasets", "data") from error
    return tfds


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep TFDS off standard output, and quiet altogether unless a terminal shows errors."""
    from absl import logging
    from tensorflow_datasets.core.utils import tqdm_utils

    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        stack.callback(logging.set_verbosity, logging.get_verbosity())
        logging.set_verbosity(logging.ERROR)
        if sys.stderr.isatty():
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        else:
            tqdm_utils.disable_progress_bar()
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


def reason(error: BaseException) -> str:
    """Return what an error of TFDS says, on one line: any of its lines may be the one that counts.

    >>> reason(ValueError("Cannot build x.\\nPossible are:\\n  y\\n"))
    'Cannot build x. Possible are: y'
    """
    text = " ".join(str(error).split())
    if len(text) > _LONGEST_REASON:
        text = f"{text[:_LONGEST_REASON].rsplit(' ', 1)[0]} ..."
    return text or type(error).__name__
