"""What the agent reads of its machine. Every probe may fail alone; the report says which did."""
