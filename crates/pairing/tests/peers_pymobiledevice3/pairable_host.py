"""pymobiledevice3's PairableHost for one connection; run by main.rs, not part of the product.

Prints JSON lines: `{"port": N}` when it listens, `{"pin": "…"}` from the PIN callback, then `{"accepted": …}` with what it
learnt and what it is, or `{"refused": "…"}`.
"""

import asyncio
import json

from pymobiledevice3.exceptions import PyMobileDevice3Exception
from pymobiledevice3.remote.tunnel_service import PairableHost, PairableHostInfo


def say(value):
    print(json.dumps(value), flush=True)


async def accept(reader, writer):
    info = PairableHostInfo(name="Their Mac", model="Mac17,7", udid="THEIR-UDID")
    host = PairableHost(reader, writer, info)
    try:
        peer = await host.accept(lambda pin: say({"pin": pin}))
        say({
            "accepted": {
                "account": peer.account_id,
                "irk": peer.alt_irk.hex(),
                "model": peer.model,
                "name": peer.name,
                "udid": peer.udid,
            },
            "identifier": info.identifier,
            "irk": info.alt_irk.hex(),
            "key": host.ed25519_private_key.public_key().public_bytes_raw().hex(),
        })
    except PyMobileDevice3Exception as error:
        say({"refused": str(error)})
    finally:
        await host.close()


async def main():
    served = asyncio.Event()

    async def serve(reader, writer):
        await accept(reader, writer)
        served.set()

    server = await asyncio.start_server(serve, "::1", 0)
    say({"port": server.sockets[0].getsockname()[1]})
    await served.wait()


asyncio.run(main())
