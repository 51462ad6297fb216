import numpy as np
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.records import Kind, Store


def whole(content, what):
    if content["numbers"] and min(content["numbers"]) < 0:
        raise Failed(f"{what}: numbers: below 0")


KIND = Kind("trial", "numbers", whole, ("table.csv", "runs/*.npz"))


def test_what_is_written_is_read_back_and_what_could_not_be_read_is_not_written(tmp_path):
    with Store.opened(tmp_path, KIND, {"numbers": [1]}, lambda content: None) as store:
        store.write()
        store.put("numbers", [1, 2])
        before = (tmp_path / "results.json").read_bytes()
        with pytest.raises(Failed, match="below 0"):
            store.put("numbers", [-1])
        assert store.content["numbers"] == [1, 2]
    assert (tmp_path / "results.json").read_bytes() == before
    assert Store.at(tmp_path, KIND, {"numbers": []}).content == {"format": 1, "numbers": [1, 2]}


def test_one_at_a_time_and_only_where_it_fits(tmp_path):
    def refuse(content):
        raise BadArgument(f"numbers: {content['numbers']}")

    with (
        pytest.raises(BadArgument, match=r"numbers: \[7\]"),
        Store.opened(tmp_path / "new", KIND, {"numbers": [7]}, refuse),
    ):
        pass
    assert not (tmp_path / "new").exists()
    opened = lambda: Store.opened(tmp_path / "new", KIND, {"numbers": []}, lambda content: None)
    with opened(), pytest.raises(Failed, match="another run is writing"), opened():
        pass


def test_arrays_are_those_of_their_digest(tmp_path):
    store = Store(tmp_path, KIND, {"format": 1, "numbers": []})
    digest = store.save_arrays("runs/a.npz", {"x": np.arange(3)})
    np.testing.assert_array_equal(store.load_arrays("runs/a.npz", digest)["x"], [0, 1, 2])
    np.testing.assert_array_equal(store.load_arrays("runs/a.npz", None)["x"], [0, 1, 2])
    with pytest.raises(Failed, match="its SHA-256 is not that of its entry"):
        store.load_arrays("runs/a.npz", "0" * 64)
    np.savez_compressed(tmp_path / "runs" / "b.npz", x=np.zeros(10_000))
    with pytest.raises(Failed, match="it is compressed"):
        store.load_arrays("runs/b.npz", None)


def test_only_half_written_files_of_this_kind_are_cleared_away(tmp_path):
    (tmp_path / "runs").mkdir()
    ours = [".results.json.a.tmp", ".table.csv.b.tmp", "runs/.c.npz.d.tmp"]
    others = ["table.csv", ".other.tmp", "runs/.c.txt.tmp", "results.json"]
    for name in (*ours, *others):
        (tmp_path / name).write_text("x")
    Store(tmp_path, KIND, {}).clear()
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(others)
    # They alone are no obstacle to a new directory.
    for name in (*others, *ours[:2]):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "runs").rename(tmp_path.parent / "away")
    (tmp_path / ".table.csv.b.tmp").write_text("x")
    assert Store.at(tmp_path, KIND, {"numbers": [3]}).content["numbers"] == [3]
