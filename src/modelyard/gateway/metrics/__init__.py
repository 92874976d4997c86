"""What a gateway counts, and how Prometheus reads it: all gateway processes of a machine, from whichever is asked."""

from modelyard.gateway.metrics.counts import DeploymentGauge, Meter
from modelyard.gateway.metrics.metrics import Metrics

__all__ = ["DeploymentGauge", "Meter", "Metrics"]
