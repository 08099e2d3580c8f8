"""Training without clean images, judged on simulated recordings: ``python -m benchmarks.zero_shot``.

`scenes` draws phantoms of its own for training and adds a wrong sound speed to the sets of `benchmarks.comparison`,
`training` records them and trains the networks, `judging` runs networks and filters through the comparison's protocol,
`figures` and `report` say what came out, `plan` what it will take.
"""
