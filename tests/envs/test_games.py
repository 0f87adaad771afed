"""Game names in every spelling, and the human-normalized scale against an independent table."""

import gymnasium
import pytest
from ale_py.registration import rom_id_to_name
from ale_py.roms import get_all_rom_ids

from accel.envs.games import (
    TWO_PLAYER_ONLY,
    TwoPlayerGame,
    UnknownGame,
    display_name,
    game_names,
    resolve_game,
)
from accel.envs.scores import RANDOM_AND_HUMAN, human_normalized_score


def spellings(rom: str) -> list[str]:
    """Ways people write one game."""
    pascal = rom_id_to_name(rom)
    return [
        rom,
        rom.upper(),
        rom.replace("_", "-"),
        rom.replace("_", " ").title(),
        f" {rom} ",
        pascal,
        f"ALE/{pascal}-v5",
        f"ale/{pascal}-v5",
        f"{pascal}-v0",
        f"{pascal}NoFrameskip-v4",
        f"{pascal}Deterministic-v4",
        display_name(rom),
    ]


@pytest.mark.parametrize("rom", game_names())
def test_every_game_resolves_in_every_spelling(rom: str) -> None:
    assert {name: resolve_game(name) for name in spellings(rom)} == dict.fromkeys(
        spellings(rom), rom
    )


@pytest.mark.parametrize(
    "name, rom",
    [
        ("Ms Pac-Man", "ms_pacman"),
        ("ms-pacman", "ms_pacman"),
        ("Montezuma's Revenge", "montezuma_revenge"),
        ("Q*bert", "qbert"),
        ("3D Tic Tac Toe", "tic_tac_toe_3d"),
        ("River Raid", "riverraid"),
        ("UpNDown-v4", "up_n_down"),
    ],
)
def test_names_from_the_box(name: str, rom: str) -> None:
    assert resolve_game(name) == rom


def test_playable_games_are_those_gymnasium_registers() -> None:
    registered = {name for name in gymnasium.registry if name.startswith("ALE/")}
    assert {f"ALE/{rom_id_to_name(rom)}-v5" for rom in game_names()} == registered
    assert len(get_all_rom_ids()) == len(game_names()) + len(TWO_PLAYER_ONLY) == 108


@pytest.mark.parametrize("rom", sorted(TWO_PLAYER_ONLY))
def test_two_player_games_say_so(rom: str) -> None:
    for name in spellings(rom):
        with pytest.raises(TwoPlayerGame, match="two players only"):
            resolve_game(name)


@pytest.mark.parametrize(
    "typo, suggestion",
    [
        ("pnog", "pong"),
        ("Breakuot-v5", "breakout"),
        ("space", "space_invaders"),
        ("montezuma", "montezuma_revenge"),
        ("MsPackman", "ms_pacman"),
        ("ALE/Pong-ram-v5", "pong"),
    ],
)
def test_a_wrong_name_suggests_the_right_one(typo: str, suggestion: str) -> None:
    with pytest.raises(UnknownGame, match=rf"did you mean .*\b{suggestion}\b"):
        resolve_game(typo)


@pytest.mark.parametrize("name", ["", "xyzzyplugh", "CartPole-v1"])
def test_a_hopeless_name_lists_every_game(name: str) -> None:
    with pytest.raises(UnknownGame) as caught:
        resolve_game(name)
    assert all(rom in str(caught.value) for rom in game_names())


def test_score_table_equals_atarihns() -> None:
    scores = pytest.importorskip("atarihns.constants").ATARI_SCORES
    assert {resolve_game(name): pair for name, pair in scores.items()} == RANDOM_AND_HUMAN
    assert len(RANDOM_AND_HUMAN) == 57


@pytest.mark.parametrize("rom", RANDOM_AND_HUMAN)
def test_random_play_is_zero_and_the_human_one(rom: str) -> None:
    random, human = RANDOM_AND_HUMAN[rom]
    assert human_normalized_score(rom, random) == 0
    assert human_normalized_score(rom, human) == 1
    assert human_normalized_score(rom, 2 * human - random) == pytest.approx(2)


def test_no_scale_for_games_outside_the_table() -> None:
    assert human_normalized_score("tetris", 100.0) is None
    assert human_normalized_score("CartPole-v1", 500.0) is None
