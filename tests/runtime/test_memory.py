"""What is left of memory, read from files as Linux writes them."""

import pytest

from cnnjax.errors import Failed
from cnnjax.runtime import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return what writes the files of a made-up system."""
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)

    def write(machine=None, **group):
        if machine is not None:
            (tmp_path / "meminfo").write_text(machine)
        for name, text in group.items():
            (tmp_path / f"memory.{name}").write_text(text)

    return write


MACHINE = "MemTotal:       9 kB\nMemFree:        1 kB\nMemAvailable:   5 kB\n"


@pytest.mark.parametrize(
    ("machine", "group", "expected"),
    [
        (None, {}, None),
        ("MemTotal: 9 kB\n", {}, None),
        ("nonsense", {}, None),
        (MACHINE, {}, 5 * 1024),
        (MACHINE, {"max": "max", "current": "5"}, 5 * 1024),
        (MACHINE, {"max": "3000", "current": "2500"}, 5 * 1024),  # without the third file
        (MACHINE, {"max": "3000", "current": "2500", "stat": "a 1\ninactive_file 40\n"}, 540),
        (MACHINE, {"max": "90000", "current": "10", "stat": "inactive_file 0"}, 5 * 1024),
        (MACHINE, {"max": "3000", "current": "3900", "stat": "inactive_file 40"}, 0),
    ],
)
def test_what_is_left(system, machine, group, expected):
    system(machine, **group)
    assert memory.available_bytes() == expected


def test_more_than_is_left_is_refused(system):
    system(MACHINE)
    memory.need_bytes(5 * 1024, "it", "take less")
    with pytest.raises(Failed, match=r"^it takes 0\.0 GiB of memory, .* left; take less$"):
        memory.need_bytes(5 * 1024 + 1, "it", "take less")
    system(MACHINE.replace("5 kB", f"{3 * 2**20} kB"))
    with pytest.raises(Failed, match=r"takes 4\.5 GiB of memory, and 3\.0 GiB is left"):
        memory.need_bytes(9 * 2**29, "it", "take less")


def test_where_the_system_does_not_say_all_is_tried(system):
    memory.need_bytes(2**60, "it", "take less")
