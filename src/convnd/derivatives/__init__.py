"""Transposes and derivatives of convolutions, expressed as convolutions where they are."""
