"""How n-grams are counted: words become numbers, n-grams become packed keys, keys are sorted and summed."""
