"""Read state dicts from files as people have them, without PyTorch and without running code."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from cnnjax.errors import BadArgument, Failed
from cnnjax.files import mistaken, printable, reading
from cnnjax.weights.read.choose import Choice, choose
from cnnjax.weights.read.entries import Contents, Entry
from cnnjax.weights.read.safetensors import is_safetensors, read_safetensors
from cnnjax.weights.read.shards import index_of, is_index, read_index
from cnnjax.weights.read.torch_files import is_pickle, is_zip, read_legacy, read_zip

__all__ = ["SUFFIXES", "Opened", "opened", "read_state_dict", "split_choice"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".th", ".ckpt", ".tar", ".json")
"""What the names of files of weights usually end in; the reader looks at what is inside."""

_log = logging.getLogger("cnnjax")


def read_state_dict(
    path: str | Path,
    *,
    expected: Collection[str] = (),
    alternatives: Sequence[Collection[str]] = (),
) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict by name, in torch layout and the file's own dtypes.

    What is inside decides, not the name: a safetensors file, the index of its shards
    (`model.safetensors.index.json`), or what `torch.save` writes (zip files and the older format).
    The weights may be anywhere in a checkpoint, beside anything, under a prefix that their names
    share: `choose` says which are taken, and a line of the log which were. `path#PREFIX` takes
    others, as in `"last.ckpt#state_dict_ema"`. No code in a file is ever run.

    Args:
        path: of the file, and the prefix if any.
        expected: names of the network that the weights are for; () where it is not known.
        alternatives: the same names as other publishers have them.

    Returns:
        Arrays that may share memory, as tensors in the file do, and cannot be written to. What a
        terminal would obey in their names is escaped.

    Raises:
        BadArgument: for a path that is no file, a file of another purpose, or a prefix that is not
            there.
        Failed: for a file that is damaged, or holds no weights that can be read.
    """
    with opened(path) as file:
        return file.read(expected, alternatives)


@dataclasses.dataclass(frozen=True)
class Opened:
    """A file of weights that is open.

    Attributes:
        file: its name.
        wanted: the prefix that was asked for; None for whichever fits.
        contents: what is in it.
    """

    file: str
    wanted: str | None
    contents: Contents

    def read(
        self, expected: Collection[str] = (), alternatives: Sequence[Collection[str]] = ()
    ) -> dict[str, np.ndarray]:
        """Return what `read_state_dict` does; arguments and errors as there."""
        with _worded(self.file):
            entries = self.contents.entries
            if not entries:
                raise Failed(f"holds no tensors, but {_listed(self.contents.keys) or 'nothing'}")
            choice = choose(entries, expected, self.wanted, alternatives=alternatives)
            arrays = {entry.path[len(choice.prefix) :]: _read(entry) for entry in choice.entries}
        _say(printable(self.file), choice)
        return arrays


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Opened]:
    """Yield a file of weights, open while the block runs; argument and errors of `read_state_dict`.

    So that what the file says of itself is known before it is known which of its tensors to read.
    """
    file, wanted = split_choice(path)
    with contextlib.ExitStack() as stack:
        with _worded(file):
            contents = _contents(Path(file), stack)
        yield Opened(file, wanted, contents)


@contextlib.contextmanager
def _worded(file: str) -> Iterator[None]:
    """Raise what goes wrong with a file as one line that names it."""
    try:
        yield
    except BadArgument:
        raise
    except Failed as error:
        raise Failed(printable(f"{file}: {error}")) from None
    except MemoryError as error:
        raise Failed(f"{printable(file)}: this machine's memory does not suffice") from error
    except Exception as error:  # of zipfile and numpy, which damaged files end in
        reason = printable(f"{error!s:.200}" or type(error).__name__)
        raise Failed(f"{printable(file)}: damaged, or not a file of weights ({reason})") from error


def split_choice(path: str | Path) -> tuple[str, str | None]:
    """Return the file and the prefix in `FILE#PREFIX`; None where there is none, or a file's name.

    >>> split_choice("last.ckpt#model_ema")
    ('last.ckpt', 'model_ema')
    """
    text = os.fspath(path)
    if "#" not in text or os.path.lexists(text):
        return text, None
    file, _, prefix = text.rpartition("#")
    return file, prefix


def _contents(path: Path, stack: contextlib.ExitStack, *, whole: bool = True) -> Contents:
    """Return what a file holds, open until the stack is closed.

    Args:
        path: of the file.
        stack: which closes it.
        whole: whether it is a file of its own, rather than one of the shards of another.
    """
    if path.is_dir():
        raise BadArgument(
            f"weights: {printable(str(path))!r} is a directory; allowed: a file of weights, "
            "such as its weights.safetensors or model.safetensors"
        )
    stream = stack.enter_context(reading(path, "weights"))
    beginning = stream.read(512)
    if whole and is_index(beginning):
        return _sharded(path, stream, stack)
    contents = _reader(beginning)(stream)
    if whole:
        _refuse_another_purpose(path, contents)
    entries = [Entry(printable(e.mapping), printable(e.name), e.read) for e in contents.entries]
    return Contents(entries, [printable(key) for key in contents.keys], contents.metadata)


def _reader(beginning: bytes) -> Callable[[IO[bytes]], Contents]:
    if is_safetensors(beginning):
        return read_safetensors
    if is_zip(beginning):
        return read_zip
    if is_pickle(beginning):
        return read_legacy
    what = mistaken(beginning) or (
        "damaged, or not a file of weights in a known form (safetensors, or of torch.save)"
    )
    raise Failed(what if beginning else "an empty file")


def _sharded(path: Path, stream: IO[bytes], stack: contextlib.ExitStack) -> Contents:
    """Return the tensors of all shards that an index names, in the index's order."""
    index = read_index(stream)
    entries: dict[str, Entry] = {}
    for shard in dict.fromkeys(index.values()):
        entries |= {e.path: e for e in _contents(path.parent / shard, stack, whole=False).entries}
    for name, shard in index.items():
        if printable(name) not in entries:
            raise Failed(f"{printable(name)} is not in {printable(shard)}, where its index has it")
    return Contents([entries[printable(name)] for name in index], [])


def _refuse_another_purpose(path: Path, contents: Contents) -> None:
    """Raise `BadArgument` for a file that holds tensors and is no file of weights."""
    shown = printable(str(path))
    is_run = {"run", "history"} <= contents.metadata.keys()
    if is_run or any(entry.name.startswith(".params[") for entry in contents.entries):
        beside = path.parent / "weights.safetensors"
        give = printable(str(beside)) if beside.exists() else "what save_weights wrote"
        raise BadArgument(f"weights: {shown!r} is the checkpoint of a training run; give {give}")
    if (index := index_of(path)) is not None:
        raise BadArgument(f"weights: {shown!r} is one of several shards; give {index.name}")


def _read(entry: Entry) -> np.ndarray:
    try:
        return entry.read()
    except Failed as error:
        raise Failed(f"{entry.path}: {error}") from None


def _say(file: str, choice: Choice) -> None:
    """Log which weights were read where there was something to choose."""
    said = [f"{file}: read {choice.prefix[:-1]} ({len(choice.entries)} tensors)"]
    if not choice.prefix:
        said = [f"{file}: read its outermost {len(choice.entries)} tensors"]
    if choice.others:
        said.append(f"also there: {_listed(choice.others)} (to take it: {file}#{choice.others[0]})")
    if choice.left_out:
        said.append(f"left out: {_listed(choice.left_out)}")
    if choice.prefix or len(said) > 1:
        _log.warning("; ".join(said))


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name:.200}" for name in names[:most]) + more
