/** When accounts are read together from the network's feed, and no longer each from its own. */
export type NetworkRule = {
  readonly mode: "auto" | "on" | "off";
  /** Requests that the server allows in an hour; 0 where it has no limit. */
  readonly requestsPerHour: number;
};

/** What the network's payments are like, as pages have shown. */
export type NetworkSize = {
  /** Operations of the payments feed in a ledger, on average. */
  readonly perLedger: number;
  /** Bytes of one of them on a page, with its transaction. */
  readonly bytesEach: number;
};

/** What the choice goes by. */
export type ReadingFacts = {
  readonly accounts: number;
  /** Time from ledger to ledger, in milliseconds. */
  readonly ledgerMs: number;
  /** Null while no page of it has been seen. */
  readonly network: NetworkSize | null;
  /** Whether accounts are read together now. */
  readonly isOn: boolean;
};

export type ReadingChoice = {
  readonly together: boolean;
  /** For status: which way, and why. */
  readonly why: string;
};

/** Horizon's largest page. */
const PAGE = 200;

/** So many bytes cost as much as a request: they have to be made, sent and read. */
const BYTES_LIKE_A_REQUEST = 512 * 1024;

/** What an own page costs that has nothing on it, which is the usual one. */
const EMPTY_PAGE_BYTES = 1_024;

/** The other way must cost less by so much: each change reads a part again. */
const WORTH_A_CHANGE = 0.8;

/** Of the requests that the server allows, feeds may plan with so many: the rest is for money in flight and for checks. */
const FOR_FEEDS = 0.75;

/**
 * Chooses how accounts are read: a page for each of them and each ledger, or the network's pages, which carry everybody's
 * payments. What costs less by the budget is chosen; where one way does not fit into the budget at all, the one with
 * fewer requests. Pure.
 */
export function chooseReading(rule: NetworkRule, facts: ReadingFacts): ReadingChoice {
  if (rule.mode !== "auto") return { together: rule.mode === "on", why: `NETWORK_MODE=${rule.mode}` };
  const { accounts, network, isOn } = facts;
  if (accounts < 2) return { together: false, why: "one account costs least by its own pages" };
  if (network === null) return { together: isOn, why: "what the network's pages cost is not known yet" };
  const ledgers = 3_600_000 / facts.ledgerMs;
  const own = costOf(accounts, accounts * EMPTY_PAGE_BYTES);
  const shared = costOf(Math.max(1, network.perLedger / PAGE), network.perLedger * network.bytesEach);
  const room =
    rule.requestsPerHour === 0 ? Number.POSITIVE_INFINITY : (rule.requestsPerHour * FOR_FEEDS) / ledgers;
  const fits = own.requests <= room && shared.requests <= room;
  const [ownCost, sharedCost] = fits ? [own.weight, shared.weight] : [own.requests, shared.requests];
  const together = isOn ? ownCost >= sharedCost * WORTH_A_CHANGE : sharedCost < ownCost * WORTH_A_CHANGE;
  const figures = `a ledger takes ${rounded(own.requests)} own pages, or ${rounded(shared.requests)} of the network's with ${kilobytes(network)} kB`;
  const limit = fits ? "" : `, and the budget has ${rounded(room)}`;
  return { together, why: `${figures}${limit}` };
}

/** Whether so many accounts can each be read with each ledger by the budget. Pure. */
export function fitsOneByOne(rule: NetworkRule, accounts: number, ledgerMs: number): boolean {
  if (rule.requestsPerHour === 0) return true;
  return accounts <= (rule.requestsPerHour * FOR_FEEDS * ledgerMs) / 3_600_000;
}

/** What reading a ledger costs: requests, and what weighs like them. */
function costOf(requests: number, bytes: number): { readonly requests: number; readonly weight: number } {
  return { requests, weight: requests + bytes / BYTES_LIKE_A_REQUEST };
}

function rounded(value: number): string {
  return value < 10 ? value.toFixed(1) : Math.round(value).toString();
}

function kilobytes({ perLedger, bytesEach }: NetworkSize): string {
  return Math.round((perLedger * bytesEach) / 1_000).toString();
}

/** By how much one more page moves the averages. */
const LEARN = 0.1;

/** Learns what the network's pages carry, from the pages that are read. */
export class NetworkSizes {
  #size: NetworkSize | null = null;

  get size(): NetworkSize | null {
    return this.#size;
  }

  /** @param ledgers that the page's records are spread over, at least 1 */
  learn({ records, ledgers, bytes }: { records: number; ledgers: number; bytes: number }): void {
    const seen = {
      perLedger: records / Math.max(1, ledgers),
      bytesEach: records === 0 ? 0 : bytes / records,
    };
    const before = this.#size;
    this.#size =
      before === null
        ? seen
        : {
            perLedger: before.perLedger + LEARN * (seen.perLedger - before.perLedger),
            // A page without records says nothing of what one weighs.
            bytesEach:
              records === 0
                ? before.bytesEach
                : before.bytesEach + LEARN * (seen.bytesEach - before.bytesEach),
          };
  }
}
