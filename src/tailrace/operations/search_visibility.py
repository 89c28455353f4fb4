"""Makes everything written to the search indices visible."""

from elasticsearch import ApiError, TransportError

from tailrace.addresses import resolve
from tailrace.consumers.search.indices import Indices, connect
from tailrace.errors import UnreachableError
from tailrace.settings import Settings


async def refresh_search(settings: Settings) -> None:
    """Refresh what is behind the aliases. Raises `UnreachableError` where Elasticsearch does not answer."""
    client = connect(resolve(settings).elasticsearch, settings.elasticsearch)
    try:
        await Indices(client, settings.elasticsearch).refresh()
    except (ApiError, TransportError) as error:
        raise UnreachableError(f"elasticsearch: {type(error).__name__}", fix="tailrace doctor") from error
    finally:
        await client.close()
