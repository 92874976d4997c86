"""Jobs: the queue, its leases, progress, logs and metric history of anything that takes long."""
