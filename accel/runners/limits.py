"""What of a config decides how its run can be made faster."""

from __future__ import annotations

from dataclasses import replace

from accel.config.derive import Derived, num_minibatches
from accel.config.learners import cores_per_learner
from accel.config.machine import has_cuda_driver
from accel.config.overlap import tolerates_lag
from accel.config.schema import Config, DQNConfig
from accel.config.workers import cores_for_workers, resolve_workers
from accel.metrics.verdict import Setup


def setup_of(config: Config, derived: Derived) -> Setup:
    """The settings and machine that advice must fit; see `accel.metrics.verdict`."""
    sampler, algo = config.sampler, config.algo
    cores = cores_per_learner(config, derived.machine)
    by_itself = replace(config, sampler=replace(sampler, num_workers=None))
    num_workers = derived.num_workers if sampler.kind == "parallel" else 0
    from_replay = isinstance(algo, DQNConfig)
    weak = config.hardware.scaling == "weak"  # num_envs has been multiplied: undo it
    on_gpu = derived.device.startswith("cuda")
    env = config.env
    may_lag = tolerates_lag(algo) and not algo.asynchronous
    return Setup(
        cores=cores,
        num_envs=sampler.num_envs // derived.num_learners if weak else sampler.num_envs,
        num_workers=num_workers,
        worker_cores=cores_for_workers(config, derived.machine)[0],
        most_workers=resolve_workers(by_itself, derived.machine)[0],
        can_alternate=num_workers > 0
        and derived.num_groups == 1
        and derived.envs_per_learner % 2 == 0
        and derived.envs_per_learner >= 2 * num_workers,
        actor_threads=derived.actor_threads,
        learner_threads=derived.learner_threads,
        on_gpu=on_gpu,
        has_gpu=has_cuda_driver(),
        is_small=config.model.name == "mlp",
        can_make_frames=on_gpu and env.kind == "atari" and env.frames != "device",
        # On a CPU acting and learning share the cores: side by side each is slower.
        can_overlap=may_lag and on_gpu and derived.policy_lag == "0",
        num_epochs=getattr(algo, "num_epochs", 1),
        num_minibatches=num_minibatches(config),
        replay_ratio=algo.replay_ratio if from_replay else None,
        batch_size=algo.batch_size if from_replay else None,
    )
