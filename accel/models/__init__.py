"""Networks: a torso that turns stacked frames into features, and heads on top of it.

Knows tensors and shapes only: no environment, no algorithm, no optimizer. Start with
`actor_critic.py` (what a policy and a learner call), then `torsos.py`; `frame_stack.py` is the one
place where single frames become observations.
"""

from accel.models.actor_critic import ActorCritic, build_model
from accel.models.frame_stack import stack_frames, view_stacks

__all__ = ["ActorCritic", "build_model", "stack_frames", "view_stacks"]
