"""Azure's names of regions, as far as a lab on one machine needs any. Pure."""

from __future__ import annotations

LOCATIONS = {
    "eastus": "East US",
    "eastus2": "East US 2",
    "southcentralus": "South Central US",
    "westus2": "West US 2",
    "westus3": "West US 3",
    "australiaeast": "Australia East",
    "southeastasia": "Southeast Asia",
    "northeurope": "North Europe",
    "swedencentral": "Sweden Central",
    "uksouth": "UK South",
    "westeurope": "West Europe",
    "centralus": "Central US",
    "southafricanorth": "South Africa North",
    "centralindia": "Central India",
    "eastasia": "East Asia",
    "japaneast": "Japan East",
    "koreacentral": "Korea Central",
    "canadacentral": "Canada Central",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "norwayeast": "Norway East",
    "switzerlandnorth": "Switzerland North",
    "uaenorth": "UAE North",
    "brazilsouth": "Brazil South",
    "northcentralus": "North Central US",
    "westus": "West US",
    "westcentralus": "West Central US",
    "ukwest": "UK West",
}


def region(text: str) -> str:
    """ "East US" and "eastus" are one."""
    return text.replace(" ", "").lower()
