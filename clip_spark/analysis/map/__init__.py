"""make-map: pictures and texts on one plane that stays put, its regions named, its points in tiles.

`fit` and `place` give points their places, `levels` and `tiles` their files, `regions` and `names` their words. The
frame of a map (`frame.py`) is all that placing needs: whoever has it puts any embedding where the map would.
"""
