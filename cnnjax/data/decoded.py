"""Image files decoded once, by several threads, into a file of pixels that is kept."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.data.photographs import (
    decode_fitted,
    decode_photograph,
    in_threads,
    photograph_size,
)
from cnnjax.data.resizing import Resize
from cnnjax.errors import BadArgument, Failed, missing_extra
from cnnjax.files import decoded, printable
from cnnjax.runtime import cache_directory, need_bytes

__all__ = ["DIGEST_BYTES", "Decoded", "SeveralSizes", "decode_files", "digest_of"]

DIGEST_BYTES = 16

_FORM = 1
"""Of what is kept; another one is not read."""

_STALE = 86_400
"""Seconds after which a draft is one that a killed process left."""

_ABSENT = (-1, -1, -1)
_PIXELS = "pixels.uint8"
_ABOUT = "about.json"


class SeveralSizes(BadArgument):
    """Images have this `number` of sizes, and are not to be resized."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number


@dataclasses.dataclass(frozen=True)
class _About:
    """What is kept beside the pixels; fields as of `Decoded`."""

    shape: tuple[int, int, int, int]
    sizes: list[tuple[int, int]]
    faults: dict[str, str]
    digests: str


@dataclasses.dataclass(frozen=True)
class _Kept:
    about: _About
    check: str


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """The pixels of image files.

    Attributes:
        files: N paths.
        pixels: `[N, H, W, C]` uint8, in memory or mapped from a file; black where one is at fault.
        sizes: `[N, 2]` int32, height and width before they were resized.
        digests: `[N, 16]` uint8, BLAKE2b of each one's pixels.
        faults: the files that could not be decoded: path to reason.
        note: why they are in memory and not in a file, where that was not wanted; else "".
    """

    files: tuple[str, ...]
    pixels: np.ndarray
    sizes: np.ndarray
    digests: np.ndarray
    faults: dict[str, str]
    note: str = ""


def decode_files(
    name: str, root: Path, files: Sequence[str], resize: Resize | None, channels: int | None
) -> Decoded:
    """Decode image files to one size, or read what an earlier call kept of the same.

    The same are files of the same paths, sizes and times of change, and the same arguments and
    Pillow. What is kept lies in `images` in CNNJAX_CACHE_DIR, one version for each
    name and root; with CNNJAX_CACHE_DIR=off pixels are held in memory.

    Args:
        name: what the files are called together.
        root: where relative paths start.
        files: their paths.
        resize: None leaves the images as they are; all must have one size.
        channels: 1, 3, or None: 1 where all are grey.

    Raises:
        BadArgument: for images of several sizes.
        Failed: where none can be decoded, a file changes meanwhile, or memory and disk do not
            suffice.
    """
    stamps = [_stamp(root / file) for file in files]
    place = _place(name, root, files, stamps, resize, channels)
    found = None if place is None else _read(place, files)
    if found is not None:
        return found
    shape = _shape(root, files, resize, channels)
    draft, pixels, note = _room(place, shape, f"{name}, {len(files):,} images")
    try:
        done, lasting = _fill(root, files, stamps, resize, pixels)
        if draft is not None and place is not None and lasting:
            try:
                _keep(done, draft, place)
            except OSError as error:
                note = f"decoded images are not kept ({error.strerror or error})"
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return dataclasses.replace(done, note=note)


def digest_of(image: np.ndarray) -> np.ndarray:
    """Return the BLAKE2b of an image's pixels, `[16]` uint8."""
    content = np.ascontiguousarray(image).data
    return np.frombuffer(hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest(), np.uint8)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return size, time of change and permissions of a file; -1 where there is none."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return _ABSENT
    return about.st_size, about.st_mtime_ns, about.st_mode


def _place(
    name: str,
    root: Path,
    files: Sequence[str],
    stamps: Any,
    resize: Resize | None,
    channels: int | None,
) -> Path | None:
    """Return the directory for what is kept of these files; None where nothing is."""
    try:
        from PIL import __version__ as pillow
    except ImportError as error:
        raise missing_extra("pillow", "data") from error
    try:
        directory = cache_directory("images")
    except OSError:
        return None
    if directory is None:
        return None
    settings = None if resize is None else dataclasses.astuple(resize)
    whose, which = (name, str(root), settings, channels), (_FORM, pillow, files, stamps)
    return directory / _key(whose) / _key(which)


def _key(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def _shape(
    root: Path, files: Sequence[str], resize: Resize | None, channels: int | None
) -> tuple[int, int, int, int]:
    """Return the shape of all images together, from the beginnings of their files."""
    if resize is not None and channels is not None:
        return len(files), resize.pixels, resize.pixels, channels
    found = [each for each in in_threads(lambda f: _size_of(root / f), files) if each is not None]
    if not found:
        reasons = _first_fault(root, files)
        raise Failed(f"none of {len(files)} files can be read as an image; {reasons}")
    if channels is None:
        channels = 1 if all(grey for *_, grey in found) else 3
    if resize is not None:
        return len(files), resize.pixels, resize.pixels, channels
    sizes = sorted({(height, width) for height, width, _ in found}, key=math.prod)
    if len(sizes) > 1:
        small, large = ("x".join(map(str, size)) for size in (sizes[0], sizes[-1]))
        raise SeveralSizes(
            len(sizes),
            f"resize: the images have {len(sizes)} sizes, from {small} to {large}; allowed: one "
            "size, or resizing them: resize, --resize",
        )
    return len(files), *sizes[0], channels


def _size_of(path: Path) -> tuple[int, int, bool] | None:
    try:
        return photograph_size(path)
    except Failed:
        return None


def _first_fault(root: Path, files: Sequence[str]) -> str:
    try:
        photograph_size(root / files[0])
    except Failed as error:
        return str(error)
    return ""


def _room(
    place: Path | None, shape: tuple[int, ...], what: str
) -> tuple[Path | None, np.ndarray, str]:
    """Return room for pixels: the directory of the file that it is mapped from, itself, a note."""
    note, size = "", math.prod(shape)
    if place is not None:
        draft = None
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
            return draft, _mapped(draft / _PIXELS, shape), note
        except OSError as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            note = f"decoded images are not kept ({error.strerror or error})"
    need_bytes(size, what, "resize them to fewer pixels, or set CNNJAX_CACHE_DIR to a larger disk")
    return None, np.zeros(shape, np.uint8), note


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a new file's content as an array; on a full disk an error, not a killed process."""
    size = math.prod(shape)
    with open(path, "wb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
        elif shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        else:
            stream.truncate(size)
    return np.asarray(np.memmap(path, np.uint8, "r+", shape=shape))


def _fill(
    root: Path,
    files: Sequence[str],
    stamps: Sequence[tuple[int, int, int]],
    resize: Resize | None,
    pixels: np.ndarray,
) -> tuple[Decoded, bool]:
    """Decode files into their rows; also say whether what is at fault will be so next time."""
    shape = pixels.shape[1:]
    sizes = np.zeros((len(files), 2), np.int32)
    digests = np.zeros((len(files), DIGEST_BYTES), np.uint8)
    faults: dict[str, str] = {}
    passing = []

    def one(index: int) -> None:
        path = root / files[index]
        try:
            if stamps[index] == _ABSENT:
                raise Failed("there is no file of that name")
            image, sizes[index] = _decode(path, shape[-1], resize)
            if image.shape != shape:
                raise Failed(f"{path}: {image.shape[0]}x{image.shape[1]} pixels, unlike the others")
        except Failed as error:
            faults[files[index]] = str(error).removeprefix(f"{printable(str(path))}: ")
            if isinstance(error.__cause__, OSError) and error.__cause__.errno:
                passing.append(index)
            return
        if _stamp(path) != stamps[index]:
            raise Failed(
                f"{printable(str(path))} changed while it was read; start again when nobody "
                "writes to it"
            )
        pixels[index] = image
        digests[index] = digest_of(image)

    in_threads(one, range(len(files)))
    in_order = {file: faults[file] for file in files if file in faults}
    return Decoded(tuple(files), pixels, sizes, digests, in_order), not passing


def _decode(path: Path, channels: int, resize: Resize | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Return an image `[H, W, C]`, and its height and width in the file."""
    if resize is None:
        image = decode_photograph(path, channels)
        return image, image.shape[:2]
    return decode_fitted(
        path,
        channels,
        size=resize.pixels,
        interpolation=resize.interpolation,
        crop_mode=resize.mode,
    )


def _keep(done: Decoded, draft: Path, place: Path) -> None:
    """Give what is in a draft its name, and delete what was kept of the same root before."""
    about = {
        "shape": list(done.pixels.shape),
        "sizes": done.sizes.tolist(),
        "faults": done.faults,
        "digests": done.digests.tobytes().hex(),
    }
    base: Any = done.pixels.base
    if isinstance(base, np.memmap):
        base.flush()
    text = json.dumps({"about": about, "check": _key(about)})
    (draft / _ABOUT).write_text(text, encoding="utf-8")
    for older in place.parent.iterdir():
        killed = older.name.startswith(".") and older.stat().st_mtime < time.time() - _STALE
        if killed or not older.name.startswith("."):
            shutil.rmtree(older, ignore_errors=True)
    try:
        os.replace(draft, place)
    except OSError:
        if not (place / _ABOUT).exists():  # another process was first, with the same pixels
            raise


def _read(place: Path, files: Sequence[str]) -> Decoded | None:
    """Return what is kept, or None: where nothing is, or not what was written."""
    try:
        text = (place / _ABOUT).read_text(encoding="utf-8")
        kept = decoded(text, _Kept, str(place))
        about = kept.about
        if kept.check != _key(dataclasses.asdict(about)):
            return None
        pixels = np.memmap(place / _PIXELS, np.uint8, "r", shape=about.shape)
        if pixels.size != (place / _PIXELS).stat().st_size:
            return None
        hashes = np.frombuffer(bytes.fromhex(about.digests), np.uint8)
        digests = hashes.reshape(-1, DIGEST_BYTES)
        sizes = np.array(about.sizes, np.int32).reshape(-1, 2)
    except (OSError, ValueError, Failed):
        return None
    array = np.asarray(pixels)
    whole = [index for index, file in enumerate(files) if file not in about.faults]
    same = in_threads(lambda i: bool((digest_of(array[i]) == digests[i]).all()), whole)
    return Decoded(tuple(files), array, sizes, digests, about.faults) if all(same) else None
