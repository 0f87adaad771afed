import json

from accel.metrics.episodes import EpisodeWindow
from accel.types import Episode


def _games(*returns: float) -> list[Episode]:
    return [Episode(score, int(10 * score), env_index=0) for score in returns]


def test_means_over_the_last_games_only() -> None:
    window = EpisodeWindow(size=2)
    window.extend(_games(100, 3, 5))
    assert window.mean_return == 4
    assert window.mean_length == 40
    assert window.num_games == 2
    assert window.metrics() == {
        "charts/episodic_return": 4,
        "charts/episodic_length": 40,
        "charts/episodes": 3,
    }


def test_nothing_is_claimed_before_the_first_game_has_ended() -> None:
    window = EpisodeWindow()
    assert window.mean_return is None and window.mean_length is None
    assert window.metrics() == {"charts/episodes": 0}


def test_a_resumed_window_goes_on_as_the_old_one() -> None:
    window, resumed = EpisodeWindow(size=3), EpisodeWindow(size=3)
    window.extend(_games(1, 2, 3, 4))
    resumed.extend(_games(99))
    resumed.load_state_dict(json.loads(json.dumps(window.state_dict())))
    for each in (window, resumed):
        each.extend(_games(8))
    assert resumed.metrics() == window.metrics()
    assert resumed.metrics()["charts/episodic_return"] == 5


def test_a_smaller_window_keeps_the_newest_games() -> None:
    window, smaller = EpisodeWindow(size=3), EpisodeWindow(size=1)
    window.extend(_games(1, 2, 7))
    smaller.load_state_dict(window.state_dict())
    assert smaller.mean_return == 7
