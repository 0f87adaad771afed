"""The run folder: what was run, by which code, on which machine, and where it can go on from.

Knows files and git only: no environments, algorithms or devices, and no torch at import, so runs
can be listed and compared without it. Start reading at folder.py.
"""
