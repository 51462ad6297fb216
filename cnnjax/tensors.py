"""The bytes of a safetensors file: equal tensors and metadata make equal files."""

import json

__all__ = ["canonical"]


def canonical(content: bytes) -> bytes:
    """Return a safetensors file's content with the metadata in its header in alphabetical order.

    The library writes them in the order of a hash table that differs from process to process.

    Args:
        content: of `safetensors.numpy.save`.

    Returns:
        The same tensors, names and metadata; equal bytes for equal ones.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the format wants
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
