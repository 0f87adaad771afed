"""The command lines of the dry run: every algorithm and variant, as small as they may be."""

from tests.run_commands import words

COMMON = words(
    "device=cuda:0 precision=bf16 hardware.cuda_graphs=true hardware.learner_threads=1 "
    "hardware.actor_threads=1 sampler=parallel sampler.num_workers=2 sampler.num_envs=8 "
    "sampler.num_groups=2 algo.rollout_length=8 runner.policy_lag=0 model.hidden_size=64 "
    "eval_interval_agent_steps=0"
)
CATCH = words("env=gym env.game=catch_game:Catch-v0 env.frame_stack=4")
PONG = words("env.game=pong env.protocol=classic")
_PPO = "algo.num_epochs=1 "
_REPLAY = (
    "algo.replay_capacity=1000 algo.learning_starts=128 algo.batch_size=32 algo.replay_ratio=2 "
    "algo.target_interval_agent_steps=64 "
)
_DQN = "algo=dqn " + _REPLAY

TRAININGS = {
    "ppo": "algo.num_epochs=2",
    "ppo_lstm": _PPO + "model.core=lstm",
    "ppo_schedules_fp32": _PPO
    + "precision=fp32 algo.clip_range_schedule=linear algo.entropy_coef_schedule=linear",
    "ppo_separate": _PPO + "model=impala_cnn model.separate_critic=true",
    "ppo_frames_on_device": _PPO + "env.frames=device",
    "ppo_ahead": _PPO + "runner.policy_lag=1",
    "ppo_ahead_frames_on_device": _PPO + "runner.policy_lag=1 env.frames=device",
    "a2c": "algo=a2c",
    "a2c_gru": "algo=a2c model.core=gru",
    "a3c": "algo=a3c",
    "impala": "algo=impala",
    "pqn": "algo=pqn algo.num_minibatches=4 algo.num_epochs=1",
    "dqn": _DQN,
    "dqn_free": _DQN + "runner.policy_lag=free",
    "double_dueling": _DQN + "algo.double=true algo.dueling=true algo.n_step=3",
    "munchausen": _DQN + "algo.munchausen=true",
    "value_rescaling": _DQN + "algo.value_rescaling=true",
    "sarsa": _DQN + "algo.target=sarsa",
    "monte_carlo": _DQN + "algo.target=monte_carlo env.max_frames_per_episode=0",
    "prioritized": _DQN + "algo.prioritized=true",
    "c51": "algo=c51 " + _REPLAY,
    "qr_dqn": "algo=qr_dqn " + _REPLAY,
    "iqn": "algo=iqn " + _REPLAY,
    "iqn_noisy": "algo=iqn algo.noisy=true algo.double=true " + _REPLAY,
    "rainbow": "algo=rainbow " + _REPLAY,
    "eps_rainbow": "algo=eps_rainbow " + _REPLAY,
    "r2d2": "algo=r2d2 algo.replay_capacity=4000 algo.learning_starts=128 algo.batch_size=8 "
    "algo.burn_in=2 algo.sequence_length=4 algo.n_step=2 algo.replay_ratio=2 "
    "algo.target_interval_agent_steps=64",
}
