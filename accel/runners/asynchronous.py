"""What asynchronous learners do besides; with synchronous ones nothing happens here.

See `accel/learning/async_.py` for what they do.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from accel.config.schema import AlgoConfig
from accel.learning import Learner
from accel.learning.async_ import PushStats, SharedOptimizer
from accel.learning.async_team import Asynchronous
from accel.learning.optimizers import MOMENTS, Optimizer
from accel.learning.replay_learner import ReplayLearner
from accel.learning.shared_parameters import SharedParameters, shared_fields
from accel.learning.sync import Alone
from accel.runners.build_learning import optimizer

AnyLearner = Learner | ReplayLearner


def share_weights(algo: AlgoConfig, learner: AnyLearner, team: Alone) -> None:
    """Make a new learner push into the weights that asynchronous ones share. All call this."""
    if not isinstance(team, Asynchronous):
        return
    weights = learner.flat.master
    block = team.share(shared_fields(len(weights), MOMENTS[algo.optimizer]))

    def build(parameters: Tensor, state: Mapping[str, Tensor]) -> Optimizer:
        return optimizer(algo, parameters, state)

    shared = SharedParameters(block, team.ranks)
    learner.replace_optimizer(SharedOptimizer(weights, shared, build))


def unite(learner: AnyLearner, team: Alone, agent_steps: int) -> int:
    """Now that all have met: take the weights that all have pushed into; the job's agent steps."""
    if isinstance(learner.optimizer, SharedOptimizer):
        learner.optimizer.pull()
        learner.flat.refresh()
    return team.advance(agent_steps, 0)


def push_metrics(learner: AnyLearner, team: Alone) -> dict[str, float]:
    """Of all learners since the last call: pushes, their lag, waits for locks. All call this.

    The lag of a push is the number of pushes that others have made to the same chunk of weights
    since this learner took it: 0 is what a learner alone has, and n - 1 the fair share of n.
    """
    if not isinstance(learner.optimizer, SharedOptimizer):
        return {}
    every = team.gather(learner.optimizer.pop_stats())
    some = [stats for stats in every if stats.visits] or [PushStats()]
    visits = max(1, sum(stats.visits for stats in some))
    return {
        "stats/async_pushes": sum(stats.pushes for stats in some),
        "stats/async_lag_min": min(stats.lag_min for stats in some),
        "stats/async_lag_mean": sum(stats.lag_sum for stats in some) / visits,
        "stats/async_lag_max": max(stats.lag_max for stats in some),
        "stats/async_lock_wait_mean_us": 1e6 * sum(stats.wait_sum_s for stats in some) / visits,
        "stats/async_lock_wait_max_us": 1e6 * max(stats.wait_max_s for stats in some),
    }
