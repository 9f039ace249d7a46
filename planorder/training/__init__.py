"""Training: seeded batches, one published objective a file, and one plain loop."""
