"""pymobiledevice3's tunneld application with a tunnel put in by hand: no monitors, no phones.

Arguments: a JSON list of tunnels {udid, key, interface, address, port}, the UDID whose pairing fails and the one whose tunnel fails.
Prints {"port": N} when it listens.
"""

import asyncio
import contextlib
import json
import socket
import sys
from types import SimpleNamespace

import uvicorn
from pymobiledevice3.exceptions import PairingError
from pymobiledevice3.remote.common import TunnelProtocol
from pymobiledevice3.remote.tunnel_service import TunnelResult
from pymobiledevice3.tunneld import server

TUNNELS = json.loads(sys.argv[1])
UNPAIRED, BROKEN = sys.argv[2:]


class Rsd:
    def __init__(self, udid):
        self.udid = udid
        self.service = SimpleNamespace(address=("fe80::1%eth4", 58783))

    async def close(self):
        pass


async def rsds(udid=None, **_):
    if udid == UNPAIRED:
        raise PairingError("the user said no")
    if udid != BROKEN:
        return []
    return [Rsd(udid)]


async def nothing(*_, **__):
    return []


async def service(rsd, **_):
    return rsd


async def no_tunnel(*_, queue=None, **__):
    queue.put_nowait(None)


async def main():
    server.get_rsds = rsds
    server.get_remote_pairing_tunnel_services = nothing
    server.create_core_device_tunnel_service_using_rsd = service
    monitors = {name: False for name in ("usb_monitor", "wifi_monitor", "usbmux_monitor", "mobdev2_monitor")}
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    runner = server.TunneldRunner("127.0.0.1", port, usbmux_address="127.0.0.1:9", **monitors)
    core = runner._tunneld_core
    core.start_tunnel_task = no_tunnel
    for tunnel in TUNNELS:
        result = TunnelResult(
            tunnel["interface"], tunnel["address"], tunnel["port"], TunnelProtocol.TCP, SimpleNamespace()
        )
        task = asyncio.create_task(asyncio.sleep(3600))
        core.tunnel_tasks[tunnel["key"]] = server.TunnelTask(task=task, udid=tunnel["udid"], tunnel=result)
    # As its own program configures it.
    config = uvicorn.Config(runner._app, ws="wsproto", ws_per_message_deflate=False, log_level="warning")
    print(json.dumps({"port": port}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
