"""azure-mgmt-network and azure-mgmt-containerservice on the lab, as somebody's program has them.

Run with .venv-az's Python in a shell of `podwire env`; argument: a cluster that is there. Writes
one JSON object.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.parse
import urllib.request
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.network import NetworkManagementClient

PROFILE = Path(os.environ["AZURE_CONFIG_DIR"])


class LabCredential:
    """A token of the lab's, for the secret in the profile."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        (entry,) = json.loads((PROFILE / "service_principal_entries.json").read_text())
        form = {
            "grant_type": "client_credentials",
            "client_id": entry["client_id"],
            "client_secret": entry["client_secret"],
        }
        trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
        url, content = f"{base()}/adfs/oauth2/token", urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(url, content, context=trust) as answer:
            told = json.load(answer)
        return AccessToken(told["access_token"], int(time.time()) + told["expires_in"])


def base() -> str:
    clouds = ConfigParser()
    clouds.read(PROFILE / "clouds.config")
    return str(clouds["Podwire"]["endpoint_resource_manager"]).rstrip("/")


def subscription() -> str:
    profile = json.loads((PROFILE / "azureProfile.json").read_text())
    return str(profile["subscriptions"][0]["id"])


def network(client: NetworkManagementClient) -> dict[str, Any]:
    """A VNet with a subnet that has a route table, made and removed again."""
    group = "NetworkLab"
    table = {"location": "eastus", "properties": {"routes": []}}
    made = client.route_tables.begin_create_or_update(group, "sdk-rt", table).result()
    subnet = {
        "name": "one",
        "properties": {"addressPrefix": "10.77.0.0/24", "routeTable": {"id": made.id}},
    }
    vnet = {
        "location": "eastus",
        "properties": {"addressSpace": {"addressPrefixes": ["10.77.0.0/16"]}, "subnets": [subnet]},
    }
    there = client.virtual_networks.begin_create_or_update(group, "sdk", vnet).result()
    names = sorted(one.name for one in client.virtual_networks.list(group))
    bad = {"properties": {"addressPrefix": "10.9.0.0/24"}}
    try:
        client.subnets.begin_create_or_update(group, "sdk", "out", bad).result()
        refusal = ""
    except HttpResponseError as error:
        refusal = error.error.code if error.error else ""
    client.virtual_networks.begin_delete(group, "sdk").result()
    client.route_tables.begin_delete(group, "sdk-rt").result()
    return {"state": there.provisioning_state, "names": names, "refusal": refusal}


def clusters(client: ContainerServiceClient, name: str) -> dict[str, Any]:
    group = "NetworkLab"
    there = client.managed_clusters.get(group, name)
    pool = next(iter(client.agent_pools.list(group, name)))
    credentials = client.managed_clusters.list_cluster_user_credentials(group, name)
    return {
        "state": there.provisioning_state,
        "fqdn": there.fqdn,
        "pool": pool.name,
        "credentials": [one.name for one in credentials.kubeconfigs],
        "all": sorted(one.name for one in client.managed_clusters.list()),
    }


def main() -> None:
    settings = {"base_url": base(), "credential_scopes": [f"{base()}/.default"]}
    one = NetworkManagementClient(LabCredential(), subscription(), **settings)
    two = ContainerServiceClient(LabCredential(), subscription(), **settings)
    told = {"network": network(one), "clusters": clusters(two, sys.argv[1])}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
