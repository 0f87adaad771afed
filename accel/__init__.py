"""accel: actor-learner deep RL on CPUs and GPUs. See README.md for the map of the rooms."""
