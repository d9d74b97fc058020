"""What may happen to a finished index: append, removal, compaction, and the switch between generations."""
