"""What the agent does to its machine, only by an order signed for it."""
