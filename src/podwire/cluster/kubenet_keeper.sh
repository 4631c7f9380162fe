#!/bin/sh
# kubenet-keeper POD_CIDR: keeps what kubenet kept of a node's network beside pods; docs/kubenet.md.
# POD_CIDR is the cluster's. A script, so that it costs a node one megabyte: every five seconds it
# looks, with one call each of iptables and ebtables, and changes what is not as it should be.
cluster=$1
bridge=cbr0
conflist=/etc/cni/net.d/10-containerd-net.conflist
link=/sys/class/net/$bridge
dedup=KUBE-DEDUP

masquerade() {
    iptables -w -t nat "$1" POSTROUTING ! -d "$cluster" -m addrtype ! --dst-type LOCAL \
        -m comment --comment "kubenet: SNAT for outbound traffic from cluster" -j MASQUERADE
}

# The node's range; as with kubenet the first one stays until the node starts anew.
learn() {
    [ -n "$range" ] || [ ! -e $conflist ] ||
        range=$(sed -n 's/.*"subnet": *"\([0-9./]*\)".*/\1/p' $conflist)
    [ -n "$range" ] && [ -e $link/address ] && read -r mac <$link/address
}

# A bridge takes the lowest MAC of its ports until it is given one: then it keeps it, whoever comes.
settle() {
    read -r how <$link/addr_assign_type
    read -r flags <$link/flags
    [ "$how" = 3 ] || ip link set $bridge address "$mac"
    [ $((flags & 0x100)) != 0 ] || ip link set $bridge promisc on
}

# What a promiscuous bridge also takes up itself, and sends on, would reach a pod twice.
wanted() {
    echo "-p IPv4 -s $mac -o veth+ --ip-src ${range%.*}.1 -j ACCEPT"
    echo "-p IPv4 -s $mac -o veth+ --ip-src $range -j DROP"
}

# The rules as they were written are remembered as ebtables prints them, whatever its version.
deduplicate() {
    have=$(ebtables-nft -t filter -L)
    if [ "$(rules "$have")" != "$written" ] || [ "$mac" != "$of" ]; then
        case $have in *"chain: $dedup,"*) ;; *) ebtables-nft -t filter -N $dedup ;; esac
        ebtables-nft -t filter -F $dedup
        wanted | while read -r rule; do
            # shellcheck disable=SC2086  a rule is many words
            ebtables-nft -t filter -A $dedup $rule
        done
        written=$(rules "$(ebtables-nft -t filter -L)")
        of=$mac
    fi
    case $have in *"-j $dedup"*) ;; *) ebtables-nft -t filter -A OUTPUT -j $dedup ;; esac
}

rules() {
    echo "$1" | sed -n "/chain: $dedup,/,/^\$/{/^-p/p}"
}

while :; do
    masquerade -C 2>/dev/null || masquerade -A
    if learn; then
        settle
        deduplicate
        sleep 5
    else
        sleep 0.5
    fi
done
