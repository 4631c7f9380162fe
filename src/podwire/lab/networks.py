"""The VNets of a lab: made, changed and removed as asked for."""

from __future__ import annotations

from collections.abc import Mapping

from podwire.lab.holders import AddressWish, hold, reserve
from podwire.lab.network import Network
from podwire.lab.site import Site
from podwire.lab.steps import Emit, one_step
from podwire.lab.store import Frontends, PluggedNic
from podwire.lab.work import Works
from podwire.model.errors import InvalidInputError
from podwire.model.progress import silent
from podwire.model.vnet import VNet
from podwire.vnet import peering


class Networks:
    """By key: resource group and name in lower case."""

    site: Site

    def __init__(self) -> None:
        self.works = Works()
        self._networks: dict[str, Network] = {}

    def vnets(self) -> dict[str, VNet]:
        return {key: one.vnet for key, one in self._networks.items()}

    def network(self, key: str) -> Network:
        """Raises InvalidInputError when there is no such VNet."""
        if key not in self._networks:
            have = ", ".join(self._networks) or "none"
            raise InvalidInputError(f"the lab has no VNet {key!r}; it has: {have}")
        return self._networks[key]

    def effective_vnet(self, key: str) -> VNet:
        """With the routes to the pods of kubenet clusters. Raises InvalidInputError."""
        return self.network(key).effective()

    def want_vnet(self, vnet: VNet) -> Network:
        """Write it to the store. Whether it runs already, or is only known, stays as it was."""
        self.site.store.put(vnet.key, vnet)
        if vnet.key not in self._networks:
            self._networks[vnet.key] = Network(self.site, vnet, self.join_fabrics)
        return self._networks[vnet.key]

    async def put_vnet(self, vnet: VNet) -> None:
        """Make the VNet, or change it into this; its fabric runs afterwards.

        The caller has checked it (`model.aks_rules.check_vnet`).
        """
        network = self.want_vnet(vnet)
        await self._run(network)
        before, network.vnet = network.vnet, vnet
        try:
            self.join_fabrics()
        except BaseException:
            network.vnet = before
            self.site.store.put(before.key, before)
            raise

    def start_vnet(self, vnet: VNet) -> None:
        """Begin to make its fabric; the store has the VNet already."""
        network = self.want_vnet(vnet)

        async def act(emit: Emit) -> None:
            async with one_step(emit, "vnet", f"VNet {vnet.name}"):
                await self._run(network)
                self.join_fabrics()

        self.works.begin(_subject(vnet.key), "starting", act)

    async def _run(self, network: Network) -> None:
        await self.site.materials.ready_machine()
        await network.start(silent)

    def hold_addresses(self, holder: str, wishes: Mapping[str, AddressWish]) -> dict[str, str]:
        """What somebody who is no machine of the lab's holds from now on; see `holders.hold`.

        Raises InvalidInputError when there is no such VNet, too.
        """
        for vnet in {one.vnet for one in wishes.values()} - {""}:
            self.network(vnet)
        spaces = {key: one.frontends for key, one in self._networks.items()}
        return hold(holder, wishes, {**spaces, "": reserve(self.site.store)})

    def join_fabrics(self) -> None:
        """Make every running fabric, and the links between them, as the VNets say now."""
        running = [one for one in self._networks.values() if one.start.done]
        peering.join((one.fabric for one in running), [one.effective() for one in running])

    async def delete_vnet(self, key: str) -> None:
        """Unknown: nothing. Raises InvalidInputError while something has a NIC on it."""
        nics = self.site.store.all(PluggedNic)
        used = next((name for name, one in nics.items() if one.vnet == key), None)
        if used is not None:
            raise InvalidInputError(f"VNet {key} is in use by {used}; delete that first")
        if (work := self.works.current(_subject(key))) is not None:
            await work.cancel()
        with self.site.store.transaction():
            self.site.store.delete(VNet, key)
            self.site.store.delete(Frontends, key)
        network = self._networks.pop(key, None)
        if network is not None:
            await network.close()
            self.join_fabrics()


def _subject(key: str) -> str:
    """Of the works of a VNet."""
    return f"vnet {key}"
