"""A virtual SO-101: servos on pseudo-terminals and network cameras, to which the real drivers connect.

From the wire inwards: `line` is the pseudo-terminal, `bus` the half-duplex bus with its faults, `packets` its bytes,
`servo` one STS3215 with its `registers`, `bodies` what the servos move, `world` the clock that moves it. `cameras`
show it, `control` lets a test or a person be its hands and its accidents, `station` holds the parts together.
Nothing here imports LeRobot: it is the other end of LeRobot's wire.
"""
