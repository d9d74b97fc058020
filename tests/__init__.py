"""Tests; a package, so that `tests.services` is ours and not what some library left in site-packages."""
