/** When accounts are read together from the network's feed, and no longer one by one. */
export type NetworkRule = {
  readonly mode: "auto" | "on" | "off";
  /** With `auto`: from so many watched accounts on. */
  readonly from: number;
};

/**
 * Whether the network's feed is wanted. On the way back only from half as many accounts on: an installation near the
 * number must not go to and fro, since each change reads a part again.
 * @param isOn whether it is read now
 */
export function wantsNetwork({ mode, from }: NetworkRule, watched: number, isOn: boolean): boolean {
  if (mode !== "auto") return mode === "on";
  return watched >= (isOn ? from / 2 : from);
}
