/** Parameters as Stripe takes them: `metadata[charge_id]=…` is `{ metadata: { charge_id: … } }`. */
export type Params = { readonly [name: string]: string | Params };

/**
 * Reads a form-encoded body or a query. Lists (`expand[0]`) become objects with numbers as names: nothing here wants one.
 * Built by entries alone, so that no name reaches a prototype.
 */
export function parseForm(text: string): Params {
  const root: Node = new Map();
  for (const [name, value] of new URLSearchParams(text)) {
    const path = [...name.matchAll(/[^[\]]+/g)].map(([part]) => part);
    const last = path.pop();
    if (last === undefined) continue;
    let node = root;
    for (const part of path) {
      const known = node.get(part);
      const next: Node = known instanceof Map ? known : new Map();
      node.set(part, next);
      node = next;
    }
    node.set(last, value);
  }
  return plain(root);
}

type Node = Map<string, string | Node>;

function plain(node: Node): Params {
  return Object.fromEntries(
    [...node].map(([name, value]) => [name, typeof value === "string" ? value : plain(value)]),
  );
}

export function textOf(params: Params, name: string): string | null {
  const value = params[name];
  return typeof value === "string" && value !== "" ? value : null;
}

export function groupOf(params: Params, name: string): Params {
  const value = params[name];
  return typeof value === "object" ? value : {};
}
