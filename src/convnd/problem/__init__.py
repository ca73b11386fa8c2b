"""What is asked: arguments, their errors, and the problem in canonical form. Pure Python; no sample is touched."""
