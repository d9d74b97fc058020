"""*Pure.* Specs: frozen, picklable descriptions of what a step does; the command line is made from them."""
