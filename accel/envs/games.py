"""Names of Atari games: what people type, to the rom id ale-py uses."""

from __future__ import annotations

import difflib
import functools
import re

from ale_py.roms import get_all_rom_ids

# ALE ends the whole process with exit(1) when asked to load one of these, and Gymnasium registers
# no environment for them, so they have to be refused before an emulator sees them.
TWO_PLAYER_ONLY = frozenset({"combat", "joust", "maze_craze", "warlords"})

# Names as printed on the box, where capitalizing the rom id does not give them.
_BOX_NAMES = {
    "atlantis2": "Atlantis II",
    "darkchambers": "Dark Chambers",
    "et": "E.T.",
    "hero": "H.E.R.O.",
    "jamesbond": "James Bond 007",
    "kaboom": "Kaboom!",
    "koolaid": "Kool-Aid Man",
    "kung_fu_master": "Kung-Fu Master",
    "montezuma_revenge": "Montezuma's Revenge",
    "mr_do": "Mr. Do!",
    "ms_pacman": "Ms. Pac-Man",
    "pacman": "Pac-Man",
    "pitfall": "Pitfall!",
    "pitfall2": "Pitfall II",
    "qbert": "Q*bert",
    "riverraid": "River Raid",
    "robotank": "Robot Tank",
    "tic_tac_toe_3d": "3-D Tic-Tac-Toe",
    "trondead": "Tron: Deadly Discs",
    "up_n_down": "Up 'n Down",
    "wizard_of_wor": "Wizard of Wor",
    "yars_revenge": "Yars' Revenge",
}

_ID_AFFIXES = re.compile(r"^ale/|(noframeskip|deterministic)?-v\d+$", re.IGNORECASE)


class UnknownGame(ValueError):
    """The name belongs to no Atari game that can be played."""


class TwoPlayerGame(UnknownGame):
    """The game ships with ale-py, but has no mode for one player."""


def game_names() -> list[str]:
    """Rom ids of every game that one player can play, in alphabetical order."""
    return sorted(set(get_all_rom_ids()) - TWO_PLAYER_ONLY)


def resolve_game(name: str) -> str:
    """Return ale-py's rom id (`ms_pacman`) for a game's name in any common spelling.

    Accepted: the rom id, Gymnasium ids of every vintage (`ALE/MsPacman-v5`,
    `MsPacmanNoFrameskip-v4`), and the name on the box, whatever its case, spaces and punctuation.
    The version in an id chooses nothing: the protocol is set by the env's own options.

    Raises:
        UnknownGame: no game has that name; the message suggests the closest ones.
        TwoPlayerGame: the game needs a second player.
    """
    roms = _roms_by_key()
    rom = roms.get(_key(name)) or roms.get(_key(_ID_AFFIXES.sub("", name.strip())))
    if rom is None:
        raise UnknownGame(_unknown_message(name))
    if rom in TWO_PLAYER_ONLY:
        raise TwoPlayerGame(
            f"game {name!r}: {display_name(rom)} is for two players only, and ALE loads no game "
            f"that one player cannot play ({', '.join(sorted(TWO_PLAYER_ONLY))})"
        )
    return rom


def display_name(rom: str) -> str:
    """Return a rom id as people write it: `space_invaders` -> `Space Invaders`."""
    return _BOX_NAMES.get(rom) or rom.replace("_", " ").title()


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@functools.lru_cache(maxsize=1)
def _roms_by_key() -> dict[str, str]:
    roms = get_all_rom_ids()
    return {_key(display_name(rom)): rom for rom in roms} | {_key(rom): rom for rom in roms}


def _unknown_message(name: str) -> str:
    key = _key(_ID_AFFIXES.sub("", name.strip()))
    keys = {key: rom for key, rom in _roms_by_key().items() if rom not in TWO_PLAYER_ONLY}
    starts = [k for k in keys if len(key) >= 3 and (k.startswith(key) or key.startswith(k))]
    close = difflib.get_close_matches(key, keys, n=4, cutoff=0.6)
    suggestions = list(dict.fromkeys(keys[k] for k in starts + close))[:5]
    if suggestions:
        return f"unknown game {name!r}: did you mean {', '.join(suggestions)}?"
    return f"unknown game {name!r}; the games are: {', '.join(game_names())}"
