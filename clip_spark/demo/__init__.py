"""The bundled model, pictures and words of `clip-spark demo`."""
