"""The user's arguments: what they may be, what they mean, and every error about them."""
