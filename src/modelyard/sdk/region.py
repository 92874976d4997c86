"""The platform in the words of a region: lists of prefixes, models and deployments that become data frames."""

from __future__ import annotations

from typing import Any

from modelyard.sdk.client import Client
from modelyard.sdk.entity import Listing


class Region:
    """One platform. Each list is fetched when it is asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """Where the platform is."""
        return self._client.url

    @property
    def model_prefix_list(self) -> Listing[dict[str, Any]]:
        """The namespaces of models: key, prefix."""
        return Listing({"key": found.key, "prefix": found.prefix} for found in self._client.prefixes.list())

    @property
    def model_list(self) -> Listing[dict[str, Any]]:
        """The models: model_id, name, prefix, versions, and which of them are in production and staging."""
        return Listing(
            {
                "model_id": found.id,
                "name": found.name,
                "prefix": found.prefix,
                "versions": found.data.versions,
                "latest_version": found.latest_version,
                "production_version": found.production_version,
                "staging_version": found.staging_version,
            }
            for found in self._client.models.list()
        )

    @property
    def model_deployment_list(self) -> Listing[dict[str, Any]]:
        """The deployments: key, name, worker_type, scaling, state, models."""
        return Listing(
            {
                "key": found.key,
                "name": found.key,
                "worker_type": found.environment,
                "scaling": found.replicas,
                "state": found.state,
                "models": ", ".join(f"{held.model}/{held.version}" for held in found.models),
            }
            for found in self._client.deployments.list()
        )

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()


def region(url: str | None = None, api_key: str | None = None) -> Region:
    """The platform at `url`, or the one of the environment or the profile."""
    return Region(Client(url, api_key))
