"""Numbers on their way out: averaged between log points, then to TensorBoard, csv and the console.

Takes plain floats and counts; knows no algorithms, environments or config, and only tensorboard.py
needs torch. Start reading at writers.py.
"""
