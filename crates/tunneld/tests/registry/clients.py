"""pymobiledevice3's own clients of a tunneld at the port given: what they list, and bytes through WS /connect.

Arguments: port, UDID, the tunnel's address, a port behind the tunnel that says "hello " and sends everything back.
"""

import asyncio
import json
import sys

from pymobiledevice3.tunneld import api

PORT, UDID, ADDRESS, ECHO = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


async def main():
    at = ("127.0.0.1", PORT)
    listed = await api.get_tunneld_tunnels(at)
    # Nothing there speaks RSD: those are left out.
    devices = await api.get_tunneld_devices(at, bridge=False)
    unknown = await api.get_tunneld_device_by_udid("unknown", at)
    dialer = api.TunneldConnectDialer(at, UDID, ADDRESS)
    reader, writer = await dialer.dial(ADDRESS, ECHO)
    data = bytes(range(256)) * 1024
    writer.write(data)
    echoed = await reader.readexactly(6 + len(data))
    writer.close()
    closed, _ = await dialer.dial(ADDRESS, 1)
    end = await closed.read()
    print(
        json.dumps({
            "listed": listed,
            "devices": len(devices),
            "unknown": unknown,
            "echoed": echoed == b"hello " + data,
            "refused port": len(end),
        })
    )


asyncio.run(main())
