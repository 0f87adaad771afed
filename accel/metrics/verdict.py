"""What limits a run, and what would change that: one line made of where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_BUSY = 0.7  # share of the sampling time that workers step without waiting for their turn
_WORTH_HIDING = 0.15  # share of the time that is worth running beside the rest


@dataclass(frozen=True)
class TimeShares:
    """What the time of one learner and its actor went into, as shares of the wall time, 0 to 1."""

    environments: float  # the actor waited for them, or stepped them itself
    inference: float  # of the actor
    learning: float  # of the learner, without communication
    communication: float = 0.0  # of the learner, waiting for slower ones included
    workers_busy: float = 0.0  # of the mean worker, stepping
    waited_for_actor: float | None = None  # of the learner; None where actor and learner take turns
    waited_for_learner: float | None = None  # of the actor, for a slot to fill; None likewise

    @classmethod
    def of(cls, seconds: Mapping[str, float], wall_s: float, has_workers: bool) -> TimeShares:
        """From the seconds of a log interval's sections; absent ones took no time."""
        share = {name: spent / wall_s for name, spent in seconds.items()}
        communication = share.get("communication", 0.0)
        return cls(
            environments=share.get("wait" if has_workers else "env", 0.0),
            inference=share.get("inference", 0.0),
            learning=share.get("learn", 0.0) - communication,
            communication=communication,
            workers_busy=share.get("env", 0.0),
            waited_for_actor=share.get("learner_wait"),
            waited_for_learner=share.get("actor_wait"),
        )

    @property
    def overlap(self) -> bool:
        """Whether actor and learner run at once."""
        return self.waited_for_actor is not None

    def by_limit(self) -> dict[str, float]:
        """Shares of all that can limit a run, by its name."""
        return {
            "environments": self.environments,
            "inference": self.inference,
            "learner": self.learning,
            "communication": self.communication,
        }


@dataclass(frozen=True)
class Setup:
    """What of a run's settings and machine decides which advice helps."""

    cores: int  # that this learner, its actor and its workers may use
    num_envs: int  # as the user gives it
    worker_cores: int  # of them those that its workers may fill
    num_workers: int  # of a learner; 0: the actor steps the environments itself
    most_workers: int  # that these cores and the environments allow, and that make a step shorter
    can_alternate: bool  # a second group would leave each worker environments of both
    actor_threads: int
    learner_threads: int
    on_gpu: bool
    has_gpu: bool  # whether the machine shows one
    is_small: bool = False  # the network: calls cost more than arithmetic, and a GPU's cost most
    can_make_frames: bool = False  # the GPU, which leaves the workers nothing but the emulator
    can_overlap: bool = False  # runner.policy_lag is 0, may be 1 and would hide work
    num_epochs: int = 1
    num_minibatches: int = 1
    replay_ratio: float | None = None  # None: the algorithm learns from rollouts
    batch_size: int | None = None  # of an update from replay


@dataclass(frozen=True)
class Verdict:
    """What limits a run, by name, and the line that tells a person."""

    limit: str  # environments | inference | learner | communication
    text: str


def verdict(shares: TimeShares, setup: Setup) -> Verdict:
    """Name what limits a run whose time went into `shares`, and what to change.

    Actor and learner in turns: what took the most time does. At once: whoever waits less for the
    other is the slower side, and what takes most of its time limits.
    """
    limit = limit_of(shares)
    parts = shares.by_limit()
    asides = [
        f"{name} {_percent(share)}" for name, share in parts.items() if share and name != limit
    ]
    if shares.overlap:
        asides.append(f"learner waited {_percent(shares.waited_for_actor)}")
        asides.append(f"actor waited {_percent(shares.waited_for_learner or 0.0)}")
    name = limit if limit in ("inference", "communication") else f"the {limit}"
    beside = f" ({', '.join(asides)})" if asides else ""
    advice = "; or ".join(_ADVICE[limit](shares, setup))
    text = f"limited by {name}, {_percent(parts[limit])} of the time{beside}. Faster: {advice}"
    return Verdict(limit, text)


def limit_of(shares: TimeShares) -> str:
    """The name of what limits; see `verdict`."""
    parts = shares.by_limit()
    sampling, learning = ("environments", "inference"), ("learner", "communication")
    if not shares.overlap:
        sides = (*sampling, *learning)
    elif shares.waited_for_actor > (shares.waited_for_learner or 0.0):
        sides = sampling
    else:
        sides = learning
    return max(sides, key=parts.__getitem__)


def _for_environments(shares: TimeShares, setup: Setup) -> Iterator[str]:
    if setup.num_workers == 0:
        if setup.cores > 1 and setup.num_envs > 1:
            yield "sampler=parallel, to step environments in worker processes"
        else:
            yield "more CPU cores, and sampler=parallel"
        return
    if setup.num_workers < setup.most_workers:
        yield f"sampler.num_workers={setup.most_workers}"
    elif setup.num_workers < setup.worker_cores:
        yield (
            f"a sampler.num_envs that {setup.worker_cores} cores can share, which have "
            f"{setup.num_workers} workers now"
        )
    elif shares.workers_busy < _BUSY * (shares.environments + shares.inference):
        yield (
            f"sampler.num_envs={2 * setup.num_envs}: workers with few environments wait more for "
            "their turn"
        )
    else:
        yield f"more CPU cores: {setup.num_workers} workers have one each"
    if setup.can_make_frames:
        yield "env.frames=device: workers leave making frames to the GPU"
    yield from _overlap(shares.learning + shares.communication, setup, "sampling goes on meanwhile")


def _for_inference(shares: TimeShares, setup: Setup) -> Iterator[str]:
    if setup.can_alternate:
        yield "sampler.num_groups=2: one group steps while the other is served"
    free = setup.cores - setup.num_workers
    if setup.on_gpu or setup.is_small:
        yield f"sampler.num_envs={2 * setup.num_envs}: each forward pass serves more environments"
        return
    if setup.actor_threads < free:
        yield f"hardware.actor_threads={free}"
    yield _a_gpu(setup)


def _for_learner(shares: TimeShares, setup: Setup) -> Iterator[str]:
    if setup.on_gpu or setup.is_small:
        yield f"{_larger_batches(setup)}, as fewer but larger batches are faster"
    else:
        if not shares.overlap and setup.learner_threads < setup.cores:
            yield f"hardware.learner_threads={setup.cores}"
        yield _a_gpu(setup)
    if setup.num_epochs > 1:
        yield f"algo.num_epochs={setup.num_epochs - 1}, which learns less from each sample"
    if setup.replay_ratio is not None:
        yield f"algo.replay_ratio={setup.replay_ratio / 2:g}, which learns less from each sample"
    sampling = shares.environments + shares.inference
    yield from _overlap(sampling, setup, "learning goes on meanwhile")


def _for_communication(shares: TimeShares, setup: Setup) -> Iterator[str]:
    yield f"{_larger_batches(setup)}, so that exchanges are rarer"
    yield "learners of equal speed, as the time includes waiting for the slowest"


def _larger_batches(setup: Setup) -> str:
    """The setting that makes larger batches of the same samples; of more where none does."""
    if setup.batch_size is not None:
        return f"algo.batch_size={2 * setup.batch_size}"
    if setup.num_minibatches % 2 == 0:
        return f"algo.num_minibatches={setup.num_minibatches // 2}"
    return f"sampler.num_envs={2 * setup.num_envs}"


def _overlap(hidden: float, setup: Setup, meaning: str) -> Iterator[str]:
    if setup.can_overlap and hidden > _WORTH_HIDING:
        yield f"runner.policy_lag=1: {meaning}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _a_gpu(setup: Setup) -> str:
    return "device=cuda" if setup.has_gpu else "a GPU"


_ADVICE: dict[str, Callable[[TimeShares, Setup], Iterator[str]]] = {
    "environments": _for_environments,
    "inference": _for_inference,
    "learner": _for_learner,
    "communication": _for_communication,
}
