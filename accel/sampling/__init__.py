"""Sampling: environments in worker processes, a policy that serves them, rollouts in shared memory.

Knows environments and policies; must not know algorithms, replay, configuration or logging.
Start with `sampler.py` (the loop that fills a rollout), then `workers.py` and `worker.py` (the two
ends of a worker process) and `accel/shared.py` (the memory between them). `remote.py` and
`actor_process.py` are the two ends of a sampler in a process of its own.
"""
