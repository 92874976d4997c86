"""What the product does, a folder per feature. A feature is used through its operations only."""
