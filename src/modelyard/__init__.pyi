from modelyard.sdk.client import AsyncClient as AsyncClient
from modelyard.sdk.client import Client as Client
from modelyard.sdk.region import region as region

__version__: str
