"""The direct method for calls from users' compiled functions: from arguments to tables, all of it compiled."""
