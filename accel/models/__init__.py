"""Networks: a torso that turns stacked frames into features, perhaps a memory, and heads on top.

Knows tensors and shapes only: no environment, no algorithm, no optimizer. Start with
`actor_critic.py` and `q_network.py` (what policies and learners call), then `torsos.py`;
`frame_stack.py` is the one place where single frames become observations, `graphs.py` records what
is called over and over on a GPU.
"""

from accel.models.actor_critic import ActorCritic, build_model
from accel.models.frame_stack import stack_frames, view_stacks
from accel.models.network import Network
from accel.models.q_network import QNetwork, build_q_network

__all__ = [
    "ActorCritic",
    "Network",
    "QNetwork",
    "build_model",
    "build_q_network",
    "stack_frames",
    "view_stacks",
]
