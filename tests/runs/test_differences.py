from accel.runs.differences import config_differences


def test_names_changed_added_and_removed_values() -> None:
    old = {"algo": {"learning_rate": 0.1, "gone": None}, "sizes": [1, 2], "seed": 0}
    new = {"algo": {"learning_rate": 0.2}, "sizes": (1, 2), "seed": 0, "new": True}
    assert config_differences(old, new) == {
        "algo.gone": "None -> (not set)",
        "algo.learning_rate": "0.1 -> 0.2",
        "new": "(not set) -> True",
    }
    assert config_differences(old, old) == {}
