"""The page: the wiring live, what a thing is made of, how a pod was born, a packet's way.

`server.serve` is the one door. It shows what `draw`, `explain` and `logs` say of a snapshot, and
has no layout and no judgement of its own. Where snapshots come from is handed over (`feed.Feed`).
"""
