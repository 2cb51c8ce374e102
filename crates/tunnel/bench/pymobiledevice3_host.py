"""pymobiledevice3's own TCP tunnel as the host end of the bench; see README.md."""

import asyncio
import ssl
import sys

from pymobiledevice3.remote.tunnel_service import RemotePairingTcpTunnel

KEY = b"\x42" * 32


def tls(suite: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    context.set_psk_client_callback(lambda _hint: (None, KEY))
    return context


async def main(address: str, mtu: str, interface: str, suite: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls(suite), server_hostname="")
    tunnel = RemotePairingTcpTunnel(reader, writer)
    tunnel.REQUESTED_MTU = int(mtu)
    given = (await tunnel.request_tunnel_establish())["clientParameters"]
    await tunnel.start_tunnel(given["address"], given["mtu"], interface_name=interface)
    negotiated = writer.get_extra_info("cipher")[0]
    print(f"suite {negotiated} mtu {given['mtu']} interface {tunnel.tun.name}", flush=True)
    await tunnel.wait_closed()


if len(sys.argv) != 5:
    sys.exit("usage: pymobiledevice3_host.py ADDRESS:PORT MTU INTERFACE SUITE")
asyncio.run(main(*sys.argv[1:]))
