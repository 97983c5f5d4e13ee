"""The places that workers of one host may take, each with a lock of its own."""


def places_of(host: str, workers: int) -> list[str]:
    return [host] if workers == 1 else [f"{host}/{nth}" for nth in range(1, workers + 1)]
