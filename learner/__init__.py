"""The process on the GPU box: gRPC service, experience store, replay, SAC, trainer, checkpoints.

Nothing here knows of an arm.
"""
