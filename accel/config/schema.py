"""Every setting of a run: its type, unit, default and source.

Defaults that hold for every run stand here; what a choice changes (`algo=ppo`) stands in that
choice's yaml under `configs/`. An optional field that is None is derived from the rest: see
`derive.py`. Agent steps count decisions summed over all environments; frames = agent_steps x
env.frame_skip.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnvConfig:
    """One environment. Atari follows Machado et al. 2018 (arXiv 1709.06009)."""

    kind: str = "atari"  # atari | gym (any Gymnasium environment with discrete actions)
    game: str = "pong"  # Atari name in any spelling (Pong, ms_pacman), or a Gymnasium id
    protocol: str = "modern"  # modern: sticky actions, whole games; classic: no-ops, life loss
    screen: str = "84x84"  # frame height x width: 84x84 (area resize) | 104x80 (2x2 mean)
    frames: str = "worker"  # who makes frames of screens: worker | device (that of the actor)
    # Emulated frames per agent step, of which the last two are max-pooled (Mnih et al. 2015).
    frame_skip: int = 4
    frame_stack: int = 4  # newest frames that make one observation (Mnih et al. 2015)
    repeat_action_probability: float | None = None  # sticky actions; modern 0.25, classic 0
    max_noops: int | None = None  # random no-ops at a game's start; modern 0, classic 30
    terminal_on_life_loss: bool | None = None  # cuts returns in training; modern no, classic yes
    # The learner sees the sign of the reward. None: atari yes, unless algo.value_rescaling; gym no.
    clip_rewards: bool | None = None
    full_action_space: bool = False  # all 18 joystick actions instead of the game's own
    fire_on_reset: bool = False  # press FIRE after a reset, as some older code bases do
    max_frames_per_episode: int = 108_000  # frames, then truncation (30 minutes at 60 Hz); 0: none
    mode: int | None = None  # the game's mode number (Atari flavors)
    difficulty: int | None = None  # the game's difficulty switch


@dataclass(frozen=True, kw_only=True)
class AlgoConfig:
    """What every algorithm needs. The values stand in configs/algo/*.yaml."""

    name: str  # the option of the group that the values are of
    learning_rate: float  # at the start of training
    learning_rate_schedule: str  # constant | linear (to 0 at total_agent_steps)
    discount: float  # per agent step
    rollout_length: int  # agent steps per environment between updates
    max_grad_norm: float | None  # global norm of all gradients together; None: no limit
    optimizer: str  # adam | rmsprop
    optimizer_epsilon: float
    # Over agent steps in which the learning rate rises linearly from 0 to what its schedule says,
    # times which it counts; from the first update on. 0: none.
    learning_rate_warmup_agent_steps: int = 0
    rmsprop_decay: float = 0.99  # decay of RMSProp's mean square; unused by adam, as the next two
    # Where the mean square starts, in units of the loss's squared gradient: 1 in TensorFlow, whose
    # first steps are as small as the gradient; 0 in torch and Lasagne.
    rmsprop_initial_mean_square: float = 0.0
    epsilon_inside_sqrt: bool = False  # RMSProp: sqrt(v + eps) as TensorFlow and Lasagne did
    asynchronous: bool = False  # learners share weights, not updates: none waits for the others


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(AlgoConfig):
    """What algorithms with a policy and a value function need."""

    entropy_coef: float  # weight of the entropy bonus
    entropy_coef_schedule: str = "constant"  # or linear, to 0 at total_agent_steps
    value_coef: float  # weight of the value loss


@dataclass(frozen=True, kw_only=True)
class GAEConfig(ActorCriticConfig):
    """What actor-critics that learn from generalized advantage estimates need."""

    gae_lambda: float  # 1: n-step returns, 0: one-step (Schulman et al. 2016, arXiv 1506.02438)
    normalize_advantages: bool  # zero mean, unit variance over each minibatch


@dataclass(frozen=True, kw_only=True)
class PPOConfig(GAEConfig):
    """Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347)."""

    num_epochs: int  # passes over each rollout
    num_minibatches: int  # optimizer steps per pass
    clip_range: float  # of the probability ratio, around 1
    clip_range_schedule: str  # constant | linear (to 0 at total_agent_steps)
    clip_value: float | None  # greatest change of a value estimate per update; None: no clipping
    target_kl: float | None  # stop the passes when the policy moved further, nats; None: never


@dataclass(frozen=True, kw_only=True)
class A2CConfig(GAEConfig):
    """Synchronous advantage actor-critic (Mnih et al. 2016, arXiv 1602.01783)."""


@dataclass(frozen=True, kw_only=True)
class IMPALAConfig(ActorCriticConfig):
    """Actor-critic with V-trace on older data (Espeholt et al. 2018, arXiv 1802.01561)."""

    vtrace_lambda: float  # 1: corrections from all later steps, 0: one-step
    rho_bar: float  # greatest weight of a step, probability now over probability when it was taken
    c_bar: float  # greatest factor that carries later corrections back over a step; <= rho_bar
    num_minibatches: int  # optimizer steps per rollout, each on whole environments


@dataclass(frozen=True, kw_only=True)
class QConfig(AlgoConfig):
    """What every algorithm that acts epsilon-greedily on action values needs."""

    epsilon_initial: float  # chance of a random action at the start
    epsilon_final: float  # the same from epsilon_decay_agent_steps on
    epsilon_final_min: float | None  # None: alike for all; else environments from here to final
    epsilon_decay_agent_steps: int  # agent steps of the straight line between the two
    epsilon_eval: float  # in evaluations


@dataclass(frozen=True, kw_only=True)
class PQNConfig(QConfig):
    """Parallelized Q-network: Q(lambda) without replay (Gallici et al. 2024, arXiv 2407.04811)."""

    q_lambda: float  # 1: returns to the rollout's end, 0: one-step
    num_epochs: int  # passes over each rollout
    num_minibatches: int  # optimizer steps per pass


@dataclass(frozen=True, kw_only=True)
class DQNConfig(QConfig):
    """Q-learning from replay: DQN (Mnih et al. 2015), its distributional forms, and switches.

    Everything counts global agent steps or samples, whatever the number of learners.
    """

    distribution: str  # of returns: expected | categorical (C51) | quantile (QR) | implicit (IQN)
    target: str  # q_learning (best action) | sarsa (action taken) | monte_carlo (return to the end)
    double: bool  # the online network chooses the target's action (van Hasselt et al. 2016)
    dueling: bool  # separate streams for value and advantage (Wang et al. 2016)
    noisy: bool  # noise in the head's weights explores (Fortunato et al. 2018)
    # Rewards the policy's own preference (Vieillard et al. 2020, with a learning rate of 5e-5).
    munchausen: bool
    # Learns squashed values, of rewards that are not clipped (Pohlen et al. 2018); expected only.
    value_rescaling: bool
    n_step: int  # rewards before the bootstrap
    batch_size: int  # samples per optimizer step
    replay_capacity: int  # agent steps kept, of all environments together
    save_replay: bool  # on disk as well: a resumed run then equals one that never stopped
    learning_starts: int  # agent steps before the first update
    replay_ratio: float  # samples learned per sample generated; 8: 32 samples every 4 steps
    target_interval_agent_steps: int  # between copies of the weights to the target network
    prioritized: bool  # by proportional priorities (Schaul et al. 2016); else uniform
    priority_exponent: float  # alpha; 0: uniform
    importance_exponent: float  # beta at the start
    importance_exponent_final: float = 1.0  # at total_agent_steps, in a straight line
    huber_delta: float | None  # where the loss turns linear; None: squared. Expected values only
    v_min: float  # least return that categorical can tell
    v_max: float  # greatest one
    num_atoms: int  # of categorical
    num_quantiles: int  # of quantile and implicit


@dataclass(frozen=True, kw_only=True)
class R2D2Config(DQNConfig):
    """Recurrent Q-learning from sequences (Kapturowski et al. 2019). Needs model.core.

    Sequences start where rollouts do, every `rollout_length` steps, from the state stored there.
    """

    burn_in: int  # first steps of a sequence, which only warm the state up
    sequence_length: int  # steps that are learned from
    priority_eta: float  # share of the greatest error in a sequence's priority, the rest the mean


@dataclass(frozen=True)
class ModelConfig:
    """The network that maps an observation to action logits and a value, or to action values."""

    name: str = "nature_cnn"  # nature_cnn | impala_cnn | small_cnn (images), mlp (vectors)
    hidden_size: int = 512  # units of the last hidden layer
    separate_critic: bool = False  # a torso of its own for the value
    layer_norm: bool | None = None  # normalize each layer's output; None: as the algorithm does
    initialization: str = "orthogonal"  # orthogonal | default (torch's own)
    core: str = "none"  # memory between the last hidden layer and the heads: none | lstm | gru
    core_size: int = 256  # units of the core


@dataclass(frozen=True)
class SamplerConfig:
    """How environments are stepped. Of all this only num_envs changes the data."""

    kind: str = "parallel"  # parallel (worker processes) | serial (in the learner's process)
    num_envs: int = 8  # environments in all; set by the algorithm's yaml
    num_workers: int | None = None  # of a learner; None: by the cores, see config/workers.py
    # Groups served in turn: one acts while the other steps. None: 2, but 1 for A2C on a CPU.
    num_groups: int | None = None
    decorrelation_steps: int = 0  # most random agent steps per environment before training
    timeout_s: float = 10.0  # seconds without a worker's answer before the run stops


@dataclass(frozen=True)
class HardwareConfig:
    """Learners and threads. Derived from what the process may use unless set."""

    learners: int | None = None  # None: one per visible GPU, else 1; see derive.resolve_learners
    scaling: str = "strong"  # strong: num_envs is shared by the learners | weak: each has as many
    learning_rate_scaling: str = "none"  # with the batch of weak scaling: none | sqrt | linear
    learner_threads: int | None = None  # threads of an update
    actor_threads: int | None = None  # threads of the acting network's forward pass
    cuda_graphs: bool | None = None  # record acting and updates, and replay; None: on a GPU


@dataclass(frozen=True)
class RunnerConfig:
    """How acting and learning take turns."""

    # Updates that acting may be behind learning. 0: collect, then learn. 1: an actor process plays
    # the next rollout meanwhile, with the weights from before the update; runs repeat exactly.
    # free: it plays on with the newest weights it finds. None: 1 on a GPU if the algorithm allows.
    policy_lag: str | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """One training run."""

    env: EnvConfig
    algo: AlgoConfig
    model: ModelConfig
    sampler: SamplerConfig
    hardware: HardwareConfig
    runner: RunnerConfig = RunnerConfig()
    seed: int = 0  # environment i and its action noise depend on the seed and i alone
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    precision: str = "auto"  # of the torso: auto | fp32 | bf16
    total_agent_steps: int = 10_000_000  # length of the run; x frame_skip = frames
    stop_at_return: float | None = None  # mean score of 100 training games that ends it earlier
    results_root: str = "results/runs"  # where run folders are made
    run_dir: str = "auto"  # auto: results_root/<name>/<other overrides>/seed<seed>
    resume: str = "auto"  # auto (continue an unfinished run) | off | must
    overwrite: bool = False  # replace a finished run of the same folder
    fork: str | None = None  # RUN@STEP: start from a checkpoint of another run; see runners/fork.py
    fork_partial: bool = False  # of the fork's network load what fits, by name and shape
    log_interval_s: float = 5.0  # seconds between progress lines and curve points
    checkpoint_interval_s: float = 300.0  # seconds
    keep_checkpoints: int = 2  # newest checkpoints kept
    eval_interval_agent_steps: int = 0  # agent steps between evaluations; 0: none
    eval_episodes: int = 10  # whole games per evaluation, raw scores
    profile: bool = False  # the timeline of a few iterations as profile.json and profile.png
