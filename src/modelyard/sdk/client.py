"""`Client` and `AsyncClient`: the same resources on the two drivers."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, Self

from modelyard.features.auth.schemas import Me
from modelyard.sdk.auth import Auth, Keys
from modelyard.sdk.batch_predictions import BatchPredictions
from modelyard.sdk.builder import Builds
from modelyard.sdk.catalogue import Algorithms, Configurations, Scenarios
from modelyard.sdk.connection import AsyncConnection, SyncConnection
from modelyard.sdk.datasets import Datasets
from modelyard.sdk.deployments import Deployments
from modelyard.sdk.flow import Async, Connection, Flow, Mode, Resource, Sync, operation
from modelyard.sdk.jobs import Jobs
from modelyard.sdk.limits import Limits
from modelyard.sdk.models import Models, Prefixes
from modelyard.sdk.predictions import Predicting, Predictions
from modelyard.sdk.profile import resolve
from modelyard.sdk.training import Run, Runs, Tasks
from modelyard.sdk.usage import Usage


class _Resources(Resource[Mode], Generic[Mode]):
    """What both clients offer."""

    def __init__(self, connection: Connection[Mode]) -> None:
        self._connection: Connection[Mode] = connection
        self.auth: Auth[Mode] = Auth(connection)
        self.keys: Keys[Mode] = Keys(connection)
        self.datasets: Datasets[Mode] = Datasets(connection)
        self.scenarios: Scenarios[Mode] = Scenarios(connection)
        self.algorithms: Algorithms[Mode] = Algorithms(connection)
        self.configurations: Configurations[Mode] = Configurations(connection)
        self.tasks: Tasks[Mode] = Tasks(connection)
        self.runs: Runs[Mode] = Runs(connection)
        self.builds: Builds[Mode] = Builds(connection)
        self.jobs: Jobs[Mode] = Jobs(connection)
        self.prefixes: Prefixes[Mode] = Prefixes(connection)
        self.models: Models[Mode] = Models(connection)
        self.deployments: Deployments[Mode] = Deployments(connection)
        self.batch_predictions: BatchPredictions[Mode] = BatchPredictions(connection)
        self.limits: Limits[Mode] = Limits(connection)
        self.usage: Usage[Mode] = Usage(connection)

    @property
    def url(self) -> str:
        """Where the platform is, without a closing slash."""
        return self._connection.url

    @operation
    def whoami(self) -> Flow[Me]:
        """Who the client acts as, and what that allows."""
        return (yield from self.auth.me.flow())

    @operation
    def train(
        self,
        /,
        dataset: str,
        algorithm: str | None,
        model: str,
        *,
        parameters: dict[str, Any] | None = None,
        target: str | None = None,
        **more: Any,
    ) -> Flow[Run[Mode]]:
        """Train `algorithm` on `dataset` or `dataset@release` into a new version of `model`: a task, run once.

        `more` is what `client.tasks.create` takes besides: name, configuration, horizon, seed, search, metric,
        previous. Raises TargetMissing, BadParameters, NotFound.
        """
        made = self.tasks.create.flow(dataset, algorithm, model, parameters=parameters, target=target, **more)
        task = yield from made
        return (yield from self.tasks.start.flow(task.data.id))

    @operation
    def predict(self, model: str, data: Any = None, *, parameters: dict[str, Any] | None = None) -> Flow[Predictions]:
        """What `model` (`prefix/name`, or that with `/vN`) predicts.

        `data` is a row (a dictionary), rows, texts where a text is all that is needed, a data frame, or the path of a
        CSV file with a header; None where the model needs no rows, as to continue a series that it knows. None and NaN
        are missing values. `parameters` are what the model lets be chosen. Large data is sent in parts; rows that
        belong together must fit into one. Raises Invalid, naming field and row; NotFound, Unavailable.
        """
        return (yield from Predicting(self._connection).predict.flow(model, data, parameters=parameters))


class Client(_Resources[Sync]):
    """A platform, for programs that wait for answers. Safe to share between threads.

    `url` and `api_key` come from the arguments, else from MODELYARD_URL and MODELYARD_API_KEY, else from the profile
    that `modelyard login` keeps. `token` is a login's, in place of a key. `timeout` is how many seconds may pass
    without a byte; `retries` how often a request that does no harm twice is sent again.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        profile = resolve(url, api_key)
        key = None if token else profile.api_key
        self._driver = SyncConnection(profile.url, api_key=key, token=token, timeout=timeout, tries=retries + 1)
        super().__init__(self._driver)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Resources[Async]):
    """A platform, for programs on an event loop: as `Client`, every operation awaited."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        profile = resolve(url, api_key)
        key = None if token else profile.api_key
        self._driver = AsyncConnection(profile.url, api_key=key, token=token, timeout=timeout, tries=retries + 1)
        super().__init__(self._driver)

    async def close(self) -> None:
        """Close the connections that are kept open."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
