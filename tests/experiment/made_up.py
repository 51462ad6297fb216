"""Results of runs that nobody trained, for the tests of what is made from results."""

import numpy as np

from cnnjax.data import Dataset
from cnnjax.experiment.results import ResultsDirectory

NETWORKS = {"good": (60_000, 400_000), "<b>bad & long</b>": (5_000, 90_000), "late": (9, 10)}


def dataset(size=40):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (size, 6, 6, 1)).astype(np.uint8)
    labels = np.arange(size, dtype=np.int32) % 4
    return Dataset("toy", "test", images, labels, ("cat", "dog", "owl", "eel"))


def write(path, *, seeds=3, failures=(("late", 0),), validation=True):
    """Write results of every network and seed but the failures; return the test set."""
    data, random = dataset(), np.random.default_rng(1)
    sizes = {"train": 90, "test": len(data)} | ({"validation": 10} if validation else {})
    shared = {
        "data": {
            "name": "toy",
            "source": "toy/1.0.0",
            "image_shape": [6, 6, 1],
            "class_names": list(data.class_names),
            "validation_fraction": 0.1 if validation else 0,
            "sizes": sizes,
            "fingerprints": {"test": data.fingerprint()},
            "mean": [0.5],
            "std": [0.25],
        },
        "recipe": {"epochs": 4, "batch_size": 8, "flip": False, "clip_norm": None},
        "hyper": {"learning_rate": 0.05},
    }
    networks = {
        label: {"model": "cnn", "fields": {}, "parameters": cost[0], "multiply_adds": cost[1]}
        for label, cost in NETWORKS.items()
    }
    here = {
        "versions": {"python": "3.11.0", "jax": "0.10.2"},
        "commit": {"hash": "0123456789abcdef" * 2 + "01234567", "dirty": True},
        "hardware": {
            "cpu": "a processor",
            "cores": 2,
            "memory_bytes": 2**33,
            "devices": ["cpu: cpu"],
            "system": "Linux",
        },
    }
    with ResultsDirectory.opened(path, shared, networks, "cnnjax compare x --out 'a b'") as out:
        for label, (parameters, multiply_adds) in NETWORKS.items():
            for seed in range(seeds):
                if (label, seed) in failures or (label, None) in failures:
                    error = {"step": 7, "epoch": 1, "error": "the loss is nan at step 7"}
                    out.fail({"network": label, "seed": seed, **error, **here})
                    continue
                wrong = random.random(len(data)) < (0.1 if label == "good" else 0.4)
                predicted = np.where(wrong, (data.labels + 1) % 4, data.labels).astype(np.int32)
                history = [
                    {"epoch": epoch, "train_loss": 2 / epoch, "train_accuracy": 0.2 * epoch}
                    | ({"validation_accuracy": 0.25 * epoch} if validation else {})
                    for epoch in range(1, 5)
                ]
                run = {
                    "network": label,
                    "seed": seed,
                    "test_accuracy": float((~wrong).mean()),
                    "test_loss": 1.0,
                    "parameters": parameters,
                    "multiply_adds": multiply_adds,
                    "history": history,
                    "train_seconds": 1.5 + seed,
                    "compile_seconds": 4.0 if seed == 0 else 0.0,
                    **here,
                }
                arrays = {"predicted": predicted, "confidence": random.random(len(data))}
                if label == "good":
                    filters = random.normal(size=(2, 5, 5, 1, 6))
                    arrays |= {"filters_before": filters[0], "filters_after": filters[1]}
                out.add(run, arrays)
    return data
