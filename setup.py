"""Package metadata. Exact pins of a known good set are in requirements.txt."""

from setuptools import find_packages, setup

setup(
    name="accel",
    version="0.1.0",
    description="Actor-learner deep RL on CPUs and GPUs, from command line to solved game",
    packages=find_packages(include=["accel", "accel.*"]),
    package_data={"accel": ["py.typed"]},
    python_requires=">=3.10,<3.14",
    license="MIT",
)
