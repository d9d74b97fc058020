"""publish and verify-dataset: an index and its data in the layouts of other tools, with a card and checksums."""
