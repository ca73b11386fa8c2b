"""How it is computed: the methods, their tables and estimates, and the choice among them."""
