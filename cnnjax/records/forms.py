"""What provenance and numbers in a file of results must be, for the schemas of all of them."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

__all__ = ["Amount", "Commit", "Count", "Hardware", "Positive", "Provenance"]

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Amount = Annotated[float, Meta(ge=0)]


class Commit(TypedDict):
    """Of `cnnjax.records.commit`."""

    hash: str
    dirty: bool


class Hardware(TypedDict):
    """Of `cnnjax.records.hardware`; what version 0.1.0 did not write may be absent."""

    cpu: str
    cores: Positive | None
    memory_bytes: Positive | None
    devices: list[str]
    system: str
    processor: NotRequired[str]


class Provenance(TypedDict):
    """Of `cnnjax.records.here`."""

    versions: dict[str, str]
    commit: Commit | None
    hardware: Hardware
