RG=NetworkLab
LOC=eastus
az group create -n $RG -l $LOC
az network vnet create -g $RG -n aksvnet --address-prefix 10.220.0.0/16
az network vnet subnet create -g $RG --vnet-name aksvnet --name kubenet --address-prefix 10.220.1.0/24
az network vnet subnet create -g $RG --vnet-name aksvnet --name azurecni --address-prefix 10.220.2.0/24
az network vnet subnet create -g $RG --vnet-name aksvnet --name services --address-prefix 10.220.3.0/24
