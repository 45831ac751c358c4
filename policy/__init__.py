"""What both ends must agree on: the contract, preprocessing, the encoder, the actor network, weight snapshots.

Nothing here knows of an arm or a network connection.
"""
