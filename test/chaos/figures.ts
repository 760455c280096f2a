import type { Fleet } from "./fleet.js";

export type Figures = { readonly redeliveries: number; readonly conflicts: number };

const SCRAPE_EVERY_MS = 1_000;

/**
 * Adds up what consumers say of themselves over all their lives. What one counted after the last look before it was
 * killed is not in it: the sums are lower bounds.
 */
export class FigureReader {
  /** By process: the newest figures. */
  readonly #newest = new Map<string, Figures>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(private readonly fleet: Fleet) {}

  start(): void {
    this.#timer = setInterval(() => {
      this.#looking = this.look();
    }, SCRAPE_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await this.look();
  }

  sum(): Figures {
    const all = [...this.#newest.values()];
    return {
      redeliveries: all.reduce((sum, { redeliveries }) => sum + redeliveries, 0),
      conflicts: all.reduce((sum, { conflicts }) => sum + conflicts, 0),
    };
  }

  private async look(): Promise<void> {
    await Promise.all(
      this.fleet.of("consume").map(async (member) => {
        const { pid } = member;
        const url = `http://127.0.0.1:${member.spec.env.METRICS_PORT}/metrics`;
        const text = await fetch(url, { signal: AbortSignal.timeout(SCRAPE_EVERY_MS) })
          .then((response) => response.text())
          .catch(() => null);
        if (text === null || member.pid !== pid) return;
        this.#newest.set(`${member.spec.title} ${pid}`, {
          redeliveries: readFigure(text, 'paidonce_credits_settled_total{outcome="redelivered"}'),
          conflicts: readFigure(text, "paidonce_conflicts_retried_total"),
        });
      }),
    );
  }
}

function readFigure(text: string, name: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}
