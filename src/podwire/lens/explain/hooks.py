"""The netfilter hooks: tables and base chains in order of their priority, connection tracking, NAT.

Sources: uapi/linux/netfilter_ipv4.h (priorities), net/netfilter/nf_nat_core.c (a connection's first
packet decides its NAT; answers are translated back), nf_conntrack_core.c (a full table drops).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podwire.lens.explain import blame
from podwire.lens.explain.faults import culprit
from podwire.lens.explain.iptables import DROP, REJECT, Nat, Outcome, Run
from podwire.lens.explain.nftables import DEDUP, Chain, NftOutcome, NftRun, Ruleset
from podwire.lens.explain.routing import Found, source_of
from podwire.lens.explain.skb import Flow, Skb
from podwire.lens.explain.trail import End, Trail
from podwire.lens.explain.values import Entry
from podwire.lens.explain.world import Stack
from podwire.lens.snapshot import Route

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_TRACK = -200
_COPIED = (
    "what its pods send to a service that is beside them is routed, and taken for a second copy"
)
_Step = Callable[[], End | None]


class Hooks:
    """The hooks of all namespaces, over packets whose trail is `trail`."""

    def __init__(self, trail: Trail) -> None:
        self._trail, self._world = trail, trail.world
        self._rulesets: dict[str, Ruleset] = {}

    def inet(self, stack: Stack, hook: str, skb: Skb) -> End | None:
        """None when the packet goes on. hook: "prerouting", "input", "forward", ..."""
        steps = [*self._iptables(stack, hook, skb), *self._nft(stack, ("ip", "inet"), hook, skb)]
        if steps and hook in ("prerouting", "output") and self._tracks(stack):
            steps.append((_TRACK, lambda: self._track(stack, skb)))
        if hook in _NAT:
            steps.append((_NAT[hook], lambda: self._translate_back(stack, hook, skb)))
        return _first(steps)

    def bridge(self, stack: Stack, hook: str, skb: Skb) -> End | None:
        return _first(self._nft(stack, ("bridge",), hook, skb))

    def netdev(self, stack: Stack, hook: str, link: str, skb: Skb) -> End | None:
        """hook: "ingress" or "egress"."""
        return _first(self._nft(stack, ("netdev",), hook, skb, link))

    def ruleset(self, stack: Stack) -> Ruleset:
        if stack.id not in self._rulesets:
            self._rulesets[stack.id] = Ruleset(stack)
        return self._rulesets[stack.id]

    def _iptables(self, stack: Stack, hook: str, skb: Skb) -> Iterator[tuple[int, _Step]]:
        for table, chains in stack.chains.items():
            if hook.upper() in chains:
                priority = _NAT.get(hook, 0) if table == "nat" else _PRIORITIES.get(table, 0)
                yield priority, lambda table=table: self._run(stack, table, hook, skb)  # type: ignore[misc]

    def _nft(
        self, stack: Stack, families: tuple[str, ...], hook: str, skb: Skb, link: str = ""
    ) -> Iterator[tuple[int, _Step]]:
        if not stack.space.nft:
            return
        for chain in self.ruleset(stack).base_chains(families, hook):
            if not link or chain.device in ("", link):
                yield chain.priority, lambda chain=chain: self._run_nft(stack, chain, skb)  # type: ignore[misc]

    def _tracks(self, stack: Stack) -> bool:
        if "nat" in stack.chains or "filter" in stack.chains:
            return True
        return any(one.kind == "nat" for one in self.ruleset(stack).chains.values())

    def _track(self, stack: Stack, skb: Skb) -> End | None:
        if skb.state == "untracked" or skb.flow is not None:
            return None
        known = self._trail.flows.setdefault(stack.id, [])
        for flow in known:
            if flow.protocol == skb.protocol and skb.tuple in (flow.reply, flow.original):
                skb.flow, skb.state = flow, "established"
                return None
        if full := self._full(stack, skb):
            return full
        skb.flow, skb.state = Flow(skb.protocol, skb.tuple, skb.tuple), "new"
        known.append(skb.flow)
        return None

    def _full(self, stack: Stack, skb: Skb) -> End | None:
        most = int(stack.sysctl("net.netfilter.nf_conntrack_max"))
        count = int(stack.sysctl("net.netfilter.nf_conntrack_count"))
        if not most or count < most:
            return None
        text = f"{stack.label} tracks {count} connections of at most {most}: a new one is dropped"
        entry = Entry("sysctl", f"net.netfilter.nf_conntrack_max = {most}", f"space {stack.id}")
        found = culprit(
            *(self._world, "conntrack-full", text, "conntrack", stack),
            entry=entry,
            show="sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
            mend=f"sysctl -w net.netfilter.nf_conntrack_max={most * 2 or 262144}",
        )
        return self._trail.end("dropped", stack, skb, found)

    def _run(self, stack: Stack, table: str, hook: str, skb: Skb) -> End | None:
        if table == "nat" and skb.state != "new":
            return None
        out = Run(stack, table, skb, self._trail.choice).hook(hook.upper())
        if out.notrack:
            skb.state = "untracked"
        notes = (*out.trail[:-1], *out.notes) if out.nat else tuple(out.notes)
        entry = _iptables_entry(stack, out)
        if out.verdict in (DROP, REJECT):
            return self._refused(stack, hook, skb, out, entry)
        if out.nat is not None:
            self._apply(stack, hook, skb, out.nat, f"iptables {table}", entry, notes)
        elif out.rule is not None or out.notes or out.marked:
            text = f"{hook.upper()} lets it pass"
            if out.marked:
                text += f", marked {skb.mark:#x} by {out.marked}"
            self._trail.hop(f"iptables {table}", stack, text, skb, entry, notes=notes)
        return None

    def _refused(self, stack: Stack, hook: str, skb: Skb, out: Outcome, entry: Entry) -> End:
        rule, verdict = out.rule, "refused" if out.verdict == REJECT else "dropped"
        fault = "iptables-policy-drop" if rule is None else "iptables-rule-drop"
        text = f"{stack.label}: {hook.upper()} of iptables {verdict} it: {out.text}"
        mend = f"iptables -t {out.table} -P {out.chain} ACCEPT"
        if rule is not None:
            mend = f"iptables -t {out.table} -D {out.chain} {rule.text}"
            if "has no endpoints" in rule.text:
                fault, mend = "service-no-endpoints", ""
        thing = ""
        service = self._world.service_at(skb.dst)
        if fault == "service-no-endpoints" and service:
            thing = f"service {service.key}"
            text = f"service {service.key} has no endpoint that is ready; {text}"
            mend = ""
        found = culprit(
            *(self._world, fault, text, f"iptables {out.table}", stack),
            thing=thing,
            entry=entry,
            show=f"iptables -t {out.table} -S {out.chain}",
            mend=mend,
        )
        return self._trail.end("refused" if out.verdict == REJECT else "dropped", stack, skb, found)

    def _run_nft(self, stack: Stack, chain: Chain, skb: Skb) -> End | None:
        if chain.kind == "nat" and skb.state != "new":
            return None
        out = NftRun(self.ruleset(stack), stack, chain, skb).run()
        self._trail.missed += [(stack.id, *one) for one in out.missed]
        place = "bridge table" if chain.family == "bridge" else f"nft {chain.family} {chain.table}"
        entry = Entry("nft", out.text, f"space {stack.id}", _nft_show(chain))
        if out.notrack:
            skb.state = "untracked"
        if out.verdict in (DROP, REJECT):
            return self._nft_refused(stack, skb, out, place, entry)
        if out.nat is not None:
            self._apply(stack, chain.hook, skb, out.nat, place, entry, tuple(out.notes))
        elif out.changed or out.notes:
            self._trail.hop(place, stack, _changes(out), skb, entry, notes=tuple(out.notes))
        if out.changed and "ether daddr set" in " ".join(out.changed):
            skb.dmac_by = Entry("nft", out.changed[-1], f"space {stack.id}", _nft_show(chain))
        return None

    def _nft_refused(
        self, stack: Stack, skb: Skb, out: NftOutcome, place: str, entry: Entry
    ) -> End:
        verdict = "refused" if out.verdict == REJECT else "dropped"
        chain = out.chain
        if DEDUP in out.rule and (off := blame.bridge_nf_off(self._world, stack, _COPIED)):
            return self._trail.end("dropped", stack, skb, off)
        text = f"{stack.label}: nftables {verdict} it in {out.text}"
        found = culprit(
            *(self._world, "nft-drop", text, place, stack),
            entry=entry,
            show=f"{_nft_show(chain)} -a",
            mend=f"nft delete rule {chain.family} {chain.table} {chain.name} handle N",
        )
        return self._trail.end("refused" if out.verdict == REJECT else "dropped", stack, skb, found)

    def _apply(
        self,
        stack: Stack,
        hook: str,
        skb: Skb,
        nat: Nat,
        place: str,
        entry: Entry,
        notes: tuple[str, ...],
    ) -> None:
        address, _, port = nat.to.partition(":")
        if nat.kind in ("dnat", "redirect"):
            if nat.kind == "redirect":
                address, port = _own(stack, skb), nat.to
            skb.dst, skb.dport = address or skb.dst, int(port or skb.dport)
            text = f"destination becomes {skb.dst}:{skb.dport}"
        else:
            if nat.kind == "masquerade":
                address = source_of(stack, Found("unicast", Route("0.0.0.0/0", skb.oif)))
            skb.src = address or skb.src
            text = f"source becomes {skb.src} ({nat.kind})"
        if skb.flow is not None:
            skb.flow.final = skb.tuple
        self._trail.hop(place, stack, text, skb, entry, notes=notes)

    def _translate_back(self, stack: Stack, hook: str, skb: Skb) -> None:
        """Source: nf_nat_packet (an answer's destination becomes the asker's source again)."""
        flow = skb.flow
        if skb.state != "established" or flow is None:
            return
        forwards = (skb.src, skb.sport) in (flow.original[:2], flow.final[:2]) and not skb.reply
        wanted = flow.final if forwards else _turned(flow.original)
        before = skb.tuple
        if hook in ("prerouting", "output"):
            skb.dst, skb.dport = wanted[2:]
        else:
            skb.src, skb.sport = wanted[:2]
        if skb.tuple != before:
            what = "destination" if hook in ("prerouting", "output") else "source"
            value = f"{skb.dst}:{skb.dport}" if what == "destination" else f"{skb.src}:{skb.sport}"
            entry = Entry(
                "conntrack",
                f"{flow.protocol} {_shown(flow.original)} is {_shown(flow.final)}",
                f"space {stack.id}",
                f"conntrack -L -p {flow.protocol} -s {flow.original[0]}",
            )
            self._trail.hop("conntrack", stack, f"{what} becomes {value} again", skb, entry)


def _first(steps: list[tuple[int, _Step]] | Iterator[tuple[int, _Step]]) -> End | None:
    for _, step in sorted(steps, key=lambda pair: pair[0]):
        ended = step()
        if ended is not None:
            return ended
    return None


def _turned(one: tuple[str, int, str, int]) -> tuple[str, int, str, int]:
    return one[2], one[3], one[0], one[1]


def _shown(one: tuple[str, int, str, int]) -> str:
    return f"{one[0]}:{one[1]} -> {one[2]}:{one[3]}"


def _own(stack: Stack, skb: Skb) -> str:
    """Where REDIRECT leads: the link's own address (nf_nat_redirect.c)."""
    mine = (address for address, link in stack.local.items() if link == skb.iif)
    return next(mine, "127.0.0.1")


def _changes(out: NftOutcome) -> str:
    return "; ".join(out.changed) or f"{out.chain.name} lets it pass"


def _iptables_entry(stack: Stack, out: Outcome) -> Entry:
    show = f"iptables -t {out.table} -S {out.chain}"
    return Entry("iptables", out.text, f"space {stack.id}", show)


def _nft_show(chain: Chain) -> str:
    return f"nft list chain {chain.family} {chain.table} {chain.name}"
